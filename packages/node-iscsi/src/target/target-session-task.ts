// One SCSI task of the test target and the collection of its data (RFC 7143 4.2.5.3, 11.7, 11.8): strict about what arrives.
import { ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import type { DataOutPdu } from "../pdu/data.ts";
import { RESERVED_TAG } from "../pdu/header.ts";
import type { ScsiCommandPdu } from "../pdu/scsi.ts";

/** One sequence of Data-Out PDUs the initiator is to send. */
interface DataSequence {
  readonly transferTag: number;
  readonly end: number;
  nextDataSn: number;
}

export type TargetScsiCommand = Omit<ScsiCommandPdu, "lun"> & { readonly lun: number | undefined };

const NO_DATA = Buffer.alloc(0);

/** A command from its arrival to its status. */
export class TargetTask {
  readonly tag: number;
  readonly lun: number | undefined;
  readonly cdb: Buffer;
  readonly expectedBytes: number;
  readonly isRead: boolean;
  readonly isWrite: boolean;
  /** Aborts what waits; what already runs on the medium is awaited instead. */
  readonly abort = new AbortController();
  /** Settles when the task can no longer touch the medium; set once it is ready to be run. */
  done: Promise<void> | undefined;
  /** All data-out of the command, complete when {@link isComplete}. */
  readonly data: Buffer;
  r2tSn = 0;
  #received: number;
  #asked: number;
  readonly #sequences: DataSequence[] = [];
  readonly #isIgnored: boolean;

  /**
   * @param scratch when given, as long as the write: its content does not matter and ends up here
   * @throws ProtocolError when the command or its immediate data is not what was negotiated.
   */
  constructor(pdu: TargetScsiCommand, immediate: Buffer, parameters: SessionParameters, scratch: Buffer | undefined) {
    this.tag = pdu.initiatorTaskTag;
    this.lun = pdu.lun;
    this.cdb = pdu.cdb;
    this.expectedBytes = pdu.expectedDataTransferLength;
    this.isRead = pdu.read;
    this.isWrite = pdu.write;
    this.#isIgnored = scratch !== undefined;
    checkCommand(pdu, immediate.length, parameters);
    this.#received = immediate.length;
    this.#asked = immediate.length;
    const isWhole = !pdu.write || immediate.length === this.expectedBytes;
    // Every byte is received, in order, before the command runs; stale memory cannot show.
    if (isWhole) this.data = pdu.write ? immediate : NO_DATA;
    else {
      this.data = scratch ?? Buffer.allocUnsafe(this.expectedBytes);
      if (scratch === undefined) immediate.copy(this.data);
      if (!pdu.final) this.#expectUnsolicited(parameters);
    }
  }

  get isAborted(): boolean {
    return this.abort.signal.aborted;
  }

  get received(): number {
    return this.#received;
  }

  /** All of the data-out is here. */
  get isComplete(): boolean {
    return !this.isWrite || this.#received === this.expectedBytes;
  }

  /** R2Ts (or the unsolicited sequence) whose data has not all arrived. */
  get openSequences(): number {
    return this.#sequences.length;
  }

  /** The command announced Data-Out PDUs of its own accord, and the last of them is not here. */
  get awaitsUnsolicited(): boolean {
    return this.#sequences[0]?.transferTag === RESERVED_TAG;
  }

  /** First byte that nobody was asked for yet. */
  get nextOffset(): number {
    return this.#asked;
  }

  /** Notes an R2T for `bytes` from {@link nextOffset} on. */
  ask(transferTag: number, bytes: number): void {
    this.#asked += bytes;
    this.#sequences.push({ transferTag, end: this.#asked, nextDataSn: 0 });
  }

  /** Where the data of a Data-Out belongs; undefined when it does not fit, for {@link accept} to complain about. */
  place(bufferOffset: number, bytes: number): Buffer | undefined {
    if (bufferOffset !== this.#received || bufferOffset + bytes > this.data.length) return undefined;
    // What nobody will look at goes to the same place again and again, which stays in the processor's cache.
    const at = this.#isIgnored ? 0 : bufferOffset;
    return this.data.subarray(at, at + bytes);
  }

  /** Counts a Data-Out whose bytes are in place. @throws ProtocolError unless it is the next of the oldest sequence. */
  accept(pdu: Omit<DataOutPdu, "lun">): void {
    const sequence = this.#sequences[0];
    if (sequence === undefined) throw new ProtocolError("Data-Out that no R2T asked for");
    if (pdu.targetTransferTag !== sequence.transferTag)
      throw new ProtocolError(`Data-Out with transfer tag ${pdu.targetTransferTag}, expected ${sequence.transferTag}`);
    const end = pdu.bufferOffset + pdu.dataSegmentLength;
    if (pdu.bufferOffset !== this.#received || end > sequence.end)
      throw new ProtocolError(
        `Data-Out of bytes ${pdu.bufferOffset} to ${end}; expected from ${this.#received} to at most ${sequence.end}`,
      );
    if (pdu.dataSn !== sequence.nextDataSn)
      throw new ProtocolError(`Data-Out has DataSN ${pdu.dataSn}, expected ${sequence.nextDataSn}`);
    sequence.nextDataSn += 1;
    this.#received = end;
    const isUnsolicited = sequence.transferTag === RESERVED_TAG;
    // Unsolicited data may end before FirstBurstLength; a solicited sequence ends where the R2T said (RFC 7143 11.7.1).
    if (end < sequence.end ? pdu.final && !isUnsolicited : !pdu.final)
      throw new ProtocolError(`Data-Out sequence to ${sequence.end} has F=${pdu.final ? 1 : 0} at ${end}`);
    if (!pdu.final) return;
    this.#sequences.shift();
    if (isUnsolicited) this.#asked = end;
  }

  /** Gives up on the data of the oldest sequence, whose last PDU has come. */
  skipSequence(): void {
    this.#sequences.shift();
  }

  #expectUnsolicited(parameters: SessionParameters): void {
    this.#asked = Math.min(this.expectedBytes, parameters.firstBurstBytes);
    this.#sequences.push({ transferTag: RESERVED_TAG, end: this.#asked, nextDataSn: 0 });
  }
}

function checkCommand(pdu: TargetScsiCommand, immediateBytes: number, parameters: SessionParameters): void {
  const expected = pdu.expectedDataTransferLength;
  if (immediateBytes === 0) {
    if (!pdu.final && (!pdu.write || parameters.initialR2T))
      throw new ProtocolError("a SCSI command announces unsolicited data that may not be sent");
    return;
  }
  if (!pdu.write) throw new ProtocolError("immediate data of a command that does not write");
  if (!parameters.immediateData) throw new ProtocolError("immediate data, although ImmediateData=No");
  if (immediateBytes > expected) throw new ProtocolError(`${immediateBytes} bytes of immediate data for ${expected}`);
  if (immediateBytes > parameters.firstBurstBytes) throw new ProtocolError("immediate data beyond FirstBurstLength");
  if (!pdu.final && (parameters.initialR2T || immediateBytes >= Math.min(expected, parameters.firstBurstBytes)))
    throw new ProtocolError("a SCSI command announces unsolicited data that may not be sent");
}
