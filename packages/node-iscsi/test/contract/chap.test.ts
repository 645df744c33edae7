// CHAP on the wire (RFC 7143 9.2.1, 12.1, 12.1.3; RFC 1994): order of keys, proofs, and what the initiator must refuse.
import { createHash } from "node:crypto";
import { expect } from "chai";
import { type ChapCredentials, connect, IscsiError, LoginError, ProtocolError } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { OPCODE, type SentPdu, textOf } from "./raw-pdus.ts";
import { optionsFor, type ScriptedConnection, withTarget } from "./scripted-target.ts";

const TO_OPERATIONAL = 0x81;
const TO_FULL_FEATURE = 0x87;
const STAY_SECURITY = 0x00;
const ONE_WAY: ChapCredentials = { user: "alice", secret: "initiator secret" };
const MUTUAL: ChapCredentials = { ...ONE_WAY, target: { user: "bob", secret: "the target secret" } };
const CHALLENGE = Buffer.from("00112233445566778899aabbccddeeff", "hex");

/** MD5(identifier, secret, challenge) (RFC 1994 4.1). */
function proof(identifier: number, secret: string, challenge: Buffer): string {
  const hash = createHash("md5")
    .update(Buffer.from([identifier]))
    .update(secret)
    .update(challenge);
  return `0x${hash.digest("hex")}`;
}

function valueFor(request: SentPdu, key: string): string | undefined {
  return request.text.find((pair) => pair.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** Up to the initiator's list of algorithms, which it sends after the target chose CHAP. */
async function chooseChap(peer: ScriptedConnection): Promise<SentPdu> {
  const first = await peer.expect(OPCODE.loginRequest);
  expect(first.flags, "not ready to leave the stage").to.equal(STAY_SECURITY);
  expect(
    first.text.some((pair) => pair.startsWith("CHAP_")),
    "no CHAP key before it is chosen",
  ).to.equal(false);
  peer.loginResponse(first, { flags: STAY_SECURITY }, textOf("TargetPortalGroupTag=1", "AuthMethod=CHAP"));
  const algorithms = await peer.expect(OPCODE.loginRequest);
  expect(algorithms.flags).to.equal(STAY_SECURITY);
  return algorithms;
}

/** Up to the initiator's answer to a challenge for MD5. */
async function challenge(peer: ScriptedConnection, ...pairs: string[]): Promise<SentPdu> {
  peer.loginResponse(await chooseChap(peer), { flags: STAY_SECURITY }, textOf(...pairs));
  return peer.expect(OPCODE.loginRequest);
}

const MD5_CHALLENGE = ["CHAP_A=5", "CHAP_I=17", `CHAP_C=0x${CHALLENGE.toString("hex")}`];

/** A login whose outcome is an error. */
async function withFailure(
  chap: ChapCredentials | undefined,
  body: (peer: ScriptedConnection) => Promise<void>,
): Promise<IscsiError> {
  let error: IscsiError | undefined;
  await withTarget(async (target) => {
    const failed = errorOf(connect(optionsFor(target, { chap })));
    failed.catch(() => undefined);
    const peer = await target.accept();
    await body(peer);
    await peer.expectClose();
    error = await failed;
  });
  return error as IscsiError;
}

/** A login that works: `body` plays the security stage and returns what the target says at its end. */
async function withSuccess(
  chap: ChapCredentials,
  body: (peer: ScriptedConnection) => Promise<{ request: SentPdu; pairs?: string[] }>,
): Promise<void> {
  await withTarget(async (target) => {
    const connecting = connect(optionsFor(target, { chap }));
    connecting.catch(() => undefined);
    const peer = await target.accept();
    const { request, pairs = [] } = await body(peer);
    peer.loginResponse(request, { flags: TO_OPERATIONAL }, textOf(...pairs));
    peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: TO_FULL_FEATURE, tsih: 1 });
    peer.respond(await peer.expect(OPCODE.scsiCommand));
    (await connecting).destroy();
  });
}

