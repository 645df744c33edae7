// A Writable over a block device: any chunks in, aligned writes out, several in flight, memory bounded (SBC-4 leaves their order to us).
import { setMaxListeners } from "node:events";
import { Writable } from "node:stream";
import { listenForAbort } from "./abort-listener.ts";
import type { BlockDevice } from "./block-device.ts";
import { AbortedError, InvalidArgumentError } from "./errors.ts";
import { allocateTransferBuffer } from "./transfer-buffer.ts";
import { BULK_COMMANDS_IN_FLIGHT, MAX_COMMAND_BYTES } from "./transfer-shape.ts";

/** Options of {@link createWriteStream}. Sizes and offsets in bytes. */
export interface WriteStreamOptions {
  /** Where the first byte goes; a multiple of the block size. Default 0. */
  readonly start?: number | undefined;
  /** The first byte that is not written; more data than fits before it is an error. Default: the device's size. */
  readonly end?: number | undefined;
  /** Size of one write; a multiple of the block size. Default 2 MiB. */
  readonly chunkBytes?: number | undefined;
  /** Writes in flight at most. Default 3. */
  readonly inFlight?: number | undefined;
  /** When the data ends inside a block: fill the block up with zeros, or fail. Default "refuse". */
  readonly padTail?: "zero" | "refuse" | undefined;
  /** SYNCHRONIZE CACHE before "finish". Default true. */
  readonly flush?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a write stream needs of a {@link BlockDevice}. */
export type WritableDevice = Pick<BlockDevice, "sizeBytes" | "blockSize" | "write" | "flush">;

/** What a write stream's error tells besides its own fields. */
export interface WriteStreamFailure extends Error {
  /** Bytes from `start` on, without a gap, that the device acknowledged. Later ones may have been written as well. */
  readonly acknowledgedBytes: number;
}

/** See {@link createWriteStream}. */
export interface BlockWriteStream extends Writable {
  /** Bytes from `start` on, without a gap, that the device acknowledged so far (padding included). */
  readonly acknowledgedBytes: number;
}

const OPERATION = "write stream";

/**
 * Writes a stream of bytes to `device` from `start` on. Holds at most `(inFlight + 1) * chunkBytes`: `write` returns false before that.
 * Chunks of at least `chunkBytes` are sent as they are, without copying: such a buffer must not change until "finish". "finish" comes
 * after the last acknowledgement and the flush. After an error no more is sent; the stream is destroyed once the writes in flight
 * have settled, with a {@link WriteStreamFailure} that is the device's error. `destroy()` aborts what is in flight and waits for it.
 * @throws InvalidArgumentError at once for a `start`, `end` or `chunkBytes` that does not fit the device.
 */
export function createWriteStream(device: WritableDevice, options: WriteStreamOptions = {}): BlockWriteStream {
  const {
    start = 0,
    end = device.sizeBytes,
    chunkBytes = MAX_COMMAND_BYTES,
    inFlight = BULK_COMMANDS_IN_FLIGHT,
  } = options;
  const isWhole = (value: number) => Number.isSafeInteger(value) && value >= 0 && value % device.blockSize === 0;
  const refuse = (reason: string) => new InvalidArgumentError(reason, { operation: OPERATION });
  if (!isWhole(start)) throw refuse(`start ${start} is not a multiple of the block size ${device.blockSize}`);
  if (!isWhole(chunkBytes) || chunkBytes === 0)
    throw refuse(`chunkBytes ${chunkBytes} is not a multiple of the block size ${device.blockSize}`);
  if (!Number.isSafeInteger(end) || end < start || end > device.sizeBytes)
    throw refuse(`end ${end} is not between start ${start} and the device's size ${device.sizeBytes}`);
  if (!Number.isSafeInteger(inFlight) || inFlight < 1) throw refuse(`inFlight ${inFlight} is not a number above 0`);
  return new DeviceWritable(device, { ...options, start, end, chunkBytes, inFlight });
}

interface Sizes {
  readonly start: number;
  readonly end: number;
  readonly chunkBytes: number;
  readonly inFlight: number;
}

type Done = (error?: Error | null) => void;

class DeviceWritable extends Writable implements BlockWriteStream {
  readonly #device: WritableDevice;
  readonly #options: WriteStreamOptions & Sizes;
  readonly #abort = new AbortController();
  /** Writes in the order of their offsets; finished ones leave from the front. */
  readonly #writes: { bytes: number; isDone: boolean }[] = [];
  readonly #settled = new Set<Promise<void>>();
  readonly #pool: Buffer[] = [];
  /** The chunk being put together. It counts as one in flight, so that all buffers together stay within the bound. */
  #filling: Buffer | undefined;
  #filled = 0;
  #takenBytes = 0;
  #nextOffset: number;
  #acknowledged = 0;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #unlisten: () => void = () => undefined;

