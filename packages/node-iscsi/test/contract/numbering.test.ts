// Numbering on the wire (RFC 7143 4.2.2.1 CmdSN and its window, 4.2.2.2 StatSN, 11.12.8, 11.12.9).
import { expect } from "chai";
import { connect, ProtocolError, read16, testUnitReady } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { NO_TAG, OPCODE, type SentPdu } from "./raw-pdus.ts";
import { optionsFor, withSession, withTarget } from "./scripted-target.ts";

describe("contract: command numbering", () => {
  it("4.2.2.1, 11.12.8: login requests are immediate with one CmdSN; the first command carries it, each later one the next", () =>
    withSession({}, async ({ session, peer, opening }) => {
      const [first, second, probe] = opening;
      expect(first!.isImmediate && second!.isImmediate).to.equal(true);
      expect(second!.cmdSn).to.equal(first!.cmdSn);
      expect(probe!.isImmediate).to.equal(false);
      expect(probe!.cmdSn).to.equal(first!.cmdSn);
      for (const step of [1, 2, 3]) {
        const done = session.execute(testUnitReady());
        const command = await peer.expect(OPCODE.scsiCommand);
        expect(command.cmdSn).to.equal((first!.cmdSn + step) >>> 0);
        peer.respond(command);
        await done;
      }
    }));

  it("4.2.2.1: an immediate NOP-Out carries the current CmdSN and does not use it up", () =>
    withSession({}, async ({ session, peer, opening }) => {
      const pinged = session.ping(1000);
      const ping = await peer.expect(OPCODE.nopOut);
      expect(ping.isImmediate).to.equal(true);
      expect(ping.cmdSn).to.equal((opening[2]!.cmdSn + 1) >>> 0);
      peer.sendNumbered({ opcode: OPCODE.nopIn, word16: ping.initiatorTaskTag, word20: NO_TAG });
      await pinged;
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      expect(command.cmdSn).to.equal(ping.cmdSn);
      peer.respond(command);
      await done;
    }));

  it("4.2.2.1: an immediate ABORT TASK carries the current CmdSN and does not use it up", () =>
    withSession({}, async ({ session, peer }) => {
      const caller = new AbortController();
      const aborted = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
      const command = await peer.expect(OPCODE.scsiCommand);
      caller.abort();
      const request = await peer.expect(OPCODE.taskManagementRequest);
      expect([request.isImmediate, request.cmdSn]).to.deep.equal([true, (command.cmdSn + 1) >>> 0]);
      peer.sendNumbered({ opcode: OPCODE.taskManagementResponse, word16: request.initiatorTaskTag });
      await aborted;
      const done = session.execute(testUnitReady());
      const next = await peer.expect(OPCODE.scsiCommand);
      expect(next.cmdSn).to.equal(request.cmdSn);
      peer.respond(next);
      await done;
    }));

  it("11.2.1.8: no two outstanding tasks share an Initiator Task Tag, and none has the reserved one", () =>
    withSession({}, async ({ session, peer }) => {
      const done = Promise.all(Array.from({ length: 8 }, () => session.execute(testUnitReady())));
      const commands: SentPdu[] = [];
      for (let index = 0; index < 8; index += 1) commands.push(await peer.expect(OPCODE.scsiCommand));
      const tags = new Set(commands.map((command) => command.initiatorTaskTag));
      expect(tags.size).to.equal(8);
      expect(tags.has(NO_TAG)).to.equal(false);
      for (const command of commands.reverse()) peer.respond(command);
      await done;
    }));
});

