// Write data on the wire (RFC 7143 4.2.5.2, 11.3, 11.7, 11.8, 13.10 to 13.14, 13.17): what goes with the command, unasked, and for R2Ts.
import { expect } from "chai";
import { ProtocolError, testUnitReady, write16 } from "node-iscsi";
import { errorOf } from "../fakes/error-of.ts";
import { FINAL, NO_TAG, OPCODE, OVERFLOW, type SentPdu, UNDERFLOW } from "./raw-pdus.ts";
import { type LoginScript, LUN_1, type OpenSession, withSession } from "./scripted-target.ts";

const WRITE = 0x20;
const SIMPLE = 1;
const TAG = 0x00c0ffee;

/** Bytes that differ at every offset, so that a misplaced segment shows. */
function pattern(bytes: number): Buffer {
  return Buffer.from(Uint16Array.from({ length: bytes / 2 }, (_unused, index) => index * 40503 + 7).buffer);
}

/** What the target answers to the offer; the numbers are bytes. */
function negotiated(
  initialR2T: boolean,
  immediateData: boolean,
  sizes: { segment: number; first: number; burst?: number; r2ts?: number },
): LoginScript {
  return {
    keys: [
      `InitialR2T=${initialR2T ? "Yes" : "No"}`,
      `ImmediateData=${immediateData ? "Yes" : "No"}`,
      `MaxRecvDataSegmentLength=${sizes.segment}`,
      `FirstBurstLength=${sizes.first}`,
      `MaxBurstLength=${sizes.burst ?? 65536}`,
      `MaxOutstandingR2T=${sizes.r2ts ?? 1}`,
    ],
  };
}

/** Starts a write and takes its command. */
async function startWrite({ session, peer }: OpenSession, bytes: number) {
  const data = pattern(bytes);
  const done = session.execute(write16(0, bytes / 512, data));
  done.catch(() => undefined);
  const command = await peer.expect(OPCODE.scsiCommand);
  expect(command.word(20), "Expected Data Transfer Length").to.equal(bytes);
  expect(command.flags & 0x67, "W, and a SIMPLE task").to.equal(WRITE | SIMPLE);
  expect(command.data.equals(data.subarray(0, command.data.length)), "immediate data").to.equal(true);
  return { data, done, command };
}

/** Takes one sequence of Data-Out PDUs up to its F bit and checks all of its fields. Returns the segment lengths. */
async function takeSequence(
  { peer }: OpenSession,
  command: SentPdu,
  expected: { tag: number; offset: number; data: Buffer },
): Promise<number[]> {
  const lengths: number[] = [];
  let at = expected.offset;
  for (;;) {
    const pdu = await peer.expect(OPCODE.dataOut);
    expect(pdu.isImmediate).to.equal(false);
    expect(pdu.initiatorTaskTag).to.equal(command.initiatorTaskTag);
    expect(pdu.targetTransferTag).to.equal(expected.tag);
    const lun = expected.tag === NO_TAG ? "0000000000000000" : command.lun;
    expect(pdu.lun, "the LUN of the command, reserved without a tag (11.7.4)").to.equal(lun);
    expect(pdu.word(36), "DataSN").to.equal(lengths.length);
    expect(pdu.word(40), "Buffer Offset").to.equal(at);
    expect(pdu.expStatSn).to.equal(peer.statSn);
    expect(pdu.data.equals(expected.data.subarray(at, at + pdu.data.length)), `data at ${at}`).to.equal(true);
    at += pdu.data.length;
    lengths.push(pdu.data.length);
    if (pdu.isFinal) return lengths;
  }
}