  constructor(device: WritableDevice, options: WriteStreamOptions & Sizes) {
    super({ highWaterMark: options.chunkBytes });
    this.#device = device;
    // Every operation in flight listens to this signal.
    setMaxListeners(0, this.#abort.signal);
    this.#options = options;
    this.#nextOffset = options.start;
    this.#unlisten = listenForAbort(options.signal, () =>
      this.destroy(new AbortedError({ operation: OPERATION }, options.signal?.reason)),
    );
  }

  get acknowledgedBytes(): number {
    return this.#acknowledged;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#settle(this.#take([chunk]), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#settle(this.#take(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#settle(this.#finish(), done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#unlisten();
    this.#abort.abort(error ?? undefined);
    this.#wake?.();
    this.#idle().then(() => done(error === null ? null : this.#withProgress(error)));
  }

  /** Answers a callback of the stream once; after a failure only when nothing is in flight any more. */
  #settle(work: Promise<void>, done: Done): void {
    work.then(
      () => done(),
      async (error: Error) => {
        this.#failure ??= error;
        await this.#idle();
        done(this.#withProgress(this.#failure));
      },
    );
  }

  async #take(chunks: Buffer[]): Promise<void> {
    const { chunkBytes, start, end } = this.#options;
    for (const chunk of chunks) {
      this.#takenBytes += chunk.length;
      const tooMany = start + this.#takenBytes - end;
      if (tooMany > 0)
        throw new InvalidArgumentError(`the data does not end before ${end}, at least ${tooMany} bytes too many`, {
          operation: OPERATION,
        });
      for (let at = 0; at < chunk.length; ) {
        if (this.#filling === undefined) await this.#slot();
        if (this.#filling === undefined && chunk.length - at >= chunkBytes) {
          this.#send(chunk.subarray(at, at + chunkBytes), undefined);
          at += chunkBytes;
          continue;
        }
        this.#filling ??= this.#pool.pop() ?? allocateTransferBuffer(chunkBytes);
        const copied = chunk.copy(this.#filling, this.#filled, at);
        this.#filled += copied;
        at += copied;
        if (this.#filled === chunkBytes) this.#sendFilled(chunkBytes);
      }
    }
  }

  async #finish(): Promise<void> {
    const { blockSize } = this.#device;
    const rest = this.#filled % blockSize;
    if (this.#filling !== undefined && rest > 0 && this.#options.padTail === "zero") {
      this.#filling.fill(0, this.#filled, this.#filled + blockSize - rest);
      this.#sendFilled(this.#filled + blockSize - rest);
    } else if (this.#filled > rest) this.#sendFilled(this.#filled - rest);
    await this.#idle();
    if (this.#failure !== undefined) throw this.#failure;
    if (rest > 0 && this.#options.padTail !== "zero")
      throw new InvalidArgumentError(
        `the data ends ${rest} bytes into a block of ${blockSize}; give padTail: "zero" to fill the block up`,
        { operation: OPERATION },
      );
    if (this.#options.flush !== false) await this.#device.flush({ signal: this.#abort.signal });
  }

  #sendFilled(bytes: number): void {
    const buffer = this.#filling;
    this.#filling = undefined;
    this.#filled = 0;
    if (buffer !== undefined) this.#send(buffer.subarray(0, bytes), buffer);
  }

  #send(data: Buffer, pooled: Buffer | undefined): void {
    const write = { bytes: data.length, isDone: false };
    const offset = this.#nextOffset;
    this.#nextOffset += data.length;
    this.#writes.push(write);
    const settled: Promise<void> = this.#device
      .write(offset, data, { signal: this.#abort.signal })
      .then(
        () => this.#acknowledge(write),
        (error) => this.#fail(error),
      )
      .finally(() => {
        if (pooled !== undefined) this.#pool.push(pooled);
        this.#settled.delete(settled);
        this.#wake?.();
      });
    this.#settled.add(settled);
  }

  #acknowledge(write: { isDone: boolean }): void {
    write.isDone = true;
    for (let first = this.#writes[0]; first?.isDone === true; first = this.#writes[0]) {
      this.#acknowledged += first.bytes;
      this.#writes.shift();
    }
  }

  /** The first failure decides; whoever waits for a slot learns of it, and an idle stream is destroyed when all have settled. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined || this.destroyed) return;
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#failure = failure;
    this.#idle().then(() => this.destroy(failure));
  }

  /** Waits until one more write may start. */
  async #slot(): Promise<void> {
    while (this.#failure === undefined && !this.destroyed && this.#settled.size >= this.#options.inFlight)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.destroyed) throw new AbortedError({ operation: OPERATION });
  }

  async #idle(): Promise<void> {
    while (this.#settled.size > 0) await Promise.all(this.#settled);
  }

  #withProgress(error: Error): Error {
    return Object.assign(error, { acknowledgedBytes: this.#acknowledged });
  }
}
