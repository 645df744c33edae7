// What the test target sends when a command is over: Data-In and SCSI Response PDUs (RFC 7143 11.4, 11.7), right or as the faults say.
import { encodeDataIn, encodeReadyToTransfer } from "../pdu/data.ts";
import { HEADER_BYTES, RESERVED_TAG } from "../pdu/header.ts";
import { encodeScsiResponse, NO_RESIDUAL, type Residual } from "../pdu/scsi.ts";
import { ScsiStatus } from "../scsi/sense.ts";
import type { DataInFault } from "./faults.ts";
import type { TargetWire, WireContext } from "./target-connection-wire.ts";
import type { TargetSequenceNumbers } from "./target-session-sequence.ts";
import type { TargetTask } from "./target-session-task.ts";

/** How a command ended; `response` other than 0 makes the status invalid (RFC 7143 11.4.3). */
export interface TaskResult {
  readonly status: number;
  readonly response?: number | undefined;
  readonly data?: Buffer | undefined;
  readonly sense?: Buffer | undefined;
  /** Bytes of data-out that were used, when not all were. */
  readonly dataOutBytes?: number | undefined;
}

/** One Data-In PDU to be; `tag` and `dataSn` are what the PDU will say. */
interface DataInPart {
  tag: number;
  dataSn: number;
  offset: number;
  data: Buffer;
}

const NO_DATA = Buffer.alloc(0);

/** Sends the ends of commands on one connection. */
export class TargetAnswers {
  readonly #context: WireContext;
  readonly #wire: TargetWire;
  readonly #numbers: TargetSequenceNumbers;
  readonly #segmentBytes: number;

  constructor(context: WireContext, wire: TargetWire, numbers: TargetSequenceNumbers, segmentBytes: number) {
    this.#context = context;
    this.#wire = wire;
    this.#numbers = numbers;
    this.#segmentBytes = segmentBytes;
  }