describe("contract: data sent without being asked for", () => {
  const sizes = { segment: 1024, first: 4096 };
  const cases: [string, boolean, boolean, number, { immediate: number; final: boolean; unasked: number[] }][] = [
    ["InitialR2T=Yes ImmediateData=No: none", true, false, 8192, { immediate: 0, final: true, unasked: [] }],
    ["InitialR2T=Yes ImmediateData=Yes: one segment", true, true, 8192, { immediate: 1024, final: true, unasked: [] }],
    [
      "InitialR2T=No ImmediateData=No: FirstBurstLength in Data-Outs",
      false,
      false,
      8192,
      { immediate: 0, final: false, unasked: [1024, 1024, 1024, 1024] },
    ],
    [
      "InitialR2T=No ImmediateData=Yes: FirstBurstLength in all",
      false,
      true,
      8192,
      { immediate: 1024, final: false, unasked: [1024, 1024, 1024] },
    ],
    ["a write shorter than a segment is all immediate", false, true, 512, { immediate: 512, final: true, unasked: [] }],
    [
      "a write as long as FirstBurstLength",
      false,
      true,
      4096,
      { immediate: 1024, final: false, unasked: [1024, 1024, 1024] },
    ],
    [
      "a write one block shorter than FirstBurstLength",
      false,
      true,
      3584,
      { immediate: 1024, final: false, unasked: [1024, 1024, 512] },
    ],
  ];
  for (const [title, initialR2T, immediateData, bytes, expected] of cases)
    it(`4.2.5.2, 13.10, 13.11, 13.14: ${title}`, () =>
      withSession(negotiated(initialR2T, immediateData, sizes), async (open) => {
        const { data, done, command } = await startWrite(open, bytes);
        expect(command.lun).to.equal(LUN_1);
        expect(command.data).to.have.length(expected.immediate);
        expect(command.isFinal, "F: no unsolicited Data-Out follows").to.equal(expected.final);
        let sent = expected.immediate;
        if (!expected.final) {
          const lengths = await takeSequence(open, command, { tag: NO_TAG, offset: sent, data });
          expect(lengths).to.deep.equal(expected.unasked);
          sent += lengths.reduce((sum, length) => sum + length, 0);
        }
        await open.peer.expectNothing();
        if (sent < bytes) {
          open.peer.readyToTransfer(command, TAG, 0, sent, bytes - sent);
          await takeSequence(open, command, { tag: TAG, offset: sent, data });
        }
        open.peer.respond(command);
        await done;
      }));

  it("13.14: FirstBurstLength smaller than a segment limits the immediate data", () =>
    withSession(negotiated(false, true, { segment: 8192, first: 1536 }), async (open) => {
      const { done, command } = await startWrite(open, 4096);
      expect([command.data.length, command.isFinal]).to.deep.equal([1536, true]);
      open.session.destroy();
      await errorOf(done);
    }));

  it("13.13, 13.14: a FirstBurstLength above MaxBurstLength is cut to it", () =>
    withSession(negotiated(false, true, { segment: 512, first: 8192, burst: 1024 }), async (open) => {
      const { data, done, command } = await startWrite(open, 4096);
      expect(command.data).to.have.length(512);
      expect(await takeSequence(open, command, { tag: NO_TAG, offset: 512, data })).to.deep.equal([512]);
      open.session.destroy();
      await errorOf(done);
    }));

  it("13: a target that answers no key gets the defaults: one 8 KiB immediate segment, then R2Ts", () =>
    withSession({ keys: [] }, async (open) => {
      const { command, done } = await startWrite(open, 16384);
      expect([command.data.length, command.isFinal]).to.deep.equal([8192, true]);
      open.session.destroy();
      await errorOf(done);
    }));

  it("11.3: a command without data has neither R nor W, no expected length, and F", () =>
    withSession({}, async ({ opening }) => {
      const probe = opening[2]!;
      expect([probe.flags, probe.word(20), probe.data.length]).to.deep.equal([FINAL | SIMPLE, 0, 0]);
      expect(probe.header.toString("hex", 32, 48), "CDB padded with zeros").to.equal("00".repeat(16));
    }));
});

