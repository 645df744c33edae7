// Negotiation functions, ranges, defaults and refusals of RFC 7143 6.2 and 13; CHAP against a digest computed with coreutils.
import { expect } from "chai";
import { answerChapChallenge, chapDigest, verifyChapResponse } from "./chap.ts";
import { parseSendTargets, parseTargetAddress } from "./discovery.ts";
import { InvalidArgumentError, LoginError, ProtocolError } from "./errors.ts";
import {
  answerKey,
  completeWishes,
  DEFAULT_WISHES,
  type DigestWish,
  operationalOffer,
  type ParameterWishes,
  settleParameters,
} from "./negotiation.ts";

type Keys = Record<string, string>;
const mapOf = (keys: Keys) => new Map(Object.entries(keys));
const settle = (keys: Keys, wishes: Partial<ParameterWishes> = {}) =>
  settleParameters(mapOf(keys), { ...DEFAULT_WISHES, ...wishes });
const settleAsTarget = (keys: Keys, wishes: Partial<ParameterWishes> = {}) =>
  settleParameters(mapOf(keys), { ...DEFAULT_WISHES, ...wishes }, "target");
const answer = (key: string, value: string, wishes: Partial<ParameterWishes> = {}, known: Keys = {}) =>
  answerKey(key, value, { ...DEFAULT_WISHES, ...wishes }, mapOf(known));

/** RFC 7143 13.10 to 13.17 and 13.1, the "default" lines. */
const RFC_DEFAULTS = {
  initialR2T: true,
  immediateData: true,
  maxSendDataSegmentBytes: 8192,
  maxBurstBytes: 262_144,
  firstBurstBytes: 65_536,
  maxOutstandingR2T: 1,
  headerDigest: false,
  dataDigest: false,
  time2WaitSeconds: 2,
  time2RetainSeconds: 20,
};

describe("completeWishes", () => {
  it("fills in defaults, also for options that are given as undefined", () => {
    expect(completeWishes()).to.deep.equal(DEFAULT_WISHES);
    expect(completeWishes({ immediateData: undefined, maxOutstandingR2T: 3 })).to.deep.equal({
      ...DEFAULT_WISHES,
      maxOutstandingR2T: 3,
    });
  });

  for (const [option, values, range] of [
    ["maxRecvDataSegmentBytes", [511, 16_777_216, 1024.5, Number.NaN], "512..16777215"],
    ["maxBurstBytes", [10, 16_777_216], "512..16777215"],
    ["firstBurstBytes", [511, 16_777_216], "512..16777215"],
    ["maxOutstandingR2T", [0, 65_536], "1..65535"],
    ["time2WaitSeconds", [-1, 3601], "0..3600"],
  ] as const)
    it(`refuses ${option} outside its range and says the range`, () => {
      for (const value of values)
        expect(() => completeWishes({ [option]: value })).to.throw(InvalidArgumentError, range);
    });

  it("refuses a digest that does not exist", () => {
    expect(() => completeWishes({ dataDigest: "MD5" as DigestWish })).to.throw(InvalidArgumentError, "CRC32C,None");
  });

  it("keeps the first burst within the burst: refuses one that was asked for, lowers the default", () => {
    expect(completeWishes({ maxBurstBytes: 4096 }).firstBurstBytes).to.equal(4096);
    expect(() => completeWishes({ maxBurstBytes: 4096, firstBurstBytes: 8192 })).to.throw(
      InvalidArgumentError,
      "512..4096",
    );
  });
});

