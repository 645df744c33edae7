// Incremental parser of received bytes into PDUs (RFC 7143 11.2). Checks bounds before it allocates; never keeps the input.
import { crc32c } from "./crc32c.ts";
import { ProtocolError } from "./errors.ts";
import {
  additionalHeaderBytes,
  dataSegmentLength,
  HEADER_BYTES,
  opcodeName,
  opcodeOf,
  paddingOf,
} from "./pdu/header.ts";

/** A data segment of this size is one of a long transfer. */
const LIKELY_LARGE_BYTES = 16 * 1024;

/** What a framer reports to. Headers are valid during the call only; data belongs to the receiver. */
export interface FramerSink {
  /**
   * A header is complete, and its digest right. Returns where its data segment goes (at least `dataBytes` long), or undefined
   * for a new buffer. With data digests the bytes are in place before the digest is known to be right.
   */
  placeData?(header: Buffer, dataBytes: number): Buffer | undefined;
  /** A PDU is complete, and its data digest right; `data` is exactly the data segment, without padding. */
  onPdu(header: Buffer, data: Buffer): void;
}

/** Which digests both sides agreed on (RFC 7143 13.1). */
export interface Digests {
  readonly header: boolean;
  readonly data: boolean;
}

/** A received digest does not match: the bytes were damaged on the way (RFC 7143 7.7). The peer is not to blame. */
export class DigestError extends ProtocolError {
  constructor(digest: "header" | "data", header: Buffer) {
    super(`the ${digest} digest of a ${opcodeName(opcodeOf(header))} is wrong`, { operation: "receiving PDUs" });
  }
}

/** Bytes kept while paused: one full receive buffer. The caller stops reading, so that more is its own mistake. */
const MAX_KEPT_BYTES = 1024 * 1024;
const DIGEST_BYTES = 4;
const NO_DATA = Buffer.alloc(0);

/** The parts of a PDU in their order; those it does not have are passed over. */
const Part = { Header: 0, AdditionalHeader: 1, HeaderDigest: 2, Data: 3, Padding: 4, DataDigest: 5 } as const;
type Part = (typeof Part)[keyof typeof Part];

/**
 * Cuts a byte stream into PDUs. `push` may be given any slices, also of one byte, and copies what it needs, so the caller may
 * reuse its receive buffer. After the first ProtocolError the stream has lost its boundaries and the framer refuses further input.
 */
export class Framer {
  /** Largest DataSegmentLength accepted: what we declared as MaxRecvDataSegmentLength. */
  maxDataSegmentBytes: number;
  readonly #sink: FramerSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  readonly #digest = Buffer.alloc(DIGEST_BYTES);
  /** From the next PDU on. */
  #nextDigests: Digests = { header: false, data: false };
  /** Of the PDU under way. Trap: the last Login Response has none, also when its padding comes after `resume`. */
  #digests = this.#nextDigests;
  #part: Part = Part.Header;
  /** Bytes still missing of the current part. */
  #missing = HEADER_BYTES;
  #crc = 0;
  #data: Buffer = NO_DATA;
  #isPaused = false;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #failed = false;
  #lastDataBytes = 0;

  constructor(sink: FramerSink, maxDataSegmentBytes: number) {
    this.#sink = sink;
    this.maxDataSegmentBytes = maxDataSegmentBytes;
  }

