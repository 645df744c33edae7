// Login phase on the wire (RFC 7143 6.3, 11.12, 11.13): the form of requests, stages, continuations, refusals, redirection.
import { expect } from "chai";
import { connect, IscsiError, LoginError, ProtocolError, TransportError } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { NO_TAG, OPCODE, rawPdu, type SentPdu, textOf } from "./raw-pdus.ts";
import { openSession, optionsFor, type ScriptedConnection, TARGET_NAME, withTarget } from "./scripted-target.ts";

/** Bits of byte 1: T, C, and the stages (RFC 7143 11.12.1 to 11.12.3). */
const TO_OPERATIONAL = 0x81;
const TO_FULL_FEATURE = 0x87;
const STAY_SECURITY = 0x00;
const STAY_OPERATIONAL = 0x04;
const CONTINUES = 0x40;

/** A login whose outcome is the error, and the target's end of it. */
async function withLogin(
  body: (peer: ScriptedConnection, failed: Promise<IscsiError>) => Promise<void>,
  options: Parameters<typeof optionsFor>[1] = {},
): Promise<void> {
  await withTarget(async (target) => {
    const failed = errorOf(connect(optionsFor(target, options)));
    failed.catch(() => undefined);
    await body(await target.accept(), failed);
  });
}

/** What stays the same in all requests of one login. */
function identity(request: SentPdu): string {
  return [
    request.header.toString("hex", 8, 14),
    request.initiatorTaskTag,
    request.header.readUInt16BE(20),
    request.cmdSn,
  ].join(" ");
}

describe("contract: Login Requests", () => {
  it("6.3.1, 11.12: the first one is immediate, asks for the operational stage, and says who, what and with whom", () =>
    withTarget(async (target) => {
      const { session, opening } = await openSession(target, {}, { initiatorName: "iqn.2026-11.test:me" });
      const first = opening[0]!;
      expect([first.isImmediate, first.flags]).to.deep.equal([true, TO_OPERATIONAL]);
      expect(first.header.toString("hex", 2, 4), "Version-max and Version-min").to.equal("0000");
      expect(first.header.readUInt16BE(14), "TSIH of a new session").to.equal(0);
      expect(first.initiatorTaskTag).to.not.equal(NO_TAG);
      expect(first.header.toString("hex", 32, 48)).to.equal("00".repeat(16));
      expect(first.data.at(-1), "the last pair ends with NUL").to.equal(0);
      expect(first.text).to.include.members([
        "InitiatorName=iqn.2026-11.test:me",
        "SessionType=Normal",
        `TargetName=${TARGET_NAME}`,
        "AuthMethod=None",
      ]);
      session.destroy();
    }));

  it("11.12.5: the ISID is of the random type and differs between sessions", () =>
    withTarget(async (target) => {
      const isids = new Set<string>();
      for (const _ of [1, 2, 3]) {
        const { session, opening } = await openSession(target);
        const isid = opening[0]!.header.subarray(8, 14);
        expect(isid.readUInt8(0), "T = 10b, A = 0").to.equal(0x80);
        isids.add(isid.toString("hex"));
        session.destroy();
      }
      expect(isids.size).to.equal(3);
    }));

  it("11.12.5 to 11.12.8: ISID, TSIH, tag, CID and CmdSN stay the same over the whole login", () =>
    withTarget(async (target) => {
      const { session, opening } = await openSession(target);
      const [first, second] = opening;
      expect(second!.flags).to.equal(TO_FULL_FEATURE);
      expect(identity(second!)).to.equal(identity(first!));
      expect(second!.header.readUInt16BE(14)).to.equal(0);
      session.destroy();
    }));

  for (const [title, names] of [
    ["more than 223 bytes", { targetName: `iqn.2026-11.test:${"x".repeat(210)}` }],
    ["no byte at all", { targetName: "" }],
    ["a NUL and a key behind it", { initiatorName: "iqn.a:b\0AuthMethod=None" }],
  ] as const)
    it(`4.2.7.1, 6.1: a name of ${title} is refused before anything is sent`, () =>
      withTarget(async (target) => {
        expect(await errorOf(connect(optionsFor(target, names)))).to.have.property("code", "InvalidArgument");
      }));

  it("13: the offer has each key once, and nothing in it is obsolete", () =>
    withTarget(async (target) => {
      const { session, opening } = await openSession(target);
      const keys = opening.slice(0, 2).flatMap((request) => request.text.map((pair) => pair.split("=")[0]));
      expect(new Set(keys).size).to.equal(keys.length);
      for (const obsolete of ["IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt"]) expect(keys).to.not.include(obsolete);
      session.destroy();
    }));
});