describe("settleParameters", () => {
  it("falls back to the RFC's defaults for keys that were not answered or refused", () => {
    expect(settle({})).to.include(RFC_DEFAULTS);
    for (const refusal of ["Reject", "NotUnderstood", "Irrelevant"]) {
      const keys = [...operationalOffer(DEFAULT_WISHES, false)].map(([key]) => [key, refusal]);
      expect(settle(Object.fromEntries(keys))).to.include(RFC_DEFAULTS);
    }
  });

  it("takes OR of InitialR2T, AND of ImmediateData, minimum of lengths", () => {
    expect(settle({ InitialR2T: "No", ImmediateData: "No" })).to.include({ initialR2T: false, immediateData: false });
    expect(settle({ InitialR2T: "Yes" }).initialR2T).to.equal(true);
    expect(settle({ InitialR2T: "No" }, { initialR2T: true }).initialR2T).to.equal(true);
    expect(settle({ ImmediateData: "Yes" }, { immediateData: false }).immediateData).to.equal(false);
    expect(settle({ MaxBurstLength: "16777215" }).maxBurstBytes).to.equal(DEFAULT_WISHES.maxBurstBytes);
    expect(settle({ MaxOutstandingR2T: "4" }).maxOutstandingR2T).to.equal(4);
    expect(settle({ MaxOutstandingR2T: "400" }).maxOutstandingR2T).to.equal(16);
  });

  it("reads hexadecimal numbers and keeps the first burst within the burst", () => {
    expect(settle({ MaxBurstLength: "0x2000", FirstBurstLength: "0X10000" })).to.include({
      maxBurstBytes: 8192,
      firstBurstBytes: 8192,
    });
  });

  it("takes the longer DefaultTime2Wait and the shorter DefaultTime2Retain", () => {
    const keys = { DefaultTime2Wait: "5", DefaultTime2Retain: "60" };
    expect(settle(keys)).to.include({ time2WaitSeconds: 5, time2RetainSeconds: 0 });
    expect(settle({ DefaultTime2Wait: "0" }).time2WaitSeconds).to.equal(0);
    expect(settle({ DefaultTime2Wait: "5" }, { time2WaitSeconds: 9 }).time2WaitSeconds).to.equal(9);
  });

  for (const keys of [
    { MaxBurstLength: "511" },
    { FirstBurstLength: "16777216" },
    { MaxRecvDataSegmentLength: "16777216" },
    { MaxOutstandingR2T: "0" },
    { DefaultTime2Wait: "3601" },
    { DefaultTime2Retain: "-1" },
    { TargetPortalGroupTag: "65536" },
    { MaxBurstLength: "0x" },
    { MaxBurstLength: "1e4" },
    { MaxBurstLength: "" },
    { InitialR2T: "maybe" },
    { ImmediateData: "yes" },
    { TargetAlias: "a".repeat(256) },
    { DataPDUInOrder: "No" },
    { DataSequenceInOrder: "No" },
    { ErrorRecoveryLevel: "1" },
    { MaxConnections: "2" },
  ] as Keys[])
    it(`an answer of ${JSON.stringify(keys).slice(0, 40)} breaks the protocol`, () => {
      expect(() => settle(keys)).to.throw(ProtocolError, Object.keys(keys)[0] ?? "");
    });

  it("takes what the target says about itself", () => {
    expect(settle({ TargetAlias: "x", TargetPortalGroupTag: "7", MaxRecvDataSegmentLength: "512" })).to.include({
      targetAlias: "x",
      targetPortalGroupTag: 7,
      maxSendDataSegmentBytes: 512,
    });
  });

  it("as the target: an offer out of range counts as not made, as it was rejected", () => {
    const keys = { MaxBurstLength: "511", InitialR2T: "maybe", MaxConnections: "8", ErrorRecoveryLevel: "2" };
    expect(settleAsTarget(keys)).to.include({ maxBurstBytes: 262_144, initialR2T: true });
    expect(() => settleAsTarget({ MaxRecvDataSegmentLength: "1" })).to.throw(ProtocolError);
  });
});

