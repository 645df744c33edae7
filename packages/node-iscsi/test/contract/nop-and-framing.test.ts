// NOP-Out and NOP-In (RFC 7143 11.18, 11.19) and the outer form of received PDUs (RFC 7143 7.7, 11.1, 11.2).
import { expect } from "chai";
import { ProtocolError, TransportError, testUnitReady } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { FINAL, NO_TAG, OPCODE, rawPdu } from "./raw-pdus.ts";
import { withSession } from "./scripted-target.ts";

describe("contract: NOP", () => {
  it("11.18, 11.19: a ping of the target is answered with its tag and LUN, immediate, without data and without a tag of ours", () =>
    withSession({}, async ({ session, peer, opening }) => {
      peer.nopIn({ word20: 0xfeedbeef, lun: "0001000200030004" });
      const answer = await peer.expect(OPCODE.nopOut);
      expect([answer.isImmediate, answer.flags, answer.lun]).to.deep.equal([true, FINAL, "0001000200030004"]);
      expect([answer.initiatorTaskTag, answer.targetTransferTag]).to.deep.equal([NO_TAG, 0xfeedbeef]);
      expect([answer.cmdSn, answer.expStatSn]).to.deep.equal([(opening[2]!.cmdSn + 1) >>> 0, peer.statSn]);
      expect(answer.data).to.have.length(0);
      expect(answer.word(36) | answer.word(40) | answer.word(44), "reserved words").to.equal(0);
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      expect(command.cmdSn).to.equal(answer.cmdSn);
      peer.respond(command);
      await done;
    }));

  it("11.19: a ping that carries data against the rule is answered all the same, without data", () =>
    withSession({}, async ({ peer }) => {
      peer.nopIn({ word20: 5 }, { data: Buffer.from("ping") });
      const answer = await peer.expect(OPCODE.nopOut);
      expect([answer.targetTransferTag, answer.data.length]).to.deep.equal([5, 0]);
    }));

  it("11.19: a NOP-In without a tag only informs and is not answered", () =>
    withSession({}, async ({ peer }) => {
      peer.nopIn();
      await peer.expectNothing();
      expect(peer.received.filter((pdu) => pdu.opcode === OPCODE.nopOut)).to.have.length(2);
    }));

  it("11.18: our ping is immediate, has a tag, LUN 0 and no target tag, and the NOP-In with that tag ends it", () =>
    withSession({}, async ({ session, peer }) => {
      const pinged = session.ping(1000);
      const ping = await peer.expect(OPCODE.nopOut);
      expect([ping.isImmediate, ping.flags, ping.lun]).to.deep.equal([true, FINAL, "0000000000000000"]);
      expect(ping.initiatorTaskTag).to.not.equal(NO_TAG);
      expect(ping.targetTransferTag).to.equal(NO_TAG);
      const answer = { opcode: OPCODE.nopIn, word16: ping.initiatorTaskTag, word20: NO_TAG };
      peer.sendNumbered(answer, { data: ping.data });
      await pinged;
      // The same answer again belongs to nobody.
      peer.sendNumbered(answer);
      await peer.expectNothing();
    }));

  it("11.18: several pings are told apart by their tags", () =>
    withSession({}, async ({ session, peer }) => {
      const order: number[] = [];
      const both = Promise.all([1, 2].map((name) => session.ping(1000).then(() => order.push(name))));
      const pings = [await peer.expect(OPCODE.nopOut), await peer.expect(OPCODE.nopOut)];
      for (const ping of pings.reverse())
        peer.sendNumbered({ opcode: OPCODE.nopIn, word16: ping.initiatorTaskTag, word20: NO_TAG });
      await both;
      expect(order).to.deep.equal([2, 1]);
    }));

  it("11.17.1: a keepalive ping that is refused (too many immediate commands) shows a living target, not a dead one", () =>
    withSession(
      {},
      async ({ session, peer }) => {
        peer.reject(await peer.expect(OPCODE.nopOut), 0x06);
        const next = await peer.expect(OPCODE.nopOut);
        peer.sendNumbered({ opcode: OPCODE.nopIn, word16: next.initiatorTaskTag, word20: NO_TAG });
        expect(session.isClosed).to.equal(false);
      },
      { keepaliveIntervalMs: 25, keepaliveDeadlineMs: 2000 },
    ));
});

describe("contract: the form of received PDUs", () => {
  it("11.2.2: additional header segments are skipped", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.respond(command, {}, { ahs: Buffer.from("0005010011223344", "hex") });
      await done;
      await peer.expectNothing();
    }));

  it("11.1: padding that is not zero is tolerated, after every length", () =>
    withSession({}, async ({ session, peer }) => {
      for (const length of [1, 2, 3, 5]) {
        const failed = errorOf(session.execute(testUnitReady()));
        const command = await peer.expect(OPCODE.scsiCommand);
        peer.respond(command, { byte3: 0x02 }, { data: Buffer.alloc(length), padByte: 0xff });
        expect(await failed).to.have.property("code", "Scsi");
      }
      await peer.expectNothing();
    }));

  it("11.2: reserved fields are ignored", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.respond(command, { lun: "ffffffffffffffff", word20: 0xffffffff, word40: 0xffffffff });
      await done;
    }));

  it("11.2: PDUs cut at any byte by TCP are put together", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(testUnitReady());
      const command = await peer.expect(OPCODE.scsiCommand);
      const numbers = { word24: peer.statSn, word28: peer.expCmdSn, word32: peer.expCmdSn + 31 };
      const bytes = rawPdu({ opcode: OPCODE.scsiResponse, word16: command.initiatorTaskTag, ...numbers });
      for (const at of bytes.keys()) {
        peer.write(bytes.subarray(at, at + 1));
        await new Promise(setImmediate);
      }
      await done;
    }));

  for (const [title, opcode] of [
    ["an unknown opcode", 0x2a],
    ["an opcode of initiators", OPCODE.scsiCommand],
    ["a Login Response after the login", OPCODE.loginResponse],
    ["a Text Response nobody asked for", OPCODE.textResponse],
  ] as const)
    it(`7.7, 7.13: ${title} ends the connection with a typed error for every command`, () =>
      withSession({}, async ({ session, peer }) => {
        const failed = errorOf(session.execute(testUnitReady()));
        await peer.expect(OPCODE.scsiCommand);
        peer.send({ opcode, word16: 0x7777 });
        await peer.expectClose();
        expect((await failed).cause).to.be.instanceOf(ProtocolError);
      }));

  it("7.7, 13.12: a data segment longer than we declared is not even read", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.execute(testUnitReady()));
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.respond(command, {}, { claimedLength: 0xffffff });
      await peer.expectClose();
      expect((await failed).message).to.contain("16777215");
    }));

  it("7.14: a connection that ends in the middle of a PDU fails every command", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = [1, 2].map(() => errorOf(session.execute(testUnitReady())));
      const command = await peer.expect(OPCODE.scsiCommand);
      peer.write(rawPdu({ opcode: OPCODE.scsiResponse, word16: command.initiatorTaskTag }).subarray(0, 30));
      peer.destroy();
      for (const error of await Promise.all(failed)) expect(error).to.be.instanceOf(TransportError);
    }));
});
