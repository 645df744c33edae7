// Read data and status on the wire (RFC 7143 11.4, 11.7): order, zero-length segments, phase collapse, residuals, sense.
import { expect } from "chai";
import { inquiry, ProtocolError, read16, readCapacity16, ScsiError, ScsiStatus, testUnitReady } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { FINAL, OPCODE, OVERFLOW, UNDERFLOW } from "./raw-pdus.ts";
import { LUN_1, type OpenSession, withSession } from "./scripted-target.ts";

const READ = 0x40;
const SIMPLE = 1;
const MORE = 0;

async function startRead({ session, peer }: OpenSession, bytes: number) {
  const into = Buffer.alloc(bytes, 0xee);
  const done = session.execute(read16(0, bytes / 512, into));
  done.catch(() => undefined);
  const command = await peer.expect(OPCODE.scsiCommand);
  expect([command.flags, command.word(20), command.lun]).to.deep.equal([FINAL | READ | SIMPLE, bytes, LUN_1]);
  return { into, done, command };
}

/** The session still works: one more command goes through. */
async function expectAlive({ session, peer }: OpenSession): Promise<void> {
  const done = session.execute(testUnitReady());
  peer.respond(await peer.expect(OPCODE.scsiCommand));
  await done;
}

describe("contract: Data-In", () => {
  it("11.7.3: status with the last Data-In ends the command; no SCSI Response is needed", () =>
    withSession({}, async (open) => {
      const { into, done, command } = await startRead(open, 1024);
      open.peer.dataIn(command, { flags: MORE }, Buffer.alloc(512, 1));
      open.peer.dataInWithStatus(command, { word36: 1, word40: 512 }, Buffer.alloc(512, 2));
      await done;
      expect([into[0], into[511], into[512], into[1023]]).to.deep.equal([1, 1, 2, 2]);
      await expectAlive(open);
    }));

  it("11.4, 11.7.1: status apart, after several sequences each ended by F", () =>
    withSession({}, async (open) => {
      const { into, done, command } = await startRead(open, 1536);
      for (const dataSn of [0, 1, 2])
        open.peer.dataIn(command, { flags: FINAL, word36: dataSn, word40: dataSn * 512 }, Buffer.alloc(512, dataSn));
      open.peer.respond(command, { word36: 3 });
      await done;
      expect([into[0], into[512], into[1024]]).to.deep.equal([0, 1, 2]);
    }));

  it("11.3.4: a command may expect more than it has room for, and no more than its room may come", () =>
    withSession({}, async ({ session, peer }) => {
      const generous = session.execute(readCapacity16(65_536));
      const command = await peer.expect(OPCODE.scsiCommand);
      expect([command.flags, command.word(20)]).to.deep.equal([FINAL | READ | SIMPLE, 65_536]);
      const answer = Buffer.alloc(32);
      answer.writeUInt32BE(512, 8);
      peer.dataInWithStatus(command, { flags: 0x81 | UNDERFLOW, word44: 65_536 - 32 }, answer);
      expect(await generous).to.include({ blocks: 1, blockSize: 512 });
      const flooded = errorOf(session.execute(readCapacity16(65_536)));
      peer.dataInWithStatus(await peer.expect(OPCODE.scsiCommand), {}, Buffer.alloc(33));
      await peer.expectClose();
      expect((await flooded).cause).to.be.instanceOf(ProtocolError);
    }));

  it("11.7.7: a Data-In without data is no error and counts in DataSN", () =>
    withSession({}, async (open) => {
      const { into, done, command } = await startRead(open, 512);
      open.peer.dataIn(command, { flags: MORE }, Buffer.alloc(0));
      open.peer.dataIn(command, { word36: 1 }, Buffer.alloc(512, 5));
      open.peer.dataInWithStatus(command, { word36: 2, word40: 512 }, Buffer.alloc(0));
      await done;
      expect(into.every((byte) => byte === 5)).to.equal(true);
    }));

  it("11.7: Data-Ins of several commands may be mixed", () =>
    withSession({}, async (open) => {
      const first = await startRead(open, 1024);
      const second = await startRead(open, 1024);
      open.peer.dataIn(second.command, { flags: MORE }, Buffer.alloc(512, 3));
      open.peer.dataIn(first.command, { flags: MORE }, Buffer.alloc(512, 1));
      open.peer.dataInWithStatus(second.command, { word36: 1, word40: 512 }, Buffer.alloc(512, 4));
      open.peer.dataInWithStatus(first.command, { word36: 1, word40: 512 }, Buffer.alloc(512, 2));
      await Promise.all([first.done, second.done]);
      const marks = [first.into, second.into].flatMap((into) => [into[0], into[512]]);
      expect(marks).to.deep.equal([1, 2, 3, 4]);
    }));

  it("13.12: a segment of exactly our MaxRecvDataSegmentLength is taken, one byte more ends the connection", () =>
    withSession(
      {},
      async (open) => {
        const exact = await startRead(open, 1024);
        open.peer.dataInWithStatus(exact.command, {}, Buffer.alloc(1024, 9));
        await exact.done;
        const more = await startRead(open, 2048);
        const failed = errorOf(more.done);
        open.peer.dataIn(more.command, { flags: MORE }, Buffer.alloc(1025));
        await open.peer.expectClose();
        expect((await failed).cause).to.be.instanceOf(ProtocolError);
      },
      { wishes: { maxRecvDataSegmentBytes: 1024 } },
    ));

  const broken: [string, { word36: number; word40: number }, number][] = [
    ["11.7.5: a DataSN that leaves a gap", { word36: 1, word40: 0 }, 512],
    ["11.7.6: an offset that leaves a gap (DataPDUInOrder)", { word36: 0, word40: 512 }, 512],
    ["11.7.6: more than the command asked for", { word36: 0, word40: 0 }, 1536],
  ];
  for (const [title, fields, bytes] of broken)
    it(`${title} ends the connection and leaves nothing in the caller's hands`, () =>
      withSession({}, async (open) => {
        const { done, command } = await startRead(open, 1024);
        const failed = errorOf(done);
        open.peer.dataIn(command, { flags: MORE, ...fields }, Buffer.alloc(bytes));
        await open.peer.expectClose();
        expect((await failed).cause).to.be.instanceOf(ProtocolError);
      }));

  it("11.7: a Data-In for a task that is gone is read and dropped", () =>
    withSession({}, async (open) => {
      const { done, command } = await startRead(open, 512);
      open.peer.dataInWithStatus(command, {}, Buffer.alloc(512));
      await done;
      open.peer.dataIn(command, { word36: 1, word40: 0 }, Buffer.alloc(512));
      await expectAlive(open);
    }));
});