describe("digests", () => {
  const headerDigest = (wish: DigestWish, keys: Keys) => settle(keys, { headerDigest: wish }).headerDigest;

  it("are in force when the target chose CRC32C out of our offer", () => {
    expect(headerDigest("CRC32C", { HeaderDigest: "CRC32C" })).to.equal(true);
    expect(headerDigest("None,CRC32C", { HeaderDigest: "CRC32C" })).to.equal(true);
    expect(headerDigest("CRC32C,None", { HeaderDigest: "None" })).to.equal(false);
    expect(settle({ DataDigest: "CRC32C" }, { dataDigest: "CRC32C" })).to.include({
      headerDigest: false,
      dataDigest: true,
    });
  });

  it("an answer that we did not offer, or more than one, breaks the protocol", () => {
    expect(() => headerDigest("None", { HeaderDigest: "CRC32C" })).to.throw(ProtocolError, "was not offered");
    expect(() => headerDigest("CRC32C,None", { HeaderDigest: "CRC32C,None" })).to.throw(ProtocolError);
    expect(() => headerDigest("CRC32C,None", { HeaderDigest: "MD5" })).to.throw(ProtocolError);
  });

  it("a refusal leaves None, which ends the login only when the digest is required", () => {
    for (const keys of [{}, { HeaderDigest: "Reject" }, { HeaderDigest: "NotUnderstood" }, { HeaderDigest: "None" }]) {
      expect(headerDigest("CRC32C,None", keys as Keys)).to.equal(false);
      expect(() => headerDigest("CRC32C", keys as Keys)).to.throw(LoginError, "HeaderDigest=CRC32C is required");
    }
  });

  it("6.2.1: the acceptor takes the first of the offerer's list that it is willing to use", () => {
    const offer = { HeaderDigest: "CRC32C,None" };
    for (const [wish, choice] of [
      ["None", "None"],
      ["None,CRC32C", "CRC32C"],
      ["CRC32C,None", "CRC32C"],
      ["CRC32C", "CRC32C"],
    ] as const) {
      expect(answer("HeaderDigest", offer.HeaderDigest, { headerDigest: wish }), wish).to.equal(choice);
      expect(settleAsTarget(offer, { headerDigest: wish }).headerDigest, wish).to.equal(choice === "CRC32C");
    }
    expect(answer("HeaderDigest", "None,CRC32C", { headerDigest: "CRC32C,None" })).to.equal("None");
    expect(answer("DataDigest", "X-md5,CRC32C", { dataDigest: "None,CRC32C" })).to.equal("CRC32C");
    expect(answer("HeaderDigest", "CRC32C")).to.equal("Reject");
    expect(settleAsTarget({ HeaderDigest: "CRC32C" }).headerDigest).to.equal(false);
  });
});

describe("operationalOffer", () => {
  it("a discovery session offers no keys of SCSI data", () => {
    const keys = operationalOffer(DEFAULT_WISHES, true).map(([key]) => key);
    expect(keys).to.include("MaxRecvDataSegmentLength").and.not.include("InitialR2T");
  });

  it("carries the wishes", () => {
    const wishes = completeWishes({ headerDigest: "CRC32C,None", dataDigest: "CRC32C", time2WaitSeconds: 3 });
    expect(Object.fromEntries(operationalOffer(wishes, false))).to.include({
      HeaderDigest: "CRC32C,None",
      DataDigest: "CRC32C",
      DefaultTime2Wait: "3",
      DefaultTime2Retain: "0",
      ErrorRecoveryLevel: "0",
      MaxConnections: "1",
    });
  });
});

describe("answerKey", () => {
  for (const [key, value, expected] of [
    ["MaxConnections", "8", "1"],
    ["ErrorRecoveryLevel", "2", "0"],
    ["InitialR2T", "Yes", "Yes"],
    ["InitialR2T", "No", "No"],
    ["ImmediateData", "No", "No"],
    ["MaxBurstLength", "0x400", "1024"],
    ["FirstBurstLength", "16777215", "262144"],
    ["MaxOutstandingR2T", "65535", "16"],
    ["DefaultTime2Wait", "20", "20"],
    ["DefaultTime2Retain", "20", "0"],
    ["DataPDUInOrder", "No", "Yes"],
    ["DataSequenceInOrder", "Yes", "Yes"],
    ["TaskReporting", "FastAbort,RFC3720", "RFC3720"],
    ["TaskReporting", "FastAbort", "Reject"],
    ["iSCSIProtocolLevel", "2", "1"],
    ["iSCSIProtocolLevel", "0", "0"],
    // 13.25: markers are answered with Reject, never with NotUnderstood.
    ["IFMarker", "No", "Reject"],
    ["OFMarker", "Yes", "Reject"],
    ["IFMarkInt", "2048~8192", "Reject"],
    ["OFMarkInt", "2048", "Reject"],
    ["SendTargets", "All", "Reject"],
    ["MaxBurstLength", "511", "Reject"],
    ["MaxBurstLength", "many", "Reject"],
    ["ErrorRecoveryLevel", "3", "Reject"],
    ["InitialR2T", "maybe", "Reject"],
    ["MaxBurstLength", `${"0".repeat(252)}8192`, "Reject"],
    ["X-com.example.new", "1", "NotUnderstood"],
    ["X#NewAuth", "1", "NotUnderstood"],
    ["RDMAExtensions", "Yes", "NotUnderstood"],
    ["TargetAlias", "x", undefined],
    ["MaxRecvDataSegmentLength", "8192", undefined],
    ["MaxBurstLength", "Reject", undefined],
  ] as const)
    it(`${key}=${value.slice(0, 20)} -> ${expected}`, () => expect(answer(key, value)).to.equal(expected));

  it("FirstBurstLength is irrelevant when nothing may be sent unasked", () => {
    const offer = { InitialR2T: "Yes", ImmediateData: "No" };
    expect(answer("FirstBurstLength", "65536", {}, offer)).to.equal("Irrelevant");
    expect(answer("FirstBurstLength", "65536", {}, { ...offer, ImmediateData: "Yes" })).to.equal("65536");
    expect(answer("FirstBurstLength", "65536", {}, { ...offer, InitialR2T: "No" })).to.equal("65536");
    const strict = { initialR2T: true, immediateData: false };
    expect(answer("FirstBurstLength", "65536", strict, { InitialR2T: "No" })).to.equal("Irrelevant");
  });

  it("keys of SCSI data are irrelevant to discovery; digests and times are not", () => {
    const known = { SessionType: "Discovery" };
    for (const key of ["InitialR2T", "ImmediateData", "MaxBurstLength", "MaxConnections", "TaskReporting"])
      expect(answer(key, "Yes", {}, known), key).to.equal("Irrelevant");
    expect(answer("HeaderDigest", "None", {}, known)).to.equal("None");
    expect(answer("DefaultTime2Wait", "2", {}, known)).to.equal("2");
  });
});