describe("contract: the command window", () => {
  it("4.2.2.1: a window closed by SCSI Responses holds commands back until a NOP-In opens it", () =>
    withSession({ window: 2 }, async ({ session, peer }) => {
      const done = Promise.all([1, 2, 3].map(() => session.execute(testUnitReady())));
      const commands = [await peer.expect(OPCODE.scsiCommand), await peer.expect(OPCODE.scsiCommand)];
      // MaxCmdSN = ExpCmdSN - 1: both are answered and yet nothing more may come.
      peer.window = 0;
      for (const command of commands) peer.respond(command);
      await peer.expectNothing();
      peer.window = 1;
      peer.nopIn();
      peer.respond(await peer.expect(OPCODE.scsiCommand));
      await done;
    }));

  it("4.2.2.1: with a window of one there is never more than one unacknowledged command", () =>
    withSession({ window: 1 }, async ({ session, peer }) => {
      const done = Promise.all([1, 2, 3].map(() => session.execute(testUnitReady())));
      for (const _ of [1, 2, 3]) {
        const command = await peer.expect(OPCODE.scsiCommand);
        peer.window = 0;
        await peer.expectNothing();
        peer.window = 1;
        peer.respond(command);
      }
      await done;
    }));

  it("4.2.2.1: a large window is used: commands leave without waiting for answers", () =>
    withSession({ window: 100 }, async ({ session, peer }) => {
      const done = Promise.all(Array.from({ length: 60 }, () => session.execute(testUnitReady())));
      const commands: SentPdu[] = [];
      for (let index = 0; index < 60; index += 1) commands.push(await peer.expect(OPCODE.scsiCommand));
      const numbers = commands.map((command) => (command.cmdSn - commands[0]!.cmdSn) >>> 0);
      expect(numbers).to.deep.equal(Array.from({ length: 60 }, (_unused, index) => index));
      for (const command of commands) peer.respond(command);
      await done;
    }));

  it("4.2.2.1: a login that ends with a closed window sends no command until the window opens", () =>
    withTarget(async (target) => {
      const connecting = connect(optionsFor(target));
      connecting.catch(() => undefined);
      const peer = await target.accept();
      const [first] = await peer.login({ window: 0 });
      await peer.expectNothing();
      peer.window = 1;
      peer.nopIn();
      const probe = await peer.expect(OPCODE.scsiCommand);
      expect(probe.cmdSn).to.equal(first!.cmdSn);
      peer.respond(probe);
      (await connecting).destroy();
    }));

  it("4.2.2.1: MaxCmdSN below ExpCmdSN - 1 is ignored, both fields of it", () =>
    withSession({ window: 2 }, async ({ session, peer }) => {
      const done = Promise.all([1, 2, 3].map(() => session.execute(testUnitReady())));
      const commands = [await peer.expect(OPCODE.scsiCommand), await peer.expect(OPCODE.scsiCommand)];
      // Taken modulo 2^32 this MaxCmdSN is far ahead of ours, but it is 2 below its own ExpCmdSN.
      const ahead = (peer.expCmdSn + 1000) >>> 0;
      peer.window = 0;
      peer.nopIn({ word28: (ahead + 2) >>> 0, word32: ahead });
      await peer.expectNothing();
      peer.window = 1;
      peer.respond(commands[0]!);
      commands.push(await peer.expect(OPCODE.scsiCommand));
      for (const command of commands.slice(1)) peer.respond(command);
      await done;
    }));

  it("4.2.2.1: a smaller MaxCmdSN than before never shrinks the window", () =>
    withSession({ window: 4 }, async ({ session, peer }) => {
      peer.nopIn({ word32: (peer.expCmdSn + 1) >>> 0 });
      const done = Promise.all([1, 2, 3, 4].map(() => session.execute(testUnitReady())));
      const commands: SentPdu[] = [];
      for (const _ of [1, 2, 3, 4]) commands.push(await peer.expect(OPCODE.scsiCommand));
      for (const command of commands) peer.respond(command);
      await done;
    }));

  it("4.2.2.1: pings and ABORT TASK pass a closed window", () =>
    withSession({ window: 1 }, async ({ session, peer }) => {
      const caller = new AbortController();
      const aborted = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
      await peer.expect(OPCODE.scsiCommand);
      peer.window = 0;
      const pinged = session.ping(1000);
      const ping = await peer.expect(OPCODE.nopOut);
      peer.sendNumbered({ opcode: OPCODE.nopIn, word16: ping.initiatorTaskTag, word20: NO_TAG });
      await pinged;
      caller.abort();
      const request = await peer.expect(OPCODE.taskManagementRequest);
      peer.sendNumbered({ opcode: OPCODE.taskManagementResponse, word16: request.initiatorTaskTag });
      await aborted;
    }));
});