  /** Sends data and status of a task that is over. */
  answer(task: TargetTask, result: TaskResult): void {
    if (task.isRead && result.status === ScsiStatus.Good && (result.response ?? 0) === 0)
      this.#sendDataIn(task, result.data ?? NO_DATA);
    else {
      const used = task.isRead ? 0 : (result.dataOutBytes ?? task.expectedBytes);
      const unused = task.expectedBytes - used;
      const residual: Residual = unused > 0 ? { kind: "underflow", bytes: unused } : NO_RESIDUAL;
      this.#sendResponse(task, result, this.#residualOf(task, residual));
    }
    const { faults, triggers } = this.#context;
    if (task.isWrite && triggers.strikes(faults.r2tAfterStatus, this.#wire.socket)) this.#sendLateR2t(task);
  }

  #sendDataIn(task: TargetTask, all: Buffer): void {
    const { faults, triggers } = this.#context;
    const opcode = task.cdb[0];
    const { socket } = this.#wire;
    const missing = triggers.strikesOn(faults.shortRead, opcode, socket) ? (faults.shortRead?.bytes ?? 0) : 0;
    const sent = all.subarray(0, Math.max(0, Math.min(all.length, task.expectedBytes) - missing));
    const difference = task.expectedBytes - all.length + missing;
    const residual = this.#residualOf(task, {
      kind: difference === 0 ? "none" : difference > 0 ? "underflow" : "overflow",
      bytes: Math.abs(difference),
    });
    const parts = this.#partsOf(task.tag, sent);
    const isFaulty = triggers.strikesOn(faults.dataIn, opcode, socket);
    if (isFaulty) spoil(parts, faults.dataIn?.fault ?? "missing", this.#segmentBytes);
    const isSeparate = faults.separateReadStatus === true || isFaulty || parts.length === 0;
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      const hasStatus = isLast && !isSeparate;
      const pdu = {
        final: isLast,
        status: hasStatus ? ScsiStatus.Good : undefined,
        initiatorTaskTag: part.tag,
        targetTransferTag: RESERVED_TAG,
        ...this.#numbers.next(hasStatus),
        dataSn: part.dataSn,
        bufferOffset: part.offset,
        residual,
        dataSegmentLength: part.data.length,
      };
      this.#wire.send(encodeDataIn(pdu), part.data);
    }
    if (isSeparate) this.#sendResponse(task, { status: ScsiStatus.Good }, residual);
  }

  #partsOf(tag: number, data: Buffer): DataInPart[] {
    const parts: DataInPart[] = [];
    for (let offset = 0; offset < data.length; offset += this.#segmentBytes)
      parts.push({ tag, dataSn: parts.length, offset, data: data.subarray(offset, offset + this.#segmentBytes) });
    return parts;
  }

  #sendResponse(task: TargetTask, result: TaskResult, residual: Residual): void {
    const data = this.#senseSegment(result.sense);
    const pdu = {
      response: result.response ?? 0,
      status: result.status,
      initiatorTaskTag: task.tag,
      ...this.#numbers.next(true),
      expDataSn: 0,
      residual,
    };
    this.#wire.send(encodeScsiResponse(pdu, data.length), data);
  }

  #senseSegment(sense: Buffer | undefined): Buffer {
    if (sense === undefined) return NO_DATA;
    const { senseWithoutLength, senseEndsAfterBytes } = this.#context.faults;
    const bytes = sense.subarray(0, senseEndsAfterBytes ?? sense.length);
    if (senseWithoutLength === true) return bytes;
    const data = Buffer.alloc(2 + bytes.length);
    data.writeUInt16BE(sense.length, 0);
    bytes.copy(data, 2);
    return data;
  }

  #residualOf(task: TargetTask, honest: Residual): Residual {
    const { faults, triggers } = this.#context;
    const { residual } = faults;
    if (residual === undefined || !triggers.strikesOn(residual, task.cdb[0], this.#wire.socket)) return honest;
    return { kind: residual.kind, bytes: residual.bytes };
  }

  #sendLateR2t(task: TargetTask): void {
    const pdu = {
      initiatorTaskTag: task.tag,
      targetTransferTag: 0x7ffffffe,
      ...this.#numbers.next(false),
      r2tSn: task.r2tSn,
      bufferOffset: 0,
      desiredLength: Math.min(task.expectedBytes, 512),
    };
    this.#wire.send(encodeReadyToTransfer(pdu, task.lun ?? 0));
  }
}

/** Makes a read's Data-In PDUs wrong in one way. */
function spoil(parts: DataInPart[], fault: DataInFault | "missing", segmentBytes: number): void {
  halveIfSingle(parts);
  const [first, second] = parts;
  const last = parts.at(-1);
  if (first === undefined || second === undefined || last === undefined) return;
  switch (fault) {
    case "outOfOrder":
      parts.splice(0, 2, second, first);
      return;
    case "overlapping":
      second.offset = Math.max(0, second.offset - 4);
      return;
    case "tooMuch": {
      const offset = last.offset + last.data.length;
      const data = Buffer.alloc(Math.min(segmentBytes, HEADER_BYTES), 0xee);
      parts.push({ tag: last.tag, dataSn: parts.length, offset, data });
      return;
    }
    case "dataSnGap":
      for (const part of parts.slice(1)) part.dataSn += 1;
      return;
    case "unknownTag":
      for (const part of parts) part.tag = (part.tag ^ 0x5a5a5a5a) >>> 0;
      return;
    case "lastPduMissing":
      parts.pop();
      return;
    default:
      parts.shift();
  }
}

/** Most of these faults need two PDUs. */
function halveIfSingle(parts: DataInPart[]): void {
  const [only] = parts;
  if (parts.length !== 1 || only === undefined || only.data.length < 8) return;
  const half = (only.data.length >> 1) & ~3;
  parts.splice(
    0,
    1,
    { ...only, data: only.data.subarray(0, half) },
    { ...only, dataSn: 1, offset: only.offset + half, data: only.data.subarray(half) },
  );
}
