// Text negotiation on the wire (RFC 7143 6.2, 6.3, 13): what answers to our offer mean, and what we answer to the target's own.
import { expect } from "chai";
import { connect, IscsiError, ProtocolError, type SessionParameters } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { OPCODE, textOf } from "./raw-pdus.ts";
import { optionsFor, type ScriptedConnection, withSession, withTarget } from "./scripted-target.ts";

const TO_OPERATIONAL = 0x81;
const TO_FULL_FEATURE = 0x87;
const STAY_SECURITY = 0x00;
const STAY_OPERATIONAL = 0x04;

/** What is in force after a login in which the target answered with these pairs. */
async function settled(keys: readonly string[]): Promise<SessionParameters> {
  let parameters: SessionParameters | undefined;
  await withSession({ keys }, async ({ session }) => {
    parameters = session.parameters;
  });
  return parameters as SessionParameters;
}

/** A login that must fail after the target's answer to the operational offer. */
async function expectRefused(keys: readonly string[]): Promise<IscsiError> {
  let error: IscsiError | undefined;
  await withTarget(async (target) => {
    const failed = errorOf(connect(optionsFor(target)));
    failed.catch(() => undefined);
    const peer = await target.accept();
    await peer.securityStage();
    peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: TO_FULL_FEATURE, tsih: 1 }, textOf(...keys));
    await peer.expectClose();
    error = await failed;
  });
  return error as IscsiError;
}

/** The target offers keys of its own in the operational stage; returns the initiator's next text. */
async function answersTo(keys: readonly string[]): Promise<string[]> {
  let text: string[] = [];
  await withTarget(async (target) => {
    const connecting = connect(optionsFor(target));
    connecting.catch(() => undefined);
    const peer = await target.accept();
    await peer.securityStage();
    peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: STAY_OPERATIONAL }, textOf(...keys));
    text = (await finish(peer)).text;
    (await connecting).destroy();
  });
  return text;
}

/** Takes the next Login Request, ends the login and answers the probe. */
async function finish(peer: ScriptedConnection) {
  const request = await peer.expect(OPCODE.loginRequest);
  expect(request.flags).to.equal(TO_FULL_FEATURE);
  peer.loginResponse(request, { flags: TO_FULL_FEATURE, tsih: 1 });
  peer.respond(await peer.expect(OPCODE.scsiCommand));
  return request;
}

