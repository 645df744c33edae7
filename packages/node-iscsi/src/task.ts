// One SCSI task in flight (RFC 7143 4.2.2, 4.2.5): its data both ways, its sequence numbers, and how it settles.
import { type ErrorContext, type IscsiError, ProtocolError, SequenceError } from "./errors.ts";
import type { SessionParameters } from "./negotiation.ts";
import { type DataInPdu, type ReadyToTransferPdu, viewOf, writeDataOut } from "./pdu/data.ts";
import { HEADER_BYTES, RESERVED_TAG } from "./pdu/header.ts";
import { encodeScsiCommand, type Residual, TASK_ATTRIBUTE_SIMPLE } from "./pdu/scsi.ts";
import { decodeSense, isRecoveredError, ScsiStatus } from "./scsi/sense.ts";

/** Where a task's PDUs go. */
export interface PduSender {
  send(header: Buffer, data?: Buffer): void;
}

/** What a completed command brought. */
export interface TaskOutcome {
  readonly status: number;
  /** Raw sense bytes, when the target sent any. */
  readonly sense: Buffer | undefined;
  /** The received part of the command's `dataIn`. */
  readonly data: Buffer;
  readonly residual: Residual;
}

/** The part of a command the task needs. */
export interface TaskRequest {
  readonly name: string;
  readonly cdb: Buffer;
  readonly dataOut?: Buffer;
  readonly ignoresResidual?: boolean;
  readonly dataIn?: Buffer;
  readonly expectedDataInBytes?: number;
}

const NO_DATA = Buffer.alloc(0);

/** Context of an error about a command that never left this machine. */
export function unsent(context: ErrorContext): ErrorContext {
  return { ...context, effect: "none" };
}

/** State of one command from the queue to its status. Settles exactly once. */
export class ScsiTask {
  readonly request: TaskRequest;
  readonly lun: number;
  readonly outcome: Promise<TaskOutcome>;
  readonly context: ErrorContext;
  readonly deadlineMs: number;
  /** In `performance.now()` milliseconds. */
  readonly deadlineAt: number;
  /** RESERVED_TAG until the task is sent. */
  initiatorTaskTag = RESERVED_TAG;
  cmdSn = 0;
  /** Set while an ABORT TASK is under way: why the task will be rejected. */
  abortReason: IscsiError | undefined;
  #received = 0;
  /** Bytes of `dataOut` sent, from its start on: all sequences are in order. */
  #sentBytes = 0;
  #expectedDataSn = 0;
  #expectedR2tSn = 0;
  #settle: { resolve(outcome: TaskOutcome): void; reject(error: IscsiError): void } | undefined;
  #onSettled: (() => void) | undefined;