  /** True between two PDUs: the place where a connection may end without loss. */
  get isAtBoundary(): boolean {
    return this.#part === Part.Header && this.#missing === HEADER_BYTES;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Cuts no further PDU until {@link resume}, also within the current `push`; what follows is copied and kept. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on, first with what was kept; `digests` hold from the next PDU on. @throws as {@link push} does. */
  resume(digests: Digests): void {
    this.#isPaused = false;
    this.#nextDigests = digests;
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    for (const chunk of kept) this.push(chunk);
  }

  /** @throws ProtocolError when a PDU exceeds the limits, DigestError when it is damaged, or whatever the sink throws. */
  push(chunk: Buffer, endAt = chunk.length): void {
    if (this.#failed) throw new ProtocolError("bytes after a framing error", { operation: "receiving PDUs" });
    try {
      let at = 0;
      while (at < endAt && !this.#isPaused) at += this.#consume(chunk, at, endAt - at);
      if (at < endAt) this.#keep(chunk.subarray(at, endAt));
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  /** What is still missing of the data segment that goes into `buffer` is thrown away. Returns whether there was one. */
  abandon(buffer: Buffer): boolean {
    if (this.#part !== Part.Data || this.#data.buffer !== buffer.buffer) return false;
    this.#data = Buffer.allocUnsafe(this.#data.length);
    return true;
  }

  /**
   * The rest of the data segment under way, if at least `atLeast` bytes of it are missing: bytes received straight into it, and told
   * of by {@link advance}, need no copy.
   */
  destination(atLeast: number): Buffer | undefined {
    if (this.#part !== Part.Data || this.#missing < atLeast || this.#isPaused || this.#failed) return undefined;
    return this.#data.subarray(this.#data.length - this.#missing);
  }

  /** Bytes up to the end of the next header: after a large data segment another one is likely, whose data may go to its place. */
  get bytesToLikelyData(): number | undefined {
    if (!this.isAtBoundary || this.#lastDataBytes < LIKELY_LARGE_BYTES) return undefined;
    return HEADER_BYTES + (this.#nextDigests.header ? DIGEST_BYTES : 0);
  }

  /** `bytes` were received into {@link destination}. @throws as {@link push} does. */
  advance(bytes: number): void {
    try {
      const at = this.#data.length - this.#missing;
      if (this.#digests.data) this.#crc = crc32c(this.#data.subarray(at, at + bytes), this.#crc);
      this.#missing -= bytes;
      if (this.#missing === 0) this.#endPart();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #keep(rest: Buffer): void {
    this.#keptBytes += rest.length;
    if (this.#keptBytes > MAX_KEPT_BYTES) throw new ProtocolError("too many bytes while the framer is paused");
    this.#kept.push(Buffer.from(rest));
  }

  /** Takes at least one byte of the current part from `chunk` at `at`; returns how many. */
  #consume(chunk: Buffer, at: number, available: number): number {
    const count = Math.min(this.#missing, available);
    switch (this.#part) {
      case Part.Header:
        this.#header.set(chunk.subarray(at, at + count), HEADER_BYTES - this.#missing);
        break;
      case Part.AdditionalHeader:
        if (this.#digests.header) this.#crc = crc32c(chunk.subarray(at, at + count), this.#crc);
        break;
      case Part.Data:
        chunk.copy(this.#data, this.#data.length - this.#missing, at, at + count);
        // Piece by piece as they arrive: they are in the cache now.
        if (this.#digests.data) this.#crc = crc32c(chunk.subarray(at, at + count), this.#crc);
        break;
      case Part.Padding:
        if (this.#digests.data) this.#crc = crc32c(chunk.subarray(at, at + count), this.#crc);
        break;
      default:
        chunk.copy(this.#digest, DIGEST_BYTES - this.#missing, at, at + count);
    }
    this.#missing -= count;
    if (this.#missing === 0) this.#endPart();
    return count;
  }

  /** Acts on the part that is complete and goes on to the next one that has any bytes. */
  #endPart(): void {
    switch (this.#part) {
      case Part.Header:
        this.#digests = this.#nextDigests;
        if (this.#digests.header) this.#crc = crc32c(this.#header);
        if (!this.#begin(Part.AdditionalHeader, additionalHeaderBytes(this.#header))) this.#endAdditionalHeader();
        break;
      case Part.AdditionalHeader:
        this.#endAdditionalHeader();
        break;
      case Part.HeaderDigest:
        this.#checkDigest("header");
        this.#startData();
        break;
      case Part.Data:
        this.#endData();
        break;
      case Part.Padding:
        if (!this.#begin(Part.DataDigest, this.#digests.data ? DIGEST_BYTES : 0))
          this.#begin(Part.Header, HEADER_BYTES);
        break;
      case Part.DataDigest:
        this.#checkDigest("data");
        this.#begin(Part.Header, HEADER_BYTES);
        this.#deliver();
        break;
    }
  }

  #begin(part: Part, bytes: number): boolean {
    if (bytes === 0) return false;
    this.#part = part;
    this.#missing = bytes;
    return true;
  }

  #endAdditionalHeader(): void {
    // Until its digest is checked, the header's data segment length means nothing.
    if (!this.#begin(Part.HeaderDigest, this.#digests.header ? DIGEST_BYTES : 0)) this.#startData();
  }

  #startData(): void {
    const length = dataSegmentLength(this.#header);
    if (length > this.maxDataSegmentBytes)
      throw new ProtocolError(
        `${opcodeName(opcodeOf(this.#header))} has a data segment of ${length} bytes; we declared at most ${this.maxDataSegmentBytes}`,
        { operation: "receiving PDUs" },
      );
    this.#crc = 0;
    if (!this.#begin(Part.Data, length)) {
      // RFC 7143 11.2: no data segment, no data digest.
      this.#begin(Part.Header, HEADER_BYTES);
      this.#lastDataBytes = 0;
      this.#data = NO_DATA;
      this.#deliver();
      return;
    }
    const place = this.#sink.placeData?.(this.#header, length);
    if (place !== undefined && place.length < length)
      throw new ProtocolError(`data segment of ${length} bytes does not fit its ${place.length}-byte destination`);
    if (place === undefined) this.#data = Buffer.allocUnsafe(length);
    else this.#data = place.length === length ? place : place.subarray(0, length);
  }

  #endData(): void {
    this.#lastDataBytes = this.#data.length;
    const padding = this.#begin(Part.Padding, paddingOf(this.#data.length));
    if (this.#digests.data) {
      if (!padding) this.#begin(Part.DataDigest, DIGEST_BYTES);
      return;
    }
    if (!padding) this.#begin(Part.Header, HEADER_BYTES);
    this.#deliver();
  }

  #deliver(): void {
    const data = this.#data;
    this.#data = NO_DATA;
    this.#sink.onPdu(this.#header, data);
  }

  #checkDigest(which: "header" | "data"): void {
    if (this.#digest.readUInt32LE(0) !== this.#crc) throw new DigestError(which, this.#header);
  }
}
