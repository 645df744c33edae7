// ABORT TASK (RFC 7143 4.2.3, 11.5, 11.6) and Logout (11.14, 11.15).
import { expect } from "chai";
import { AbortedError, read16, TimeoutError, TransportError, testUnitReady, write16 } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { FINAL, NO_TAG, OPCODE, type SentPdu } from "./raw-pdus.ts";
import { LUN_1, type OpenSession, withSession } from "./scripted-target.ts";

const ABORT_TASK = 1;

/** A command the caller has given up, and the request that says so to the target. */
async function startAbort({ session, peer }: OpenSession) {
  const caller = new AbortController();
  const failed = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
  const command = await peer.expect(OPCODE.scsiCommand);
  caller.abort();
  const request = await peer.expect(OPCODE.taskManagementRequest);
  return { failed, command, request };
}

function answer({ peer }: OpenSession, request: SentPdu, response: number): void {
  peer.sendNumbered({
    opcode: OPCODE.taskManagementResponse,
    byte2: response,
    word16: request.initiatorTaskTag,
  });
}

describe("contract: ABORT TASK", () => {
  it("11.5: carries the task's tag, its LUN, its CmdSN as RefCmdSN, and a tag of its own", () =>
    withSession({}, async (open) => {
      const { failed, command, request } = await startAbort(open);
      expect([request.isImmediate, request.flags, request.lun]).to.deep.equal([true, FINAL | ABORT_TASK, command.lun]);
      expect(request.word(20), "Referenced Task Tag").to.equal(command.initiatorTaskTag);
      expect(request.word(32), "RefCmdSN").to.equal(command.cmdSn);
      expect(request.initiatorTaskTag).to.not.equal(command.initiatorTaskTag).and.not.equal(NO_TAG);
      expect([request.word(36), request.data.length]).to.deep.equal([0, 0]);
      answer(open, request, 0);
      expect(await failed).to.be.instanceOf(AbortedError);
    }));

  it("11.5, 7.11: a command without an answer is aborted when its time is up", () =>
    withSession({}, async (open) => {
      const failed = errorOf(open.session.execute(testUnitReady(), { deadlineMs: 20 }));
      const command = await open.peer.expect(OPCODE.scsiCommand);
      const request = await open.peer.expect(OPCODE.taskManagementRequest);
      expect(request.word(20)).to.equal(command.initiatorTaskTag);
      answer(open, request, 0);
      expect(await failed).to.be.instanceOf(TimeoutError);
    }));

  for (const [title, response] of [
    ["function complete", 0],
    ["task does not exist", 1],
  ] as const)
    it(`11.6.1: ${title}: the task is gone and the session goes on`, () =>
      withSession({}, async (open) => {
        const { failed, request } = await startAbort(open);
        answer(open, request, response);
        expect(await failed).to.be.instanceOf(AbortedError);
        await open.peer.expectNothing();
      }));

  for (const [title, response] of [
    ["LUN does not exist", 2],
    ["task still allegiant", 3],
    ["reassignment not supported", 4],
    ["function not supported", 5],
    ["authorization failed", 6],
    ["function rejected", 255],
  ] as const)
    it(`11.6.1: ${title}: the task may run on, so the connection is given up`, () =>
      withSession({}, async (open) => {
        const { failed, request } = await startAbort(open);
        answer(open, request, response);
        await open.peer.expectClose();
        expect(await failed).to.be.instanceOf(AbortedError);
      }));

  it("11.6: a response for a task nobody knows is dropped", () =>
    withSession({}, async ({ peer }) => {
      peer.sendNumbered({ opcode: OPCODE.taskManagementResponse, word16: 0x7777 });
      await peer.expectNothing();
    }));

  it("4.2.3.3: while an abort is under way, R2Ts and pings of the target are still answered", () =>
    withSession({ keys: ["InitialR2T=Yes", "ImmediateData=No"] }, async (open) => {
      const caller = new AbortController();
      const failed = errorOf(open.session.execute(write16(0, 1, Buffer.alloc(512)), { signal: caller.signal }));
      const command = await open.peer.expect(OPCODE.scsiCommand);
      caller.abort();
      const request = await open.peer.expect(OPCODE.taskManagementRequest);
      open.peer.readyToTransfer(command, 0xabc, 0, 0, 512);
      expect((await open.peer.expect(OPCODE.dataOut)).targetTransferTag).to.equal(0xabc);
      await open.peer.expectNothing();
      answer(open, request, 0);
      expect(await failed).to.be.instanceOf(AbortedError);
    }));

  it("4.2.3.3: Data-In and status that cross the abort are taken, and the later response is no error", () =>
    withSession({}, async (open) => {
      const { session, peer } = open;
      const caller = new AbortController();
      const failed = errorOf(session.execute(read16(0, 1, Buffer.alloc(512)), { signal: caller.signal }));
      const command = await peer.expect(OPCODE.scsiCommand);
      caller.abort();
      const request = await peer.expect(OPCODE.taskManagementRequest);
      peer.dataInWithStatus(command, {}, Buffer.alloc(512));
      answer(open, request, 1);
      expect(await failed).to.be.instanceOf(AbortedError);
      await peer.expectNothing();
    }));

  it("4.2.2.1: a command still waiting for the window is withdrawn without a word to the target", () =>
    withSession({ window: 1 }, async ({ session, peer }) => {
      const caller = new AbortController();
      const done = session.execute(testUnitReady());
      const failed = errorOf(session.execute(testUnitReady(), { signal: caller.signal }));
      const command = await peer.expect(OPCODE.scsiCommand);
      caller.abort();
      expect(await failed).to.be.instanceOf(AbortedError);
      peer.respond(command);
      await done;
      await peer.expectNothing();
    }));
});