  /** Its deadline begins now. */
  constructor(request: TaskRequest, lun: number, context: ErrorContext, deadlineMs: number, onSettled: () => void) {
    this.request = request;
    this.lun = lun;
    this.context = context;
    this.deadlineMs = deadlineMs;
    this.deadlineAt = performance.now() + deadlineMs;
    this.#onSettled = onSettled;
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** True once its first byte was handed to the connection. */
  get wasSent(): boolean {
    return this.initiatorTaskTag !== RESERVED_TAG;
  }

  /** Context of an error that ends the task early. */
  get contextNow(): ErrorContext {
    return this.wasSent ? this.context : unsent(this.context);
  }

  get isSettled(): boolean {
    return this.#settle === undefined;
  }

  /** Where the next Data-In's bytes go; undefined lets the framer allocate (and `acceptData` will then complain). */
  placeData(bufferOffset: number, bytes: number): Buffer | undefined {
    const dataIn = this.request.dataIn;
    if (dataIn === undefined || bufferOffset + bytes > dataIn.length) return undefined;
    return dataIn.subarray(bufferOffset, bufferOffset + bytes);
  }

  /** Checks and counts a Data-In whose bytes already are in place (RFC 7143 11.7). */
  acceptData(pdu: DataInPdu): void {
    const room = this.request.dataIn?.length ?? 0;
    if (pdu.dataSn !== this.#expectedDataSn)
      throw new SequenceError(`Data-In has DataSN ${pdu.dataSn}, expected ${this.#expectedDataSn}`, this.context);
    // DataPDUInOrder and DataSequenceInOrder are Yes: a gap would leave stale memory in the caller's buffer.
    if (pdu.bufferOffset !== this.#received || pdu.bufferOffset + pdu.dataSegmentLength > room)
      throw this.#protocolError(
        `Data-In at offset ${pdu.bufferOffset} with ${pdu.dataSegmentLength} bytes; ${this.#received} of ${room} were received`,
      );
    this.#expectedDataSn += 1;
    this.#received += pdu.dataSegmentLength;
  }

  /** Sends the command with immediate and unsolicited data as negotiated (RFC 7143 4.2.5.3, 13.10, 13.11, 13.14). */
  send(connection: PduSender, parameters: SessionParameters, expStatSn: number): void {
    const { dataOut, dataIn, cdb, expectedDataInBytes } = this.request;
    const length = dataOut?.length ?? 0;
    const unsolicited = Math.min(length, parameters.firstBurstBytes);
    const immediate = parameters.immediateData ? Math.min(unsolicited, parameters.maxSendDataSegmentBytes) : 0;
    const separate = parameters.initialR2T ? 0 : unsolicited - immediate;
    const header = encodeScsiCommand({
      final: separate === 0,
      read: dataIn !== undefined,
      write: dataOut !== undefined,
      attribute: TASK_ATTRIBUTE_SIMPLE,
      lun: this.lun,
      initiatorTaskTag: this.initiatorTaskTag,
      expectedDataTransferLength: dataOut?.length ?? expectedDataInBytes ?? dataIn?.length ?? 0,
      cmdSn: this.cmdSn,
      expStatSn,
      cdb,
      dataSegmentLength: immediate,
    });
    connection.send(header, dataOut?.subarray(0, immediate));
    this.#sentBytes = immediate;
    if (separate > 0) this.#sendDataOut(connection, parameters, expStatSn, RESERVED_TAG, immediate, separate);
  }

  /** Answers an R2T (RFC 7143 11.8). @throws ProtocolError when it asks for what the command does not have. */
  answerR2t(pdu: ReadyToTransferPdu, connection: PduSender, parameters: SessionParameters, expStatSn: number): void {
    const length = this.request.dataOut?.length ?? 0;
    const { bufferOffset, desiredLength, r2tSn, targetTransferTag } = pdu;
    if (desiredLength === 0 || desiredLength > parameters.maxBurstBytes || bufferOffset + desiredLength > length)
      throw this.#protocolError(`R2T asks for ${desiredLength} bytes at ${bufferOffset} of a ${length}-byte write`);
    if (targetTransferTag === RESERVED_TAG) throw this.#protocolError("R2T without a target transfer tag");
    // DataSequenceInOrder is Yes: an R2T for other bytes would leave some of the write unsent.
    if (bufferOffset !== this.#sentBytes)
      throw this.#protocolError(`R2T asks for data at ${bufferOffset}, and ${this.#sentBytes} bytes were sent`);
    if (r2tSn !== this.#expectedR2tSn)
      throw this.#protocolError(`R2T has R2TSN ${r2tSn}, expected ${this.#expectedR2tSn}`);
    this.#expectedR2tSn += 1;
    this.#sendDataOut(connection, parameters, expStatSn, targetTransferTag, bufferOffset, desiredLength);
  }

  complete(status: number, sense: Buffer | undefined, residual: Residual): void {
    const data = this.request.dataIn?.subarray(0, this.#received) ?? NO_DATA;
    const isSuccess = status === ScsiStatus.Good || isRecoveredError(status, sense && decodeSense(sense));
    const error = this.abortReason ?? (isSuccess ? this.#unwritten(residual) : undefined);
    const settle = this.#take();
    if (error !== undefined) settle?.reject(error);
    else settle?.resolve({ status, sense, data, residual });
  }

  fail(error: IscsiError): void {
    this.#take()?.reject(error);
  }

  /** Why GOOD cannot be believed: a write is only done when all of its data went (RFC 7143 11.4.5). */
  #unwritten(residual: Residual): ProtocolError | undefined {
    const length = this.request.dataOut?.length;
    if (length === undefined) return undefined;
    if (residual.bytes > 0 && this.request.ignoresResidual !== true)
      return this.#protocolError(`GOOD with a residual ${residual.kind} of ${residual.bytes} of ${length} bytes`);
    if (this.#sentBytes < length)
      return this.#protocolError(`GOOD after ${this.#sentBytes} of ${length} bytes; the target asked for no more`);
    return undefined;
  }

  /** One sequence of Data-Out PDUs: headers in one allocation, payload as slices of the caller's buffer. */
  #sendDataOut(
    connection: PduSender,
    parameters: SessionParameters,
    expStatSn: number,
    targetTransferTag: number,
    offset: number,
    length: number,
  ): void {
    const dataOut = this.request.dataOut ?? NO_DATA;
    this.#sentBytes = offset + length;
    // RFC 7143 11.7.7: only the last segment of a sequence should need padding.
    const segment = parameters.maxSendDataSegmentBytes & ~3;
    const count = Math.ceil(length / segment);
    const headers = Buffer.alloc(count * HEADER_BYTES);
    const view = viewOf(headers);
    for (let dataSn = 0; dataSn < count; dataSn += 1) {
      const bufferOffset = offset + dataSn * segment;
      const bytes = Math.min(segment, offset + length - bufferOffset);
      const headerAt = dataSn * HEADER_BYTES;
      writeDataOut(
        {
          final: dataSn === count - 1,
          // RFC 7143 11.7.4: without a target transfer tag the LUN field is reserved.
          lun: targetTransferTag === RESERVED_TAG ? 0 : this.lun,
          initiatorTaskTag: this.initiatorTaskTag,
          targetTransferTag,
          expStatSn,
          dataSn,
          bufferOffset,
          dataSegmentLength: bytes,
        },
        view,
        headerAt,
      );
      connection.send(
        headers.subarray(headerAt, headerAt + HEADER_BYTES),
        dataOut.subarray(bufferOffset, bufferOffset + bytes),
      );
    }
  }

  #take(): { resolve(outcome: TaskOutcome): void; reject(error: IscsiError): void } | undefined {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#onSettled?.();
    this.#onSettled = undefined;
    return settle;
  }

  #protocolError(reason: string): ProtocolError {
    return new ProtocolError(reason, this.context);
  }
}
