// The login phase (RFC 7143 6.2, 6.3, 11.12, 11.13) against a target's login in memory that keeps or breaks one rule at a time.
import { expect } from "chai";
import { type AlterResponse, LoginPeer } from "../test/fakes/login-peer.ts";
import { type ChapCredentials, chapAlgorithmsOffered } from "./chap.ts";
import { IscsiError, LoginError, ProtocolError } from "./errors.ts";
import { LoginExchange, type LoginOptions, type LoginResult } from "./login.ts";
import { DEFAULT_WISHES } from "./negotiation.ts";
import { LoginStage, loginStatusText } from "./pdu/login.ts";
import type { TargetLoginFaults, TargetLoginOptions } from "./target/target-login.ts";

const isid = Buffer.from("800102030405", "hex");
const chap = { user: "initiator", secret: "the-initiators-secret" };
const mutual: ChapCredentials = { ...chap, target: { user: "target", secret: "the-secret-of-the-target" } };
const wishes = { ...DEFAULT_WISHES };

function start(
  options: {
    faults?: TargetLoginFaults;
    target?: Partial<TargetLoginOptions>;
    login?: Partial<LoginOptions>;
    alter?: AlterResponse;
  } = {},
): { peer: LoginPeer; result: Promise<LoginResult> } {
  const peer = new LoginPeer({ wishes, faults: options.faults, ...options.target }, options.alter);
  const exchange = new LoginExchange(peer, {
    initiatorName: "iqn.2026-11.test:initiator",
    targetName: "iqn.2026-11.test:peer",
    chap: undefined,
    chapAlgorithms: chapAlgorithmsOffered(),
    wishes,
    isid,
    firstCmdSn: 100,
    portal: "192.0.2.1:3260",
    ...options.login,
  });
  return { peer, result: exchange.run() };
}

async function errorOf(result: Promise<LoginResult>): Promise<IscsiError> {
  const error = await result.then(
    () => undefined,
    (cause) => cause,
  );
  expect(error).to.be.instanceOf(IscsiError);
  expect(error.portal).to.equal("192.0.2.1:3260");
  for (const { secret } of [chap, mutual.target!])
    expect(`${error.message}${error.stack}${error.cause?.message}`).not.to.contain(secret);
  return error;
}

/** Stage and T bit of each request: "0>1" asks to move on, "0" stays. */
function stages(peer: LoginPeer): string[] {
  return peer.requests.map(({ pdu }) => `${pdu.currentStage}${pdu.transit ? `>${pdu.nextStage}` : ""}`);
}

describe("login stages", () => {
  it("goes from security to operational to full feature phase and takes over the numbers", async () => {
    const { peer, result } = start();
    const login = await result;
    expect(stages(peer)).to.deep.equal(["0>1", "1>3"]);
    expect(peer.requests.map(({ pdu }) => [pdu.tsih, pdu.cmdSn, pdu.expStatSn])).to.deep.equal([
      [0, 100, 0],
      [0, 100, 0xffffffff],
    ]);
    expect([login.tsih, login.cmdSn, login.expStatSn, login.expCmdSn, login.maxCmdSn]).to.deep.equal([
      7, 100, 0, 100, 131,
    ]);
    expect(login.parameters.targetPortalGroupTag).to.equal(1);
    expect(peer.digests).to.deep.equal({ header: false, data: false });
  });

  it("tells the connection which digests hold from now on", async () => {
    const digests = { ...wishes, headerDigest: "CRC32C" as const, dataDigest: "CRC32C,None" as const };
    const { peer, result } = start({ login: { wishes: digests }, target: { wishes: digests } });
    await result;
    expect(peer.digests).to.deep.equal({ header: true, data: true });
  });

  it("proves itself by CHAP before it offers to move on", async () => {
    const { peer, result } = start({ login: { chap }, target: { chap } });
    await result;
    expect(stages(peer)).to.deep.equal(["0", "0", "0>1", "1>3"]);
    expect(peer.requests[0]?.text).to.contain("AuthMethod=CHAP,None\0");
  });

  it("takes a target that goes from security straight to full feature phase; defaults hold", async () => {
    const { peer, result } = start({ faults: { skipsOperationalStage: true } });
    const { parameters } = await result;
    expect(stages(peer)).to.deep.equal(["0>1"]);
    // RFC 7143 13.10, 13.12, 13.13, 13.14, 13.17: the defaults.
    expect(parameters.initialR2T).to.equal(true);
    expect([parameters.maxSendDataSegmentBytes, parameters.maxBurstBytes]).to.deep.equal([8192, 262_144]);
    expect([parameters.firstBurstBytes, parameters.maxOutstandingR2T]).to.deep.equal([65_536, 1]);
  });

  it("waits for a target that answers later, in any stage", async () => {
    for (const emptyAnswers of [1, 3]) {
      const { peer, result } = start({ faults: { emptyAnswers }, login: { chap }, target: { chap } });
      await result;
      expect(peer.requests.length).to.equal(4 + emptyAnswers);
    }
  });

  it("gives up on a target that never moves on", async () => {
    const error = await errorOf(start({ faults: { emptyAnswers: 1000 } }).result);
    expect(error).to.be.instanceOf(ProtocolError);
    expect(error.reason).to.contain("32 login requests");
  });

  it("is satisfied without a TargetPortalGroupTag", async () => {
    const drop: AlterResponse = ({ pdu, text }) => ({
      pdu,
      text: Buffer.from(text.toString().replace("TargetPortalGroupTag=1\0", "")),
    });
    expect((await start({ alter: drop }).result).parameters.targetPortalGroupTag).to.equal(undefined);
  });
});