describe("contract: login stages", () => {
  it("6.3: a target that is not ready in either stage is asked again, without keys", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      const first = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(first, { flags: STAY_SECURITY }, textOf("AuthMethod=None"));
      const again = await peer.expect(OPCODE.loginRequest);
      expect([again.flags, again.data.length]).to.deep.equal([TO_OPERATIONAL, 0]);
      peer.loginResponse(again, { flags: TO_OPERATIONAL });
      const offer = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(offer, { flags: STAY_OPERATIONAL }, textOf("MaxBurstLength=4096"));
      const last = await peer.expect(OPCODE.loginRequest);
      expect([last.flags, last.data.length, identity(last)]).to.deep.equal([TO_FULL_FEATURE, 0, identity(first)]);
      peer.loginResponse(last, { flags: TO_FULL_FEATURE, tsih: 7 });
      peer.respond(await peer.expect(OPCODE.scsiCommand));
      const session = await connecting;
      expect(session.parameters.maxBurstBytes).to.equal(4096);
      session.destroy();
    }));

  it("6.2, 11.13.7: an answer in several PDUs is asked on with empty requests and read as one text, also cut inside a key", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      await peer.securityStage();
      const text = textOf("MaxBurstLength=4096", "FirstBurstLength=2048", "TargetAlias=a disk");
      let request = await peer.expect(OPCODE.loginRequest);
      for (const [from, to] of [
        [0, 9],
        [9, 30],
      ] as const) {
        peer.loginResponse(request, { flags: STAY_OPERATIONAL | CONTINUES }, text.subarray(from, to));
        request = await peer.expect(OPCODE.loginRequest);
        expect([request.flags, request.data.length], "no T, no C, no data").to.deep.equal([STAY_OPERATIONAL, 0]);
      }
      peer.loginResponse(request, { flags: STAY_OPERATIONAL }, text.subarray(30));
      request = await peer.expect(OPCODE.loginRequest);
      expect(request.flags).to.equal(TO_FULL_FEATURE);
      peer.loginResponse(request, { flags: TO_FULL_FEATURE, tsih: 1 });
      peer.respond(await peer.expect(OPCODE.scsiCommand));
      const session = await connecting;
      const { maxBurstBytes, firstBurstBytes, targetAlias } = session.parameters;
      expect([maxBurstBytes, firstBurstBytes, targetAlias]).to.deep.equal([4096, 2048, "a disk"]);
      session.destroy();
    }));

  it("6.3: what the target sends right behind its last Login Response, in the same segment, is not lost", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      await peer.securityStage();
      const request = await peer.expect(OPCODE.loginRequest);
      const numbers = { word24: peer.statSn, word28: request.cmdSn, word32: request.cmdSn + 8 };
      const lun = `${request.header.toString("hex", 8, 14)}0001`;
      const final = { opcode: OPCODE.loginResponse, flags: TO_FULL_FEATURE, lun, word16: request.initiatorTaskTag };
      const ping = { opcode: OPCODE.nopIn, word16: NO_TAG, word20: 3, ...numbers, word24: peer.statSn + 1 };
      peer.write(Buffer.concat([rawPdu({ ...final, ...numbers }), rawPdu(ping)]));
      peer.statSn += 1;
      expect((await peer.expect(OPCODE.nopOut)).targetTransferTag).to.equal(3);
      peer.respond(await peer.expect(OPCODE.scsiCommand));
      (await connecting).destroy();
    }));

  const wrongTurns: [string, { flags: number; data?: string[] }][] = [
    ["11.12.1: T and C together", { flags: TO_OPERATIONAL | CONTINUES }],
    ["6.3, 11.13.3: a jump to full feature phase without a session handle", { flags: 0x83 }],
    ["11.12.3: a transit to the reserved stage 2", { flags: 0x82 }],
    ["11.12.3: a transit that goes nowhere", { flags: 0x80 }],
    ["11.13: another current stage than ours", { flags: 0x87 }],
    ["6.1: text that is no key=value pair", { flags: TO_OPERATIONAL, data: ["nonsense"] }],
    ["6.1: a key that is too long", { flags: TO_OPERATIONAL, data: [`${"k".repeat(64)}=1`] }],
    ["6.2: a key twice in one answer", { flags: TO_OPERATIONAL, data: ["TargetAlias=a", "TargetAlias=b"] }],
  ];
  for (const [title, { flags, data = [] }] of wrongTurns)
    it(`${title} ends the login`, () =>
      withLogin(async (peer, failed) => {
        peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags }, textOf(...data));
        await peer.expectClose();
        expect(await failed).to.be.instanceOf(ProtocolError);
      }));

  const wrongEnds: [string, { flags: number; tsih?: number }][] = [
    ["11.13.3: a session handle of 0 at the end", { flags: TO_FULL_FEATURE, tsih: 0 }],
    ["11.12.3: a transit to the reserved stage 2 at the end", { flags: 0x86, tsih: 1 }],
    ["11.12.3: a transit back", { flags: 0x84, tsih: 1 }],
  ];
  for (const [title, fields] of wrongEnds)
    it(`${title} ends the login`, () =>
      withLogin(async (peer, failed) => {
        await peer.securityStage();
        peer.loginResponse(await peer.expect(OPCODE.loginRequest), fields);
        await peer.expectClose();
        expect(await failed).to.be.instanceOf(ProtocolError);
      }));

  it("11.12.1: a target that moves on although we did not ask (CHAP is not done yet) ends the login", () =>
    withLogin(
      async (peer, failed) => {
        const request = await peer.expect(OPCODE.loginRequest);
        expect(request.flags).to.equal(STAY_SECURITY);
        peer.loginResponse(request, { flags: TO_OPERATIONAL }, textOf("AuthMethod=CHAP"));
        await peer.expectClose();
        expect(await failed).to.be.instanceOf(IscsiError);
      },
      { chap: { user: "u", secret: "a secret of some length" } },
    ));

  it("11.13.2: an active version we do not speak ends the login", () =>
    withLogin(async (peer, failed) => {
      const request = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(request, { flags: TO_OPERATIONAL, byte3: 1 }, textOf("AuthMethod=None"));
      await peer.expectClose();
      expect(await failed).to.be.instanceOf(IscsiError);
    }));

  it("11.13: an answer with another tag, or one that is no Login Response, ends the login", async () => {
    for (const wrong of [{ word16: 0x7777 }, { opcode: OPCODE.nopIn }])
      await withLogin(async (peer, failed) => {
        peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: TO_OPERATIONAL, ...wrong });
        await peer.expectClose();
        expect(await failed).to.be.instanceOf(ProtocolError);
      });
  });

  it("6.3: a negotiation that never ends is ended by us", () =>
    withLogin(async (peer, failed) => {
      for (let index = 0; index < 200; index += 1) {
        const request = await peer.next();
        if (request === undefined) break;
        peer.loginResponse(request, { flags: STAY_SECURITY }, textOf());
      }
      expect(await failed).to.be.instanceOf(ProtocolError);
    }));

  it("6.3.6, 7.14: a target that closes in the middle of the login is a TransportError", () =>
    withLogin(async (peer, failed) => {
      await peer.securityStage();
      await peer.expect(OPCODE.loginRequest);
      peer.destroy();
      expect(await failed).to.be.instanceOf(TransportError);
    }));
});

