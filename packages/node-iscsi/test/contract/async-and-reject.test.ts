// What a target says unasked: Asynchronous Message (RFC 7143 11.9) and Reject (11.17).
import { expect } from "chai";
import { type AsyncMessagePdu, connect, ProtocolError, TransportError, testUnitReady, write16 } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { NO_TAG, OPCODE } from "./raw-pdus.ts";
import { type OpenSession, optionsFor, withSession, withTarget } from "./scripted-target.ts";

const ScsiEvent = 0;
const LogoutRequest = 1;
const ConnectionDrop = 2;
const SessionDrop = 3;
const NegotiationRequest = 4;
const TaskTermination = 5;
const VendorEvent = 255;

/** What the scripted target says of itself, but for DefaultTime2Wait. */
const AGREEABLE = ["HeaderDigest=None", "DataDigest=None", "MaxRecvDataSegmentLength=8192"];

/** A session whose hook collects Asynchronous Messages. */
function withEvents(body: (open: OpenSession, events: AsyncMessagePdu[]) => Promise<void>): Promise<void> {
  const events: AsyncMessagePdu[] = [];
  const hooks = { onAsyncMessage: (message: AsyncMessagePdu) => void events.push(message) };
  return withSession({}, (open) => body(open, events), { hooks });
}

async function answerLogout({ peer }: OpenSession): Promise<void> {
  const logout = await peer.expect(OPCODE.logoutRequest);
  peer.sendNumbered({ opcode: OPCODE.logoutResponse, word16: logout.initiatorTaskTag });
  await peer.expectClose();
}

describe("contract: Asynchronous Message", () => {
  for (const [title, event] of [
    ["a logout request", LogoutRequest],
    ["a request to negotiate, which a logout answers as well,", NegotiationRequest],
  ] as const) {
    it(`11.9.1: on ${title} an idle session logs out at once`, () =>
      withEvents(async (open, events) => {
        open.peer.asyncMessage(event, [0, 0, 5]);
        await answerLogout(open);
        expect(events.map((message) => [message.event, message.parameter3])).to.deep.equal([[event, 5]]);
      }));

    it(`11.9.1: on ${title} no new command is sent, and what is outstanding may still be answered`, () =>
      withEvents(async (open) => {
        const { session, peer } = open;
        const done = session.execute(testUnitReady());
        const command = await peer.expect(OPCODE.scsiCommand);
        peer.asyncMessage(event, [0, 0, 60]);
        await peer.expectNothing();
        expect(await errorOf(session.execute(testUnitReady()))).to.be.instanceOf(TransportError);
        peer.respond(command);
        await done;
        await answerLogout(open);
      }));
  }

  it("11.9.1: the logout comes within Parameter3 seconds even when a command is never answered", () =>
    withEvents(async (open) => {
      const failed = errorOf(open.session.execute(testUnitReady()));
      await open.peer.expect(OPCODE.scsiCommand);
      const askedAt = performance.now();
      open.peer.asyncMessage(LogoutRequest, [0, 0, 1]);
      await answerLogout(open);
      expect(performance.now() - askedAt).to.be.below(1000);
      expect(await failed).to.be.instanceOf(TransportError);
    }));

  for (const [title, event] of [
    ["drops this connection", ConnectionDrop],
    ["drops all connections", SessionDrop],
  ] as const)
    it(`11.9.1: a target that ${title} gets no more PDUs, and every command fails with the reason`, () =>
      withEvents(async ({ session, peer }) => {
        const failed = errorOf(session.execute(testUnitReady()));
        await peer.expect(OPCODE.scsiCommand);
        peer.asyncMessage(event, [0, 2, 20]);
        await peer.expectClose();
        const error = await failed;
        expect(error).to.be.instanceOf(TransportError);
        expect(error.message).to.contain("drops the connection");
      }));

  for (const [title, event] of [
    ["this connection", ConnectionDrop],
    ["all connections", SessionDrop],
  ] as const)
    it(`7.5, 11.9.1: after the drop of ${title} the next login waits the Parameter2 seconds of the message`, () =>
      withTarget(async (target) => {
        const options = { probe: false, recovery: { firstBackoffMs: 1 } };
        const connecting = connect(optionsFor(target, options));
        const first = await target.accept();
        await first.login({ keys: [...AGREEABLE, "DefaultTime2Wait=0"] });
        const session = await connecting;
        try {
          const done = session.execute(testUnitReady());
          await first.expect(OPCODE.scsiCommand);
          const droppedAt = performance.now();
          first.asyncMessage(event, [0, 1, 20]);
          const second = await target.accept();
          // A load on this machine can only add to it. Timers may fire a little early.
          expect(performance.now() - droppedAt).to.be.at.least(998);
          await second.login();
          second.respond(await second.expect(OPCODE.scsiCommand));
          await done;
        } finally {
          session.destroy();
        }
      }));

  for (const [title, event] of [
    ["a SCSI event", ScsiEvent],
    ["a vendor's event", VendorEvent],
    ["the end of tasks, which only FastAbort may announce,", TaskTermination],
    ["an event of the future", 77],
  ] as const)
    it(`11.9.1: ${title} is shown to the caller, its StatSN acknowledged, and the session goes on`, () =>
      withEvents(async ({ session, peer }, events) => {
        const done = session.execute(testUnitReady());
        const command = await peer.expect(OPCODE.scsiCommand);
        peer.asyncMessage(event, [1, 2, 3], { lun: "0001000000000000" });
        peer.nopIn({ word20: 9 });
        expect((await peer.expect(OPCODE.nopOut)).expStatSn).to.equal(peer.statSn);
        peer.respond(command);
        await done;
        const seen = events.map(({ event, parameter1, parameter2, parameter3 }) => [
          event,
          parameter1,
          parameter2,
          parameter3,
        ]);
        expect(seen).to.deep.equal([[event, 1, 2, 3]]);
      }));
});