describe("login text", () => {
  it("joins an answer that comes in pieces by the C bit, cut anywhere", async () => {
    const whole = await start({ login: { chap }, target: { chap } }).result;
    for (const splitsTextAtBytes of [20, 63, 200]) {
      const { peer, result } = start({ faults: { splitsTextAtBytes }, login: { chap }, target: { chap } });
      expect((await result).parameters).to.deep.equal(whole.parameters);
      expect(peer.requests.length).to.be.greaterThan(4);
    }
  });

  it("splits its own long text by the C bit and waits for an empty answer to each piece", async () => {
    const targetName = `iqn.2026-11.test:${"n".repeat(9000)}`;
    const { peer, result } = start({ login: { targetName }, target: { targetName } });
    await result;
    expect(peer.requests.map(({ pdu }) => pdu.continues)).to.deep.equal([true, false, false]);
    expect(peer.requests[0]?.text.length).to.equal(8192);
    expect(stages(peer)).to.deep.equal(["0", "0>1", "1>3"]);
  });

  it("refuses an answer to a request that is not complete", async () => {
    const targetName = `iqn.2026-11.test:${"n".repeat(9000)}`;
    const early: AlterResponse = ({ pdu }) => ({ pdu, text: Buffer.from("AuthMethod=None\0") });
    const error = await errorOf(start({ login: { targetName }, target: { targetName }, alter: early }).result);
    expect(error).to.be.instanceOf(ProtocolError);
    expect(error.reason).to.contain("before it was complete");
  });

  it("refuses text without an end", async () => {
    const endless: AlterResponse = ({ pdu }) => ({
      pdu: { ...pdu, transit: false, continues: true },
      text: Buffer.alloc(8192, "X-a=1\0"),
    });
    expect((await errorOf(start({ alter: endless }).result)).reason).to.contain("no end");
  });

  it("answers keys the target offers on its own, early or late, once", async () => {
    const { peer, result } = start({
      faults: {
        earlyPairs: [
          ["X-early", "1"],
          ["MaxBurstLength", "65536"],
          ["TargetAlias", "disk shelf"],
        ],
        unsolicitedPairs: [["X-late", "2"]],
      },
    });
    const { parameters } = await result;
    const [, second, third] = peer.requests.map(({ text }) => text.split("\0"));
    expect(second).to.include("X-early=NotUnderstood").and.to.include("MaxBurstLength=65536");
    expect(second?.filter((pair) => pair.startsWith("MaxBurstLength"))).to.have.length(1);
    expect(third).to.deep.equal(["X-late=NotUnderstood", ""]);
    expect(parameters.maxBurstBytes).to.equal(65_536);
    expect(parameters.targetAlias).to.equal("disk shelf");
  });

  it("keeps the default of a key the target rejects", async () => {
    const { result } = start({ faults: { rejectedKeys: ["MaxBurstLength", "InitialR2T"] } });
    const { parameters } = await result;
    expect([parameters.maxBurstBytes, parameters.initialR2T]).to.deep.equal([262_144, true]);
  });

  it("ends when the target negotiates a key again", async () => {
    const { result } = start({ faults: { earlyPairs: [["X-a", "1"]], unsolicitedPairs: [["X-a", "2"]] } });
    expect((await errorOf(result)).reason).to.equal("the target negotiates X-a a second time");
  });

  it("takes the same declaration again", async () => {
    const { result } = start({ faults: { unsolicitedPairs: [["TargetPortalGroupTag", "1"]] } });
    await result;
  });
});

