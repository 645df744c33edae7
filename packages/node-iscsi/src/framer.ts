// Incremental parser of received bytes into PDUs (RFC 7143 11.2). Checks bounds before it allocates; never keeps the input.
import { ProtocolError } from "./errors.ts";
import {
  additionalHeaderBytes,
  dataSegmentLength,
  HEADER_BYTES,
  opcodeName,
  opcodeOf,
  paddingOf,
} from "./pdu/header.ts";

/** What a framer reports to. Headers are valid during the call only; data belongs to the receiver. */
export interface FramerSink {
  /** A header is complete. Returns where its data segment goes (at least `dataBytes` long), or undefined for a new buffer. */
  placeData?(header: Buffer, dataBytes: number): Buffer | undefined;
  /** A PDU is complete; `data` is exactly the data segment, without padding. */
  onPdu(header: Buffer, data: Buffer): void;
}

const NO_DATA = Buffer.alloc(0);

/**
 * Cuts a byte stream into PDUs. `push` may be given any slices, also of one byte, and copies what it needs, so the caller may
 * reuse its receive buffer. After the first ProtocolError the stream has lost its boundaries and the framer refuses further input.
 */
export class Framer {
  /** Largest DataSegmentLength accepted: what we declared as MaxRecvDataSegmentLength. */
  maxDataSegmentBytes: number;
  readonly #sink: FramerSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerHave = 0;
  #skipBeforeData = 0;
  #data: Buffer | undefined;
  #dataHave = 0;
  #skipAfterData = 0;
  #failed = false;

  constructor(sink: FramerSink, maxDataSegmentBytes: number) {
    this.#sink = sink;
    this.maxDataSegmentBytes = maxDataSegmentBytes;
  }

  /** True between two PDUs: the place where a connection may end without loss. */
  get isAtBoundary(): boolean {
    return this.#headerHave === 0 && this.#skipAfterData === 0;
  }

  /** @throws ProtocolError when a PDU exceeds the limits, or whatever the sink throws. */
  push(chunk: Buffer, endAt = chunk.length): void {
    if (this.#failed) throw new ProtocolError("bytes after a framing error", { operation: "receiving PDUs" });
    try {
      let at = 0;
      while (at < endAt) at += this.#consume(chunk, at, endAt - at);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  /** Takes at least one byte from `chunk` at `at`; returns how many. */
  #consume(chunk: Buffer, at: number, available: number): number {
    if (this.#skipAfterData > 0) {
      const count = Math.min(this.#skipAfterData, available);
      this.#skipAfterData -= count;
      return count;
    }
    if (this.#headerHave < HEADER_BYTES) {
      const count = Math.min(HEADER_BYTES - this.#headerHave, available);
      chunk.copy(this.#header, this.#headerHave, at, at + count);
      this.#headerHave += count;
      if (this.#headerHave === HEADER_BYTES) this.#startData();
      return count;
    }
    if (this.#skipBeforeData > 0) {
      const count = Math.min(this.#skipBeforeData, available);
      this.#skipBeforeData -= count;
      this.#finishIfComplete();
      return count;
    }
    const data = this.#data ?? NO_DATA;
    const count = Math.min(data.length - this.#dataHave, available);
    chunk.copy(data, this.#dataHave, at, at + count);
    this.#dataHave += count;
    this.#finishIfComplete();
    return count;
  }

  #startData(): void {
    const length = dataSegmentLength(this.#header);
    if (length > this.maxDataSegmentBytes)
      throw new ProtocolError(
        `${opcodeName(opcodeOf(this.#header))} has a data segment of ${length} bytes; we declared at most ${this.maxDataSegmentBytes}`,
        { operation: "receiving PDUs" },
      );
    this.#skipBeforeData = additionalHeaderBytes(this.#header);
    this.#dataHave = 0;
    if (length === 0) this.#data = NO_DATA;
    else {
      const place = this.#sink.placeData?.(this.#header, length);
      if (place !== undefined && place.length < length)
        throw new ProtocolError(`data segment of ${length} bytes does not fit its ${place.length}-byte destination`);
      this.#data = place === undefined ? Buffer.allocUnsafe(length) : place.subarray(0, length);
    }
    this.#finishIfComplete();
  }

  #finishIfComplete(): void {
    const data = this.#data ?? NO_DATA;
    if (this.#skipBeforeData > 0 || this.#dataHave < data.length) return;
    this.#skipAfterData = paddingOf(data.length);
    this.#headerHave = 0;
    this.#data = undefined;
    this.#sink.onPdu(this.#header, data);
  }
}