describe("contract: answers to our offer", () => {
  const DEFAULTS = {
    initialR2T: true,
    immediateData: true,
    maxSendDataSegmentBytes: 8192,
    maxBurstBytes: 262144,
    firstBurstBytes: 65536,
    maxOutstandingR2T: 1,
  };
  const KEYS = ["InitialR2T", "ImmediateData", "MaxBurstLength", "FirstBurstLength", "MaxOutstandingR2T"];

  it("13: keys the target does not mention have the defaults of the RFC", async () => {
    expect(await settled([])).to.include(DEFAULTS);
  });

  for (const refusal of ["Reject", "Irrelevant", "NotUnderstood"])
    it(`6.2: keys answered with ${refusal} have the defaults of the RFC`, async () => {
      expect(await settled(KEYS.map((key) => `${key}=${refusal}`))).to.include(DEFAULTS);
    });

  const results: [string, string[], Partial<SessionParameters>][] = [
    ["13.10: InitialR2T=Yes wins (OR)", ["InitialR2T=Yes"], { initialR2T: true }],
    ["13.10: InitialR2T=No when both want it", ["InitialR2T=No"], { initialR2T: false }],
    ["13.11: ImmediateData=No wins (AND)", ["ImmediateData=No"], { immediateData: false }],
    ["13.11: ImmediateData=Yes when both want it", ["ImmediateData=Yes"], { immediateData: true }],
    ["13.13: the smaller MaxBurstLength", ["MaxBurstLength=1024"], { maxBurstBytes: 1024 }],
    ["13.14: the smaller FirstBurstLength", ["FirstBurstLength=512"], { firstBurstBytes: 512 }],
    ["13.17: the smaller MaxOutstandingR2T", ["MaxOutstandingR2T=3"], { maxOutstandingR2T: 3 }],
    ["6.1: numbers may be hexadecimal", ["MaxBurstLength=0x1000"], { maxBurstBytes: 4096 }],
    [
      "13.12: the target's MaxRecvDataSegmentLength is its own and not a minimum",
      ["MaxRecvDataSegmentLength=16777215"],
      { maxSendDataSegmentBytes: 16777215 },
    ],
    ["13.6, 13.9: alias", ["TargetAlias=disk 7"], { targetAlias: "disk 7", targetPortalGroupTag: 1 }],
    [
      "6.2: the order of the answers means nothing",
      ["MaxOutstandingR2T=2", "ImmediateData=No", "MaxBurstLength=2048", "InitialR2T=No"],
      { maxOutstandingR2T: 2, immediateData: false, maxBurstBytes: 2048, initialR2T: false },
    ],
  ];
  for (const [title, keys, expected] of results)
    it(title, async () => {
      expect(await settled(keys)).to.include(expected);
    });

  for (const [title, pair] of [
    ["13.10: a boolean that is neither Yes nor No", "InitialR2T=Maybe"],
    ["6.1: Yes and No are case sensitive", "ImmediateData=yes"],
    ["13.13: a number below its range", "MaxBurstLength=511"],
    ["13.13: a number above its range", "MaxBurstLength=16777216"],
    ["6.1: a number that is none", "MaxOutstandingR2T=many"],
    ["6.1: an empty number", "FirstBurstLength="],
    ["13.12: a segment nobody can use", "MaxRecvDataSegmentLength=0"],
    ["13.1: a digest that was not offered", "HeaderDigest=CRC32C"],
    ["13.1: a list instead of a choice", "DataDigest=CRC32C,None"],
  ] as const)
    it(`${title} ends the login`, async () => {
      expect(await expectRefused([pair])).to.be.instanceOf(IscsiError);
    });

  it("6.3: a parameter negotiated a second time, in a later response, ends the connection", () =>
    withTarget(async (target) => {
      const failed = errorOf(connect(optionsFor(target)));
      failed.catch(() => undefined);
      const peer = await target.accept();
      await peer.securityStage();
      const offer = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(offer, { flags: STAY_OPERATIONAL }, textOf("ImmediateData=Yes"));
      const next = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(next, { flags: STAY_OPERATIONAL }, textOf("ImmediateData=No"));
      await peer.expectClose();
      expect(await failed).to.be.instanceOf(ProtocolError);
    }));
});

describe("contract: keys the target offers", () => {
  it("6.2: a key we do not know is answered NotUnderstood, an X- key as well", async () => {
    expect(await answersTo(["X-com.example.speed=11", "Frobnicate=Yes"])).to.deep.equal([
      "X-com.example.speed=NotUnderstood",
      "Frobnicate=NotUnderstood",
    ]);
  });

  it("6.2: the same in the security stage", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      const first = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(first, { flags: STAY_SECURITY }, textOf("AuthMethod=None", "X-com.example.speed=11"));
      const second = await peer.expect(OPCODE.loginRequest);
      expect(second.text).to.deep.equal(["X-com.example.speed=NotUnderstood"]);
      peer.loginResponse(second, { flags: TO_OPERATIONAL });
      await finish(peer);
      (await connecting).destroy();
    }));

  it("13.25: obsolete marker keys are answered Reject or No, never NotUnderstood", async () => {
    const answers = await answersTo(["IFMarker=Yes", "OFMarker=Yes", "IFMarkInt=2048~8192", "OFMarkInt=2048"]);
    expect(answers).to.have.length(4);
    for (const answer of answers.slice(0, 2)) expect(answer).to.match(/^[IO]FMarker=(Reject|No)$/);
    for (const answer of answers.slice(2)) expect(answer).to.match(/^[IO]FMarkInt=Reject$/);
  });

  it("6.2: declarations and answers are not answered", async () => {
    const declarations = ["MaxRecvDataSegmentLength=4096", "TargetAlias=x", "MaxBurstLength=4096", "InitialR2T=Yes"];
    expect(await answersTo(declarations)).to.deep.equal([]);
  });

  it("6.2: an answer to one of our keys that comes late, after other keys, still counts", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      await peer.securityStage();
      const offer = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(offer, { flags: STAY_OPERATIONAL }, textOf("MaxBurstLength=4096"));
      const next = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(next, { flags: TO_FULL_FEATURE, tsih: 1 }, textOf("ImmediateData=No"));
      peer.respond(await peer.expect(OPCODE.scsiCommand));
      const session = await connecting;
      expect(session.parameters).to.include({ maxBurstBytes: 4096, immediateData: false });
      session.destroy();
    }));
});