describe("contract: status numbering", () => {
  it("11.12.9, 4.2.2.2: ExpStatSN is one more than the last StatSN, in every kind of PDU", () =>
    withSession({ statSn: 500 }, async ({ session, peer, opening }) => {
      expect(opening.slice(1).map((pdu) => pdu.expStatSn)).to.deep.equal([501, 502]);
      const pinged = session.ping(1000);
      const ping = await peer.expect(OPCODE.nopOut);
      expect(ping.expStatSn).to.equal(503);
      peer.sendNumbered({ opcode: OPCODE.nopIn, word16: ping.initiatorTaskTag, word20: NO_TAG });
      await pinged;
      peer.asyncMessage(255);
      peer.nopIn({ word20: 7 });
      expect((await peer.expect(OPCODE.nopOut)).expStatSn).to.equal(505);
      const caller = new AbortController();
      const aborted = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
      expect((await peer.expect(OPCODE.scsiCommand)).expStatSn).to.equal(505);
      caller.abort();
      const abort = await peer.expect(OPCODE.taskManagementRequest);
      expect(abort.expStatSn).to.equal(505);
      peer.sendNumbered({ opcode: OPCODE.taskManagementResponse, word16: abort.initiatorTaskTag });
      await aborted;
      void session.logout();
      expect((await peer.expect(OPCODE.logoutRequest)).expStatSn).to.equal(506);
    }));

  it("4.2.2.1, 4.2.2.2: StatSN wraps from ffffffff to 0 without a gap", () =>
    withSession({ statSn: 0xfffffffe }, async ({ session, peer, opening }) => {
      // Logins took fffffffe and ffffffff, the probe's answer 0.
      expect(opening.map((pdu) => pdu.expStatSn).slice(1)).to.deep.equal([0xffffffff, 0]);
      for (const expected of [1, 2]) {
        const done = session.execute(testUnitReady());
        const command = await peer.expect(OPCODE.scsiCommand);
        expect(command.expStatSn).to.equal(expected);
        peer.respond(command);
        await done;
      }
    }));

  it("4.2.2.2: PDUs that only show StatSN do not use it up: NOP-In of the target, R2T, Data-In without status", () =>
    withSession({}, async ({ session, peer }) => {
      const into = Buffer.alloc(1024);
      const done = session.execute(read16(0, 2, into));
      const command = await peer.expect(OPCODE.scsiCommand);
      // StatSN is reserved in a Data-In without status: whatever stands there means nothing (RFC 7143 11.7.3).
      peer.dataIn(command, { word24: 0x12345678, flags: 0 }, Buffer.alloc(512, 1));
      peer.nopIn({ word24: peer.statSn });
      peer.dataInWithStatus(command, { word36: 1, word40: 512 }, Buffer.alloc(512, 2));
      await done;
      const next = session.execute(testUnitReady());
      const after = await peer.expect(OPCODE.scsiCommand);
      expect(after.expStatSn).to.equal(peer.statSn);
      peer.respond(after);
      await next;
    }));

  it("4.2.2.2, 7.9: a gap in StatSN is a lost status; at level 0 the connection ends", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.execute(testUnitReady()));
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.respond(command, { word24: (peer.statSn + 5) >>> 0 });
      await peer.expectClose();
      const error = await failed;
      expect(error.cause).to.be.instanceOf(ProtocolError);
      expect(error.message).to.contain("StatSN");
    }));
});