describe("contract: login status", () => {
  const refusals: [number, number, string][] = [
    [2, 0, "initiator error"],
    [2, 1, "authentication"],
    [2, 2, "not allowed"],
    [2, 3, "no such target"],
    [2, 4, "removed"],
    [2, 5, "version"],
    [2, 6, "too many connections"],
    [2, 7, "missing"],
    [2, 8, "session"],
    [2, 9, "session"],
    [2, 10, "does not exist"],
    [2, 11, "invalid request"],
    [3, 0, "target error"],
    [3, 1, "unavailable"],
    [3, 2, "out of resources"],
    [4, 0, "class 4"],
  ];
  for (const [statusClass, statusDetail, text] of refusals)
    it(`11.13.5: class ${statusClass}, detail ${statusDetail} is a LoginError that says so`, () =>
      withLogin(async (peer, failed) => {
        const request = await peer.expect(OPCODE.loginRequest);
        // T and the stages are meaningless in a refusal.
        peer.loginResponse(request, { flags: 0, word36: (statusClass << 24) | (statusDetail << 16) });
        await peer.expectClose();
        const error = (await failed) as LoginError;
        expect(error).to.be.instanceOf(LoginError);
        expect([error.statusClass, error.statusDetail]).to.deep.equal([statusClass, statusDetail]);
        expect(error.message).to.contain(text);
      }));

  it("11.13.5: a refusal at the end of the operational stage is one too", () =>
    withLogin(async (peer, failed) => {
      await peer.securityStage();
      peer.loginResponse(await peer.expect(OPCODE.loginRequest), { flags: TO_FULL_FEATURE, word36: 0x02060000 });
      await peer.expectClose();
      expect(await failed).to.be.instanceOf(LoginError);
    }));

  for (const [title, detail] of [
    ["temporarily", 1],
    ["permanently", 2],
  ] as const)
    it(`11.13.5, 13.8: a target that moved ${title} is logged in to at its new address, from the start`, () =>
      withTarget((from) =>
        withTarget(async (to) => {
          const connecting = connect(optionsFor(from));
          connecting.catch(() => undefined);
          const old = await from.accept();
          const status = 0x01000000 | (detail << 16);
          const request = await old.expect(OPCODE.loginRequest);
          old.loginResponse(request, { flags: 0, word36: status }, textOf(`TargetAddress=127.0.0.1:${to.port},3`));
          await old.expectClose();
          const peer = await to.accept();
          const [first] = await peer.login();
          expect(first!.text).to.deep.equal(request.text);
          expect([first!.flags, first!.header.readUInt16BE(14), first!.expStatSn]).to.deep.equal([
            TO_OPERATIONAL,
            0,
            0,
          ]);
          peer.respond(await peer.expect(OPCODE.scsiCommand));
          (await connecting).destroy();
        }),
      ));

  it("11.13.5: a redirection without an address is a LoginError", () =>
    withLogin(async (peer, failed) => {
      const request = await peer.expect(OPCODE.loginRequest);
      peer.loginResponse(request, { flags: 0, word36: 0x01010000 });
      await peer.expectClose();
      expect(await failed).to.be.instanceOf(LoginError);
    }));
});