describe("CHAP", () => {
  // printf '\x01secret\xaa\xbb' | md5sum; | sha256sum (coreutils 9.1)
  const MD5 = "52b84dd1a7253536d2f969cd661a25de";
  const SHA256 = "c779f2085cfc26ecbce7b258493f9eaae5c948256dc87839664bbfa69e08f43c";

  it("computes hash(identifier, secret, challenge)", () => {
    expect(chapDigest("5", 1, "secret", Buffer.from("aabb", "hex")).toString("hex")).to.equal(MD5);
    expect(chapDigest("7", 1, "secret", Buffer.from("aabb", "hex")).toString("hex")).to.equal(SHA256);
  });

  it("answers a challenge, and the answer verifies only for the right secret", () => {
    const keys = new Map([
      ["CHAP_A", "5"],
      ["CHAP_I", "1"],
      ["CHAP_C", "0xaabb"],
    ]);
    const answer = answerChapChallenge(keys, { user: "u", secret: "secret" });
    expect(answer).to.deep.equal([
      ["CHAP_N", "u"],
      ["CHAP_R", `0x${MD5}`],
    ]);
    const expected = { algorithm: "5", identifier: 1, challenge: Buffer.from("aabb", "hex") };
    const verify = (secret: string) =>
      verifyChapResponse(new Map(answer), { ...expected, credentials: { user: "u", secret } });
    expect(verify("secret")).to.equal(true);
    expect(verify("Secret")).to.equal(false);
  });

  it("refuses an algorithm that was not offered and a broken identifier", () => {
    const credentials = { user: "u", secret: "s" };
    const challenge = (algorithm: string, identifier: string) => () =>
      answerChapChallenge(
        new Map([
          ["CHAP_A", algorithm],
          ["CHAP_I", identifier],
          ["CHAP_C", "0xaa"],
        ]),
        credentials,
      );
    expect(challenge("99", "1")).to.throw(ProtocolError);
    expect(challenge("5", "256")).to.throw(ProtocolError);
  });
});

describe("SendTargets", () => {
  it("groups addresses under their target, reads IPv6 and default ports", () => {
    const targets = parseSendTargets([
      ["TargetName", "iqn.a"],
      ["TargetAddress", "10.0.0.1:3261,2"],
      ["TargetAddress", "[fd00::1]"],
    ]);
    expect(targets[0]?.portals).to.deep.equal([
      { address: "10.0.0.1", port: 3261, tpgt: 2 },
      { address: "fd00::1", port: 3260, tpgt: undefined },
    ]);
    expect(() => parseTargetAddress("")).to.throw(ProtocolError);
    expect(() => parseSendTargets([["TargetAddress", "10.0.0.1"]])).to.throw(ProtocolError);
  });
});