describe("contract: one-way CHAP", () => {
  it("12.1: AuthMethod is a list in order of preference, CHAP_A a list with MD5 in it", () =>
    withSuccess(ONE_WAY, async (peer) => {
      const request = await challenge(peer, ...MD5_CHALLENGE);
      const [first, algorithms] = peer.received;
      expect(valueFor(first!, "AuthMethod")).to.equal("CHAP,None");
      expect(algorithms!.text).to.have.length(1);
      expect(valueFor(algorithms!, "CHAP_A")?.split(",")).to.include("5");
      return { request };
    }));

  for (const [title, encoded] of [
    ["hexadecimal", `0x${CHALLENGE.toString("hex")}`],
    ["hexadecimal in capitals", `0X${CHALLENGE.toString("hex").toUpperCase()}`],
    ["base64", `0b${CHALLENGE.toString("base64")}`],
  ] as const)
    it(`12.1.3, 6.1: the challenge in ${title} is answered with name and response, and nothing else is asked`, () =>
      withSuccess(ONE_WAY, async (peer) => {
        const request = await challenge(peer, "CHAP_A=5", "CHAP_I=17", `CHAP_C=${encoded}`);
        expect(request.flags).to.equal(TO_OPERATIONAL);
        expect(request.text).to.deep.equal(["CHAP_N=alice", `CHAP_R=${proof(17, ONE_WAY.secret, CHALLENGE)}`]);
        return { request };
      }));

  for (const bytes of [1, 1024])
    it(`12.1.3: a challenge of ${bytes} byte(s) is answered`, () =>
      withSuccess(ONE_WAY, async (peer) => {
        const long = Buffer.alloc(bytes, 0x5a);
        const request = await challenge(peer, "CHAP_A=5", "CHAP_I=255", `CHAP_C=0x${long.toString("hex")}`);
        expect(valueFor(request, "CHAP_R")).to.equal(proof(255, ONE_WAY.secret, long));
        return { request };
      }));

  it("12.1: a target that wants no proof of us gets none", () =>
    withSuccess(ONE_WAY, async (peer) => {
      peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: STAY_SECURITY }, textOf("AuthMethod=None"));
      const request = await peer.expect(OPCODE.loginRequest);
      expect([request.flags, request.data.length]).to.deep.equal([TO_OPERATIONAL, 0]);
      return { request };
    }));

  const broken: [string, string[]][] = [
    ["12.1.3: an algorithm that was not offered", ["CHAP_A=99", ...MD5_CHALLENGE.slice(1)]],
    ["12.1.3: an algorithm that is no number", ["CHAP_A=MD5", ...MD5_CHALLENGE.slice(1)]],
    ["12.1.3: an identifier beyond one byte", ["CHAP_A=5", "CHAP_I=256", MD5_CHALLENGE[2]!]],
    ["12.1.3: a challenge beyond 1024 bytes", ["CHAP_A=5", "CHAP_I=1", `CHAP_C=0x${"ab".repeat(1025)}`]],
    ["6.1: a challenge that is no binary value", ["CHAP_A=5", "CHAP_I=1", "CHAP_C=hello"]],
    ["12.1.3: an empty challenge", ["CHAP_A=5", "CHAP_I=1", "CHAP_C=0x"]],
  ];
  for (const [title, pairs] of broken)
    it(`${title} ends the login before any proof is given`, async () => {
      const error = await withFailure(ONE_WAY, async (peer) => {
        peer.loginResponse(await chooseChap(peer), { flags: STAY_SECURITY }, textOf(...pairs));
      });
      expect(error).to.be.instanceOf(IscsiError);
      expect(error.message).to.not.contain(ONE_WAY.secret);
    });

  it("12.1: a method that was not offered, or none that we share, ends the login", async () => {
    for (const [chap, method] of [
      [undefined, "CHAP"],
      [undefined, "Reject"],
      [ONE_WAY, "KRB5"],
      [ONE_WAY, "Reject"],
    ] as const) {
      const error = await withFailure(chap, async (peer) => {
        const request = await peer.expect(OPCODE.loginRequest);
        peer.loginResponse(request, { flags: STAY_SECURITY }, textOf(`AuthMethod=${method}`));
      });
      expect(error, method).to.be.instanceOf(LoginError);
    }
  });

  it("11.13.5, 12.1.3: a wrong secret is a LoginError without the secret in it", async () => {
    const error = await withFailure(ONE_WAY, async (peer) => {
      peer.loginResponse(await challenge(peer, ...MD5_CHALLENGE), { flags: 0, word36: 0x02010000 });
    });
    expect(error).to.be.instanceOf(LoginError);
    expect(error.message).to.contain("authentication").and.not.contain(ONE_WAY.secret);
  });
});