describe("contract: residuals of reads", () => {
  it("11.4.5: an underflow hands over what came, with its length", () =>
    withSession({}, async ({ session, peer }) => {
      const done = session.execute(inquiry());
      const command = await peer.expect(OPCODE.scsiCommand);
      const expected = command.word(20);
      const data = Buffer.alloc(36, 0x20);
      data.set([0, 0, 6, 2, 31, 0, 0, 0]);
      peer.dataIn(command, {}, data);
      peer.respond(command, { flags: FINAL | UNDERFLOW, word36: 1, word44: expected - 36 });
      expect((await done).peripheralDeviceType).to.equal(0);
    }));

  it("11.4.5: a READ(16) that brought less than asked fails, with status apart or with the data", () =>
    withSession({}, async (open) => {
      const apart = await startRead(open, 1024);
      open.peer.dataIn(apart.command, {}, Buffer.alloc(512));
      open.peer.respond(apart.command, { flags: FINAL | UNDERFLOW, word36: 1, word44: 512 });
      expect((await errorOf(apart.done)).message).to.contain("512 of 1024 bytes");
      const collapsed = await startRead(open, 1024);
      open.peer.dataInWithStatus(collapsed.command, { flags: 0x81 | UNDERFLOW, word44: 512 }, Buffer.alloc(512));
      expect((await errorOf(collapsed.done)).message).to.contain("512 of 1024 bytes");
      await expectAlive(open);
    }));

  it("11.4.5: an overflow (the unit had more than we expected) still hands over all we expected", () =>
    withSession({}, async (open) => {
      const { into, done, command } = await startRead(open, 512);
      open.peer.dataInWithStatus(command, { flags: 0x81 | OVERFLOW, word44: 512 }, Buffer.alloc(512, 7));
      await done;
      expect(into.every((byte) => byte === 7)).to.equal(true);
    }));
});