describe("login responses that break a rule", () => {
  const cases: Record<string, { alter: AlterResponse; reason: string }> = {
    "another version": { alter: (a) => ({ ...a, pdu: { ...a.pdu, versionActive: 1 } }), reason: "version 1" },
    "another ISID": { alter: (a) => ({ ...a, pdu: { ...a.pdu, isid: Buffer.alloc(6, 9) } }), reason: "ISID" },
    "another task tag": { alter: (a) => ({ ...a, pdu: { ...a.pdu, initiatorTaskTag: 5 } }), reason: "task tag" },
    "another current stage": { alter: (a) => ({ ...a, pdu: { ...a.pdu, currentStage: 1 } }), reason: "stage" },
    "T and C together": { alter: (a) => ({ ...a, pdu: { ...a.pdu, continues: true } }), reason: "T and C" },
    "a stage that does not exist": {
      alter: (a) => ({ ...a, pdu: { ...a.pdu, nextStage: 2 } }),
      reason: "stage 0 to 2",
    },
    "a move to where we are": { alter: (a) => ({ ...a, pdu: { ...a.pdu, nextStage: 0 } }), reason: "stage 0 to 0" },
    "a handle too early": { alter: (a) => ({ ...a, pdu: { ...a.pdu, tsih: 3 } }), reason: "before the login was over" },
    "no handle at the end": {
      alter: (a, number) => ({ ...a, pdu: { ...a.pdu, tsih: number === 2 ? 0 : a.pdu.tsih } }),
      reason: "without a session handle",
    },
    "a step back at the end": {
      alter: (a, number) => ({ ...a, pdu: { ...a.pdu, nextStage: number === 2 ? 1 : a.pdu.nextStage, tsih: 0 } }),
      reason: "stage 1 to 1",
    },
    "a skipped StatSN": {
      alter: (a, number) => ({ ...a, pdu: { ...a.pdu, statSn: number === 2 ? 0 : a.pdu.statSn } }),
      reason: "StatSN 0, expected 4294967295",
    },
    "text that is no pair": { alter: ({ pdu }) => ({ pdu, text: Buffer.from("nonsense\0") }), reason: "key=value" },
    "a key twice": { alter: ({ pdu }) => ({ pdu, text: Buffer.from("X-a=1\0X-a=1\0") }), reason: "twice" },
  };
  for (const [what, { alter, reason }] of Object.entries(cases))
    it(`${what}: ProtocolError`, async () => {
      const error = await errorOf(start({ alter }).result);
      expect(error).to.be.instanceOf(ProtocolError);
      expect(error.reason).to.contain(reason);
    });

  it("a move nobody asked for: ProtocolError", async () => {
    const alter: AlterResponse = (a) => ({ ...a, pdu: { ...a.pdu, transit: true, nextStage: LoginStage.Operational } });
    expect((await errorOf(start({ alter, login: { chap }, target: { chap } }).result)).reason).to.contain("unasked");
  });
});