describe("contract: mutual CHAP", () => {
  /** The target's proof for the challenge in the initiator's last request. */
  function targetProof(request: SentPdu, user = "bob", secret = "the target secret"): string[] {
    const theirs = Buffer.from(valueFor(request, "CHAP_C")!.slice(2), "hex");
    return [`CHAP_N=${user}`, `CHAP_R=${proof(Number(valueFor(request, "CHAP_I")), secret, theirs)}`];
  }

  it("12.1.3: our challenge goes with our proof, and a target that proves itself is believed", () =>
    withSuccess(MUTUAL, async (peer) => {
      const request = await challenge(peer, ...MD5_CHALLENGE);
      expect(valueFor(peer.received[0]!, "AuthMethod"), "None is not on offer").to.equal("CHAP");
      expect(request.text.map((pair) => pair.split("=")[0])).to.have.members(["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"]);
      expect(Number(valueFor(request, "CHAP_I"))).to.be.within(0, 255);
      expect(valueFor(request, "CHAP_C")).to.not.equal(`0x${CHALLENGE.toString("hex")}`);
      return { request, pairs: targetProof(request) };
    }));

  for (const [title, prove] of [
    ["no proof at all", () => []],
    ["a wrong proof", (request: SentPdu) => targetProof(request, "bob", "another secret!")],
    ["another name", (request: SentPdu) => targetProof(request, "mallory")],
    ["a proof of the wrong length", () => ["CHAP_N=bob", "CHAP_R=0x00"]],
  ] as [string, (request: SentPdu) => string[]][])
    it(`12.1.3: ${title} ends the login before the operational stage`, async () => {
      const error = await withFailure(MUTUAL, async (peer) => {
        const request = await challenge(peer, ...MD5_CHALLENGE);
        peer.loginResponse(request, { flags: TO_OPERATIONAL }, textOf(...prove(request)));
      });
      expect(error).to.satisfy((cause: unknown) => cause instanceof LoginError || cause instanceof ProtocolError);
      expect(error.message).to.not.contain(MUTUAL.target!.secret);
    });

  it("9.2.1, 12.1.3: our own challenge, reflected to us on another connection, is not answered", () =>
    withTarget(async (target) => {
      const first = errorOf(connect(optionsFor(target, { chap: MUTUAL })));
      const peer = await target.accept();
      const request = await challenge(peer, ...MD5_CHALLENGE);
      const reflected = ["CHAP_A=5", `CHAP_I=${valueFor(request, "CHAP_I")}`, `CHAP_C=${valueFor(request, "CHAP_C")}`];
      const second = errorOf(connect(optionsFor(target, { chap: MUTUAL })));
      const other = await target.accept();
      other.loginResponse(await chooseChap(other), { flags: STAY_SECURITY }, textOf(...reflected));
      await other.expectClose();
      expect(await second).to.be.instanceOf(LoginError);
      peer.destroy();
      await first;
    }));

  it("12.1.3: a target that wants no authentication although it has to prove itself is left", async () => {
    const error = await withFailure(MUTUAL, async (peer) => {
      peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: STAY_SECURITY }, textOf("AuthMethod=None"));
    });
    expect(error).to.be.instanceOf(LoginError);
  });
});
