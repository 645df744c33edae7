// Negotiation functions and defaults of RFC 7143 13; CHAP against a digest computed with coreutils.
import { expect } from "chai";
import { answerChapChallenge, chapDigest, verifyChapResponse } from "./chap.ts";
import { parseSendTargets, parseTargetAddress } from "./discovery.ts";
import { ProtocolError } from "./errors.ts";
import { answerKey, DEFAULT_WISHES, operationalOffer, settleParameters } from "./negotiation.ts";

const settle = (keys: Record<string, string>) => settleParameters(new Map(Object.entries(keys)), DEFAULT_WISHES);

describe("settleParameters", () => {
  it("falls back to the RFC's defaults for keys that were not answered or refused", () => {
    const defaults = {
      initialR2T: true,
      immediateData: true,
      maxSendDataSegmentBytes: 8192,
      maxBurstBytes: 262_144,
      firstBurstBytes: 65_536,
      maxOutstandingR2T: 1,
    };
    expect(settle({})).to.include(defaults);
    expect(settle({ InitialR2T: "Reject", MaxBurstLength: "NotUnderstood", ImmediateData: "Irrelevant" })).to.include(
      defaults,
    );
  });

  it("takes OR of InitialR2T, AND of ImmediateData, minimum of lengths", () => {
    expect(settle({ InitialR2T: "No", ImmediateData: "No" })).to.include({ initialR2T: false, immediateData: false });
    expect(settle({ InitialR2T: "Yes" }).initialR2T).to.equal(true);
    expect(settle({ MaxBurstLength: "16777215" }).maxBurstBytes).to.equal(DEFAULT_WISHES.maxBurstBytes);
    expect(settle({ MaxBurstLength: "0x2000", FirstBurstLength: "65536" })).to.include({
      maxBurstBytes: 8192,
      firstBurstBytes: 8192,
    });
  });

  it("refuses values outside their range and digests that were not offered", () => {
    for (const keys of [{ MaxBurstLength: "511" }, { MaxRecvDataSegmentLength: "16777216" }, { InitialR2T: "maybe" }])
      expect(() => settle(keys as Record<string, string>)).to.throw(ProtocolError);
    expect(() => settle({ HeaderDigest: "CRC32C" })).to.throw(ProtocolError, "HeaderDigest");
  });
});

describe("offers and answers", () => {
  it("a discovery session offers no keys of SCSI data", () => {
    const keys = operationalOffer(DEFAULT_WISHES, true).map(([key]) => key);
    expect(keys).to.include("MaxRecvDataSegmentLength").and.not.include("InitialR2T");
  });

  it("answers unknown keys with NotUnderstood, declarations not at all", () => {
    expect(answerKey("X-com.example.new", "1", DEFAULT_WISHES)).to.equal("NotUnderstood");
    expect(answerKey("TargetAlias", "x", DEFAULT_WISHES)).to.equal(undefined);
    expect(answerKey("HeaderDigest", "CRC32C", DEFAULT_WISHES)).to.equal("Reject");
    expect(answerKey("HeaderDigest", "CRC32C,None", DEFAULT_WISHES)).to.equal("None");
    expect(answerKey("MaxConnections", "8", DEFAULT_WISHES)).to.equal("1");
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