describe("contract: Reject", () => {
  const reasons: [number, string][] = [
    [0x03, "SNACK"],
    [0x04, "protocol error"],
    [0x05, "not supported"],
    [0x06, "too many immediate"],
    [0x07, "task in progress"],
    [0x08, "acknowledgement"],
    [0x09, "invalid PDU field"],
    [0x0a, "out of resources"],
    [0x0b, "negotiation reset"],
    [0x0c, "waiting for logout"],
    [0x0d, "0x0d"],
    [0xff, "0xff"],
  ];
  for (const [reason, text] of reasons)
    it(`11.17.1: reason 0x${reason.toString(16).padStart(2, "0")} of a SCSI Command fails that command, says why, and no other`, () =>
      withSession({}, async ({ session, peer }) => {
        const failed = errorOf(session.execute(testUnitReady()));
        const done = session.execute(testUnitReady());
        const first = await peer.expect(OPCODE.scsiCommand);
        const second = await peer.expect(OPCODE.scsiCommand);
        peer.reject(first, reason);
        const error = await failed;
        expect(error).to.be.instanceOf(ProtocolError);
        expect(error.message).to.contain(text);
        peer.respond(second);
        await done;
      }));

  it("7.8, 11.17.1: a command lost to a digest error ends the connection, whose recovery would send it again", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.execute(testUnitReady()));
      peer.reject(await peer.expect(OPCODE.scsiCommand), 0x02);
      const error = await failed;
      expect(error).to.be.instanceOf(TransportError);
      expect(error.message).to.contain("digest");
      await peer.expectClose();
    }));

  it("4.2.2.1: a rejected command whose CmdSN the target did not count leaves a hole that only a new session closes", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.execute(testUnitReady()));
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.expCmdSn = command.cmdSn;
      peer.reject(command, 0x09);
      expect(await failed).to.be.instanceOf(ProtocolError);
      await peer.expectClose();
    }));

  it("11.17: after a rejected Data-Out the command ends by its own status only", () =>
    withSession({ keys: ["InitialR2T=Yes", "ImmediateData=No"] }, async ({ session, peer }) => {
      const failed = errorOf(session.execute(write16(0, 2, Buffer.alloc(1024))));
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.readyToTransfer(command, 1, 0, 0, 1024);
      const data = await peer.expect(OPCODE.dataOut);
      peer.reject(data, 0x09);
      await peer.expectNothing();
      peer.respond(command, { byte3: 0x02 });
      expect(await failed).to.have.property("code", "Scsi");
    }));

  it("11.17: a rejected ping fails the ping, not the session", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.ping(1000));
      peer.reject(await peer.expect(OPCODE.nopOut), 0x06);
      expect((await failed).message).to.contain("too many immediate");
      await peer.expectNothing();
    }));

  it("11.17: a Reject of something long gone, or without the whole header, changes nothing but StatSN", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      const gone = Buffer.from(command.header);
      gone.writeUInt32BE(0x7777, 16);
      peer.sendNumbered({ opcode: OPCODE.reject, byte2: 4, word16: NO_TAG }, { data: gone });
      const part = command.header.subarray(0, 20);
      peer.sendNumbered({ opcode: OPCODE.reject, byte2: 4, word16: NO_TAG }, { data: part });
      await peer.expectNothing();
      peer.respond(command);
      await done;
    }));
});