describe("contract: status and sense", () => {
  /** Fixed-format sense (SPC-4 4.5.3): key in byte 2, ASC and ASCQ in bytes 12 and 13. */
  function fixedSense(key: number, asc: number, ascq: number, length = 18): Buffer {
    const sense = Buffer.alloc(length);
    sense.set([0x70, 0, key]);
    sense[7] = length - 8;
    sense[12] = asc;
    sense[13] = ascq;
    return sense;
  }

  /** The data segment of a SCSI Response: SenseLength in two bytes, then sense. */
  function withLength(sense: Buffer, length = sense.length): Buffer {
    return Buffer.concat([Buffer.from([length >> 8, length & 0xff]), sense]);
  }

  const cases: [string, Buffer, (number | undefined)[]][] = [
    ["11.4.7: sense behind its 2-byte length", withLength(fixedSense(3, 0x11, 4)), [3, 0x11, 4]],
    [
      "11.4.7: response data behind the sense is not sense",
      Buffer.concat([withLength(fixedSense(5, 0x20, 0)), Buffer.alloc(6, 0xff)]),
      [5, 0x20, 0],
    ],
    [
      "11.4.7.2: sense of 24 bytes that reports a digest error at the target",
      withLength(fixedSense(0x0b, 0x47, 5, 24)),
      [0x0b, 0x47, 5],
    ],
    [
      "11.4.7.2: sense that reports unexpected unsolicited data",
      withLength(fixedSense(0x0b, 0x0c, 0x0c)),
      [0x0b, 0x0c, 0x0c],
    ],
    [
      "11.4.7.2: sense that reports too little unsolicited data",
      withLength(fixedSense(0x0b, 0x0c, 0x0d)),
      [0x0b, 0x0c, 0x0d],
    ],
    [
      "11.4.7.1: SenseLength beyond the data segment: what is there",
      withLength(fixedSense(4, 0x44, 0), 252),
      [4, 0x44, 0],
    ],
    ["11.4.7: no data segment at all", Buffer.alloc(0), [undefined, undefined, undefined]],
    ["11.4.7: SenseLength 0", Buffer.from([0, 0]), [undefined, undefined, undefined]],
  ];
  for (const [title, data, expected] of cases)
    it(`${title}; the session goes on`, () =>
      withSession({}, async (open) => {
        const { done, command } = await startRead(open, 512);
        open.peer.respond(command, { byte3: 0x02, flags: FINAL | UNDERFLOW, word44: 512 }, { data });
        const error = (await errorOf(done)) as ScsiError;
        expect(error).to.be.instanceOf(ScsiError);
        expect([error.senseKey, error.asc, error.ascq]).to.deep.equal(expected);
        await expectAlive(open);
      }));

  for (const [title, status] of [
    ["BUSY", ScsiStatus.Busy],
    ["TASK SET FULL", ScsiStatus.TaskSetFull],
  ] as const)
    it(`11.4.2: ${title} is sent again as a new command, with a CmdSN of its own`, () =>
      withSession({}, async ({ session, peer }) => {
        const done = session.testUnitReady();
        const first = await peer.expect(OPCODE.scsiCommand);
        peer.respond(first, { byte3: status });
        const second = await peer.expect(OPCODE.scsiCommand);
        expect(second.cmdSn).to.equal((first.cmdSn + 1) >>> 0);
        expect(second.header.subarray(32).equals(first.header.subarray(32))).to.equal(true);
        peer.respond(second);
        await done;
      }));

  it("11.4.2: RESERVATION CONFLICT reaches the caller and is not repeated behind his back", () =>
    withSession({}, async ({ session, peer }) => {
      const failed = errorOf(session.testUnitReady());
      peer.respond(await peer.expect(OPCODE.scsiCommand), { byte3: 0x18 });
      expect(await failed).to.have.property("status", 0x18);
      await peer.expectNothing();
    }));

  for (const response of [0x01, 0x80, 0xff])
    it(`11.4.3: response 0x${response.toString(16).padStart(2, "0")} is a failure, whatever the status field says`, () =>
      withSession({}, async (open) => {
        const { done, command } = await startRead(open, 512);
        open.peer.respond(command, { byte2: response });
        const error = await errorOf(done);
        expect(error).to.be.instanceOf(ProtocolError);
        await expectAlive(open);
      }));

  it("11.4: a SCSI Response for a task nobody knows is counted and dropped", () =>
    withSession({}, async (open) => {
      open.peer.sendNumbered({ opcode: OPCODE.scsiResponse, word16: 0x7777 });
      await expectAlive(open);
    }));
});
