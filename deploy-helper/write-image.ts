// Streams an image onto the root partition: bounded memory, many writes in flight, every byte not in the image zeroed (S6).
import { createHash, type Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { allocateTransferBuffer } from "node-iscsi";
import { type BlockDevice, MIB, WriteWindow, zeroRange } from "./disk/index.ts";
import { type Chunk, chunksOf, type ImageSource, readChunk } from "./image/index.ts";

const CHUNK_BYTES = MIB;
const READS_AHEAD = 3;
const WRITES_IN_FLIGHT = 8;
/** Zeros inside the data are looked for in pieces of this size. */
const ZERO_GRAIN_BYTES = 64 * 1024;
const ZEROES = Buffer.alloc(CHUNK_BYTES);

export interface WriteImageOptions {
  readonly signal: AbortSignal;
  /** SHA-256 over the image's content, holes included: costs a pass over all bytes. */
  readonly wantsHash: boolean;
  /** Called with the bytes of the image's data that were handed to the disk so far. */
  readonly onProgress?: (bytesDone: number) => void;
}

export interface WriteImageResult {
  readonly bytesWritten: number;
  readonly bytesZeroed: number;
  readonly sha256: string | undefined;
}

/** Writes `source` to the start of `device` and zeros to the rest of it. Resolves when the disk acknowledged all; no flush. */
export async function writeImage(
  source: ImageSource,
  device: BlockDevice,
  options: WriteImageOptions,
): Promise<WriteImageResult> {
  return new ImageWriter(source, device, options).run();
}

interface Pending {
  readonly chunk: Chunk;
  readonly buffer: Buffer | undefined;
  readonly ready: Promise<void>;
}

/** One run of the pipeline: reads ahead in order, hashes in order, writes in parallel. */
class ImageWriter {
  readonly #source: ImageSource;
  readonly #device: BlockDevice;
  readonly #options: WriteImageOptions;
  readonly #window = new WriteWindow(WRITES_IN_FLIGHT);
  readonly #hash: Hash | undefined;
  readonly #free: Buffer[] = [];
  #buffers = 0;
  #onFree: (() => void) | undefined;
  #zeroStart = 0;
  #position = 0;
  #bytesWritten = 0;
  #bytesZeroed = 0;
  #bytesDone = 0;

  constructor(source: ImageSource, device: BlockDevice, options: WriteImageOptions) {
    this.#source = source;
    this.#device = device;
    this.#options = options;
    this.#hash = options.wantsHash ? createHash("sha256") : undefined;
  }

  async run(): Promise<WriteImageResult> {
    const { signal } = this.#options;
    const ahead: Pending[] = [];
    try {
      for await (const chunk of chunksOf(this.#source, CHUNK_BYTES, signal)) {
        ahead.push(await this.#start(chunk));
        if (ahead.length > READS_AHEAD) await this.#finish(ahead.shift() as Pending);
      }
      for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) await this.#finish(next);
      this.#position = this.#device.sizeBytes;
      await this.#flushZeroes();
      await this.#window.drain();
    } finally {
      // No read or write of ours may touch a buffer, or the disk, after we have returned.
      await Promise.allSettled(ahead.map((pending) => pending.ready));
      await this.#window.settle();
    }
    return { bytesWritten: this.#bytesWritten, bytesZeroed: this.#bytesZeroed, sha256: this.#hash?.digest("hex") };
  }

  async #start(chunk: Chunk): Promise<Pending> {
    if (chunk.parts.length === 0) return { chunk, buffer: undefined, ready: Promise.resolve() };
    const buffer = await this.#acquire();
    const ready = readChunk(chunk, buffer);
    // Awaited later; until then a failure must not count as unhandled.
    ready.catch(() => {});
    return { chunk, buffer, ready };
  }

  async #finish({ chunk, buffer, ready }: Pending): Promise<void> {
    await ready;
    this.#options.signal.throwIfAborted();
    this.#position = chunk.offset;
    if (buffer === undefined) {
      await this.#hashZeroes(chunk.length);
      this.#position += chunk.length;
      return;
    }
    this.#hash?.update(buffer.subarray(0, chunk.length));
    const { blockSize } = this.#device;
    const length = Math.ceil(chunk.length / blockSize) * blockSize;
    let uses = 1;
    const release = () => {
      if (--uses === 0) this.#release(buffer);
    };
    try {
      for (const run of dataRuns(buffer, length)) {
        this.#position = chunk.offset + run.start;
        await this.#flushZeroes();
        uses++;
        await this.#write(chunk.offset + run.start, buffer.subarray(run.start, run.end), release);
        this.#position = this.#zeroStart = chunk.offset + run.end;
      }
      this.#position = chunk.offset + length;
      this.#bytesDone += chunk.parts.reduce((sum, part) => sum + part.length, 0);
      this.#options.onProgress?.(this.#bytesDone);
    } finally {
      release();
    }
  }

  async #write(offset: number, data: Buffer, done: () => void): Promise<void> {
    this.#bytesWritten += data.length;
    const { signal } = this.#options;
    await this.#window.run(() => this.#device.write(offset, data, { signal }).finally(done));
  }

  /** Zeroes from the end of the last data to here. */
  async #flushZeroes(): Promise<void> {
    const from = this.#zeroStart;
    const length = this.#position - from;
    if (length <= 0) return;
    this.#zeroStart = this.#position;
    this.#bytesZeroed += length;
    const { signal } = this.#options;
    await this.#window.run(() => zeroRange(this.#device, from, length, { signal }));
  }

  async #hashZeroes(length: number): Promise<void> {
    for (let done = 0; this.#hash !== undefined && done < length; done += ZEROES.length) {
      this.#hash.update(ZEROES.subarray(0, Math.min(ZEROES.length, length - done)));
      if (done % (8 * MIB) === 0) {
        await setImmediate();
        this.#options.signal.throwIfAborted();
      }
    }
  }

  async #acquire(): Promise<Buffer> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#buffers < READS_AHEAD + 1 + WRITES_IN_FLIGHT) {
      this.#buffers++;
      return allocateTransferBuffer(CHUNK_BYTES);
    }
    await new Promise<void>((resolve) => {
      this.#onFree = resolve;
    });
    return this.#acquire();
  }

  #release(buffer: Buffer): void {
    this.#free.push(buffer);
    this.#onFree?.();
    this.#onFree = undefined;
  }
}

/** The parts of `buffer` that are not zeros, in grains; neighbours are joined. */
function* dataRuns(buffer: Buffer, length: number): Generator<{ start: number; end: number }> {
  let start = -1;
  for (let at = 0; at < length; at += ZERO_GRAIN_BYTES) {
    const grain = buffer.subarray(at, Math.min(at + ZERO_GRAIN_BYTES, length));
    const isZero = grain.equals(ZEROES.subarray(0, grain.length));
    if (isZero && start >= 0) {
      yield { start, end: at };
      start = -1;
    } else if (!isZero && start < 0) start = at;
  }
  if (start >= 0) yield { start, end: length };
}