describe("contract: resets", () => {
  for (const [title, code, lun] of [
    ["LUN RESET", 5, LUN_1],
    ["TARGET WARM RESET", 6, "0000000000000000"],
  ] as const) {
    const start = (open: OpenSession) => (code === 5 ? open.session.lunReset() : open.session.targetWarmReset());

    it(`11.5.1 to 11.5.5: ${title} names no task, has the LUN only where it means something, and ends what it covers`, () =>
      withSession({}, async (open) => {
        const covered = errorOf(open.session.execute(testUnitReady()));
        await open.peer.expect(OPCODE.scsiCommand);
        const done = start(open);
        const request = await open.peer.expect(OPCODE.taskManagementRequest);
        expect([request.isImmediate, request.flags, request.lun]).to.deep.equal([true, FINAL | code, lun]);
        expect([request.word(20), request.word(32)]).to.deep.equal([NO_TAG, 0]);
        answer(open, request, 0);
        await done;
        expect(await covered).to.be.instanceOf(AbortedError);
        await open.peer.expectNothing();
      }));

    it(`11.6.1: a refused ${title} is an error of the call; the session goes on`, () =>
      withSession({}, async (open) => {
        const failed = errorOf(start(open));
        answer(open, await open.peer.expect(OPCODE.taskManagementRequest), 5);
        expect((await failed).message).to.contain("not supported");
        await open.peer.expectNothing();
      }));
  }
});

describe("contract: Logout", () => {
  it("11.14: closes the session: immediate, reason 0, tag of its own, no data, no later PDU", () =>
    withSession({}, async ({ session, peer, opening }) => {
      const ended = session.logout();
      const request = await peer.expect(OPCODE.logoutRequest);
      expect([request.isImmediate, request.flags]).to.deep.equal([true, FINAL]);
      expect(request.initiatorTaskTag).to.not.equal(NO_TAG);
      expect([request.word(20), request.data.length, request.header[4]]).to.deep.equal([0, 0, 0]);
      expect([request.cmdSn, request.expStatSn]).to.deep.equal([(opening[2]!.cmdSn + 1) >>> 0, peer.statSn]);
      expect(await errorOf(session.execute(testUnitReady()))).to.be.instanceOf(TransportError);
      peer.sendNumbered({ opcode: OPCODE.logoutResponse, word16: request.initiatorTaskTag });
      await peer.expectClose();
      await ended;
    }));

  it("11.14: waits for what is outstanding, and is sent once however often it is asked for", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      const ended = Promise.all([session.logout(), session.logout()]);
      await peer.expectNothing();
      peer.respond(command);
      await done;
      const request = await peer.expect(OPCODE.logoutRequest);
      peer.sendNumbered({ opcode: OPCODE.logoutResponse, word16: request.initiatorTaskTag });
      await peer.expectClose();
      await ended;
    }));

  for (const response of [1, 2, 3])
    it(`11.15.1: response ${response} does not keep us: the connection is closed all the same`, () =>
      withSession({}, async ({ session, peer }) => {
        const ended = session.logout();
        const request = await peer.expect(OPCODE.logoutRequest);
        peer.sendNumbered({ opcode: OPCODE.logoutResponse, byte2: response, word16: request.initiatorTaskTag });
        await peer.expectClose();
        await ended;
      }));

  it("11.14: a target that closes instead of answering does not make the logout fail", () =>
    withSession({}, async ({ session, peer }) => {
      const ended = session.logout();
      await peer.expect(OPCODE.logoutRequest);
      peer.destroy();
      await ended;
    }));
});