describe("authentication in the login", () => {
  const withChap = (login: ChapCredentials, target: ChapCredentials, faults?: TargetLoginFaults) =>
    start({ login: { chap: login }, target: { chap: target }, ...(faults === undefined ? {} : { faults }) });

  it("is mutual when the target's credentials are given; None is then not on offer", async () => {
    const { peer, result } = withChap(mutual, mutual);
    await result;
    expect(peer.requests[0]?.text).to.contain("AuthMethod=CHAP\0");
    expect(stages(peer)).to.deep.equal(["0", "0", "0>1", "1>3"]);
  });

  it("is one-way without them, whatever the target could prove", async () => {
    const { peer, result } = withChap(chap, mutual);
    await result;
    expect(peer.requests[2]?.text).not.to.contain("CHAP_C");
  });

  it("refuses a target that does not prove itself before anything operational is said", async () => {
    const { peer, result } = withChap(mutual, chap);
    const error = (await errorOf(result)) as LoginError;
    expect(error).to.be.instanceOf(LoginError);
    expect(error.statusClass).to.equal(undefined);
    expect(error.reason).to.contain("configure mutual CHAP");
    expect(stages(peer)).to.deep.equal(["0", "0", "0>1"]);
  });

  it("refuses a target that proves another secret", async () => {
    const { result } = withChap(mutual, { ...chap, target: { user: "target", secret: "not-the-secret-of-it" } });
    const error = await errorOf(result);
    expect(error).to.be.instanceOf(LoginError);
    expect(error.reason).to.contain("chap.target.secret");
    expect(`${error.message}${error.stack}`).not.to.contain("not-the-secret-of-it");
  });

  it("takes None from the target one-way, and refuses it when the target has to prove itself", async () => {
    await withChap(chap, chap, { choosesNone: true }).result;
    const error = await errorOf(withChap(mutual, mutual, { choosesNone: true }).result);
    expect(error).to.be.instanceOf(LoginError);
    expect(error.reason).to.contain("wants no authentication");
  });

  it("refuses a target with mutual credentials that leaves AuthMethod out", async () => {
    const silent: AlterResponse = ({ pdu }) => ({ pdu, text: Buffer.alloc(0) });
    const error = await errorOf(
      start({ alter: silent, login: { chap: mutual }, target: { chap: mutual }, faults: { choosesNone: true } }).result,
    );
    expect(error).to.be.instanceOf(LoginError);
    expect(error.reason).to.contain("wants no authentication");
  });

  for (const [method, fix] of [
    ["Reject", "rejects AuthMethod"],
    ["NotUnderstood", "rejects AuthMethod"],
    ["KRB5", "asks for AuthMethod=KRB5"],
  ] as const)
    it(`says what to do about AuthMethod=${method}`, async () => {
      const error = await errorOf(withChap(chap, chap, { authMethod: method }).result);
      expect(error).to.be.instanceOf(LoginError);
      expect(error.reason).to.contain(fix).and.to.contain("set it up for CHAP");
    });

  it("asks for credentials when the target wants CHAP and there are none", async () => {
    const error = await errorOf(start({ target: { chap }, faults: { authMethod: "CHAP" } }).result);
    expect(error.reason).to.equal("the target asks for AuthMethod=CHAP; give it CHAP credentials");
  });

  it("ends when the target knows none of the algorithms", async () => {
    const { result } = withChap(chap, chap, { alterChap: () => [["CHAP_A", "Reject"]] });
    expect((await errorOf(result)).reason).to.contain("none of the CHAP algorithms");
  });

  it("names the refusal of a wrong secret", async () => {
    const { result } = withChap({ ...chap, secret: "wrong-but-long-enough" }, chap);
    const error = (await errorOf(result)) as LoginError;
    expect([error.statusClass, error.statusDetail]).to.deep.equal([2, 1]);
    expect(`${error.message}${error.stack}`).not.to.contain("wrong-but-long-enough");
  });
});

describe("login status (RFC 7143 11.13.5)", () => {
  for (const status of [
    0x0200, 0x0201, 0x0202, 0x0203, 0x0204, 0x0205, 0x0206, 0x0207, 0x0208, 0x0209, 0x020a, 0x020b, 0x0300, 0x0301,
    0x0302,
  ])
    it(`0x${status.toString(16).padStart(4, "0")} ends the login with its numbers and what to do`, async () => {
      const [statusClass, statusDetail] = [status >> 8, status & 0xff];
      const error = (await errorOf(
        start({ target: { refuseLogin: { statusClass, statusDetail } } }).result,
      )) as LoginError;
      expect([error.statusClass, error.statusDetail]).to.deep.equal([statusClass, statusDetail]);
      expect(error.reason).to.match(/; .+ \(class \d, detail \d+\)$/);
    });

  it("of an unknown detail is told by its class, of an unknown class by its numbers", () => {
    expect(loginStatusText(2, 99)).to.equal("the target blames the initiator (class 2, detail 99)");
    expect(loginStatusText(3, 99)).to.contain("blames itself");
    expect(loginStatusText(9, 1)).to.equal("refused (class 9, detail 1)");
  });

  it("of class 1 carries where to go", async () => {
    const refuseLogin = { statusClass: 1, statusDetail: 1, redirectTo: "192.0.2.9:3261,2" };
    const error = (await errorOf(start({ target: { refuseLogin } }).result)) as LoginError;
    expect(error.redirectTo).to.equal("192.0.2.9:3261,2");
  });

  it("is judged before the fields that mean nothing in a refusal", async () => {
    const alter: AlterResponse = (a) => ({
      ...a,
      pdu: { ...a.pdu, versionActive: 9, isid: Buffer.alloc(6), tsih: 77 },
    });
    const error = (await errorOf(
      start({ alter, target: { refuseLogin: { statusClass: 2, statusDetail: 5 } } }).result,
    )) as LoginError;
    expect(error.statusDetail).to.equal(5);
  });
});