describe("contract: R2T", () => {
  const sizes = { segment: 1024, first: 512, burst: 4096 };
  const quiet = negotiated(true, false, sizes);

  for (const [bytes, lengths] of [
    [1024, [1024]],
    [512, [512]],
    [1536, [1024, 512]],
    [4096, [1024, 1024, 1024, 1024]],
  ] as const)
    it(`11.7, 11.8, 13.12: ${bytes} bytes asked for come as ${lengths.join(" + ")}, with tag, LUN, DataSN from 0 and F at the end`, () =>
      withSession(quiet, async (open) => {
        const { data, done, command } = await startWrite(open, bytes);
        open.peer.readyToTransfer(command, TAG, 0, 0, bytes);
        expect(await takeSequence(open, command, { tag: TAG, offset: 0, data })).to.deep.equal(lengths);
        open.peer.respond(command);
        await done;
      }));

  it("11.7.7: a MaxRecvDataSegmentLength that is no multiple of 4 leaves no segment but the last to be padded", () =>
    withSession(negotiated(true, false, { ...sizes, segment: 1023 }), async (open) => {
      const { data, done, command } = await startWrite(open, 2560);
      open.peer.readyToTransfer(command, TAG, 0, 0, 2560);
      expect(await takeSequence(open, command, { tag: TAG, offset: 0, data })).to.deep.equal([1020, 1020, 520]);
      open.peer.respond(command);
      await done;
    }));

  it("11.7.5: DataSN starts again at 0 for each R2T", () =>
    withSession(quiet, async (open) => {
      const { data, done, command } = await startWrite(open, 8192);
      for (const [r2tSn, offset] of [
        [0, 0],
        [1, 4096],
      ] as const) {
        open.peer.readyToTransfer(command, TAG + r2tSn, r2tSn, offset, 4096);
        const lengths = await takeSequence(open, command, { tag: TAG + r2tSn, offset, data });
        expect(lengths).to.have.length(4);
      }
      open.peer.respond(command);
      await done;
    }));

  it("11.8, 13.17: several R2Ts at once are answered in the order they came", () =>
    withSession(negotiated(true, false, { ...sizes, r2ts: 4 }), async (open) => {
      const { data, done, command } = await startWrite(open, 8192);
      for (const index of [0, 1, 2, 3]) open.peer.readyToTransfer(command, TAG + index, index, index * 2048, 2048);
      for (const index of [0, 1, 2, 3])
        await takeSequence(open, command, { tag: TAG + index, offset: index * 2048, data });
      open.peer.respond(command);
      await done;
    }));

  it("11.8: R2Ts of two commands are answered in the order of the R2Ts, not of the commands", () =>
    withSession(quiet, async (open) => {
      const first = await startWrite(open, 2048);
      const second = await startWrite(open, 2048);
      open.peer.readyToTransfer(second.command, TAG, 0, 0, 2048);
      open.peer.readyToTransfer(first.command, TAG + 1, 0, 0, 2048);
      await takeSequence(open, second.command, { tag: TAG, offset: 0, data: second.data });
      await takeSequence(open, first.command, { tag: TAG + 1, offset: 0, data: first.data });
      open.peer.respond(first.command);
      open.peer.respond(second.command);
      await Promise.all([first.done, second.done]);
    }));

  const impossible: [string, [tag: number, r2tSn: number, offset: number, length: number]][] = [
    ["one byte more than MaxBurstLength", [TAG, 0, 0, 4097]],
    ["no byte at all", [TAG, 0, 0, 0]],
    ["bytes beyond the write", [TAG, 0, 7168, 2048]],
    ["a place that leaves a gap", [TAG, 0, 1024, 1024]],
    ["the reserved tag", [NO_TAG, 0, 0, 1024]],
    ["an R2TSN that leaves a gap", [TAG, 1, 0, 1024]],
  ];
  for (const [title, [tag, r2tSn, offset, length]] of impossible)
    it(`11.8: an R2T with ${title} sends nothing and ends the connection`, () =>
      withSession(quiet, async (open) => {
        const { command, done } = await startWrite(open, 8192);
        const failed = errorOf(done);
        open.peer.readyToTransfer(command, tag, r2tSn, offset, length);
        await open.peer.expectClose();
        expect((await failed).cause).to.be.instanceOf(ProtocolError);
      }));

  it("13.13: exactly MaxBurstLength may be asked for", () =>
    withSession(quiet, async (open) => {
      const { data, done, command } = await startWrite(open, 4096);
      open.peer.readyToTransfer(command, TAG, 0, 0, 4096);
      await takeSequence(open, command, { tag: TAG, offset: 0, data });
      open.peer.respond(command);
      await done;
    }));

  it("11.8: an R2T for a task that is gone is ignored", () =>
    withSession(quiet, async (open) => {
      const { data, done, command } = await startWrite(open, 512);
      open.peer.readyToTransfer(command, TAG, 0, 0, 512);
      await takeSequence(open, command, { tag: TAG, offset: 0, data });
      open.peer.respond(command);
      await done;
      open.peer.readyToTransfer(command, TAG, 1, 0, 512);
      await open.peer.expectNothing();
    }));
});

describe("contract: the end of a write", () => {
  const quiet = negotiated(true, false, { segment: 1024, first: 512, burst: 4096 });

  for (const [title, flags, residual] of [
    ["underflow", FINAL | UNDERFLOW, 1024],
    ["overflow", FINAL | OVERFLOW, 512],
  ] as const)
    it(`11.4.5: GOOD with a residual ${title} is not believed`, () =>
      withSession(quiet, async (open) => {
        const { data, done, command } = await startWrite(open, 2048);
        const failed = errorOf(done);
        open.peer.readyToTransfer(command, TAG, 0, 0, 2048);
        await takeSequence(open, command, { tag: TAG, offset: 0, data });
        open.peer.respond(command, { flags, word44: residual });
        const error = await failed;
        expect(error).to.be.instanceOf(ProtocolError);
        expect(error.message).to.contain(`${title} of ${residual}`);
      }));

  it("4.2.5.2: GOOD before all data was asked for is not believed", () =>
    withSession(quiet, async (open) => {
      const { done, command } = await startWrite(open, 2048);
      const failed = errorOf(done);
      open.peer.respond(command);
      expect((await failed).message).to.contain("0 of 2048 bytes");
      const next = open.session.execute(testUnitReady());
      open.peer.respond(await open.peer.expect(OPCODE.scsiCommand));
      await next;
    }));

  it("11.4.3: a status that comes while R2Ts are outstanding ends the command; nothing more is sent for it", () =>
    withSession(quiet, async (open) => {
      const { done, command } = await startWrite(open, 4096);
      const failed = errorOf(done);
      open.peer.respond(command, { byte3: 0x02 });
      expect(await failed).to.have.property("code", "Scsi");
      await open.peer.expectNothing();
    }));
});
