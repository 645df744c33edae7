// What the test target accepts as the data of a write (RFC 7143 11.3, 11.7, 11.8, 13.10 to 13.14).
import { expect } from "chai";
import { ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import { RESERVED_TAG } from "../pdu/header.ts";
import { type TargetScsiCommand, TargetTask } from "./target-session-task.ts";

const PARAMETERS: SessionParameters = {
  initialR2T: false,
  immediateData: true,
  maxSendDataSegmentBytes: 8192,
  maxRecvDataSegmentBytes: 8192,
  maxBurstBytes: 16_384,
  firstBurstBytes: 1024,
  maxOutstandingR2T: 1,
  headerDigest: false,
  dataDigest: false,
  time2WaitSeconds: 0,
  time2RetainSeconds: 0,
  targetPortalGroupTag: undefined,
  targetAlias: undefined,
};

const WRITE: TargetScsiCommand = {
  final: true,
  read: false,
  write: true,
  attribute: 1,
  lun: 1,
  initiatorTaskTag: 1,
  expectedDataTransferLength: 2048,
  cmdSn: 1,
  expStatSn: 1,
  cdb: Buffer.alloc(16),
  dataSegmentLength: 0,
};

function taskOf(changes: Partial<TargetScsiCommand>, immediate = 0, parameters: Partial<SessionParameters> = {}) {
  return new TargetTask(
    { ...WRITE, ...changes },
    Buffer.alloc(immediate, 1),
    { ...PARAMETERS, ...parameters },
    undefined,
  );
}

function dataOut(
  bufferOffset: number,
  dataSegmentLength: number,
  rest: Partial<Record<string, number | boolean>> = {},
) {
  return {
    final: true,
    initiatorTaskTag: 1,
    targetTransferTag: 7,
    expStatSn: 1,
    dataSn: 0,
    bufferOffset,
    dataSegmentLength,
    ...rest,
  };
}

describe("a task of the test target", () => {
  it("is complete with all its data, in order", () => {
    const task = taskOf({}, 512);
    expect([task.isComplete, task.nextOffset]).to.deep.equal([false, 512]);
    task.ask(7, 1536);
    task.accept(dataOut(512, 512, { final: false }));
    task.accept(dataOut(1024, 1024, { dataSn: 1 }));
    expect([task.isComplete, task.openSequences, task.received]).to.deep.equal([true, 0, 2048]);
    expect(taskOf({}, 2048, { firstBurstBytes: 2048 }).isComplete).to.equal(true);
    expect(taskOf({ write: false, read: true }).isComplete).to.equal(true);
  });

  it("takes unsolicited data up to FirstBurstLength, or less", () => {
    for (const bytes of [512, 1024]) {
      const task = taskOf({ final: false });
      expect(task.awaitsUnsolicited).to.equal(true);
      task.accept(dataOut(0, bytes, { targetTransferTag: RESERVED_TAG }));
      expect([task.awaitsUnsolicited, task.nextOffset]).to.deep.equal([false, bytes]);
    }
  });

  it("places data where it belongs, and nothing else anywhere", () => {
    const task = taskOf({}, 512);
    task.place(512, 512)?.fill(2);
    expect(task.data[511]).to.equal(1);
    expect(task.data[512]).to.equal(2);
    expect(task.place(0, 512)).to.equal(undefined);
    expect(task.place(512, 1537)).to.equal(undefined);
  });

  const commands: [string, () => TargetTask][] = [
    ["immediate data of a read", () => taskOf({ write: false, read: true }, 4)],
    ["immediate data although there may be none", () => taskOf({}, 512, { immediateData: false })],
    ["more immediate data than the write has", () => taskOf({ expectedDataTransferLength: 512 }, 516)],
    ["immediate data beyond the first burst", () => taskOf({}, 1028)],
    ["unsolicited data although InitialR2T=Yes", () => taskOf({ final: false }, 0, { initialR2T: true })],
    ["unsolicited data after all of the first burst", () => taskOf({ final: false }, 1024)],
    ["unsolicited data of a read", () => taskOf({ final: false, write: false, read: true })],
  ];
  for (const [title, act] of commands) it(`refuses ${title}`, () => expect(act).to.throw(ProtocolError));

  const sequences: [string, ReturnType<typeof dataOut>][] = [
    ["data with another transfer tag", dataOut(0, 1024, { targetTransferTag: 8 })],
    ["unsolicited data in place of solicited", dataOut(0, 1024, { targetTransferTag: RESERVED_TAG })],
    ["data that leaves a gap", dataOut(4, 1020)],
    ["data beyond what was asked for", dataOut(0, 1028)],
    ["a DataSN out of order", dataOut(0, 1024, { dataSn: 1 })],
    ["an end before the end", dataOut(0, 512)],
    ["no end at the end", dataOut(0, 1024, { final: false })],
  ];
  for (const [title, pdu] of sequences)
    it(`refuses ${title}`, () => {
      const task = taskOf({});
      task.ask(7, 1024);
      expect(() => task.accept(pdu)).to.throw(ProtocolError);
    });

  it("refuses data that nobody asked for", () => {
    expect(() => taskOf({}).accept(dataOut(0, 512))).to.throw(ProtocolError);
  });
});
