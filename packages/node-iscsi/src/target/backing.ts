// What a target stores its blocks in: a sparse file, sparse memory, or anything with the same four methods.
import { type FileHandle, open } from "node:fs/promises";

/** Byte store of a target; calls are within bounds. */
export interface Backing {
  readonly sizeBytes: number;
  read(offset: number, into: Buffer): Promise<void>;
  write(offset: number, data: Buffer): Promise<void>;
  /** Afterwards the range reads as zeros; may give storage back. */
  zero(offset: number, length: number): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
  /** True: what is written is never looked at, so the target may collect all writes in the same memory. */
  readonly ignoresData?: boolean;
  /** Memory that holds these bytes, for the caller to read only; undefined when they must be copied with {@link read}. */
  view?(offset: number, length: number): Buffer | undefined;
}

/**
 * Where a target keeps its data: a file (created and extended, sparse), memory, nothing at all (writes are dropped, reads give
 * zeros: for measuring everything else), or a store of the caller's.
 */
export type BackingOptions =
  | { path: string; sizeBytes: number }
  | { memoryBytes: number }
  | { nullBytes: number }
  | Backing;

export async function openBacking(options: BackingOptions): Promise<Backing> {
  if ("path" in options) return FileBacking.open(options.path, options.sizeBytes);
  if ("nullBytes" in options) return new NullBacking(options.nullBytes);
  return "memoryBytes" in options ? new MemoryBacking(options.memoryBytes) : options;
}

const DONE = Promise.resolve();

/** Keeps nothing: the cheapest store there can be. */
class NullBacking implements Backing {
  readonly sizeBytes: number;
  readonly ignoresData = true;
  #zeros = Buffer.alloc(0);

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  read(_offset: number, into: Buffer): Promise<void> {
    into.fill(0);
    return DONE;
  }

  view(_offset: number, length: number): Buffer {
    if (this.#zeros.length < length) this.#zeros = Buffer.alloc(length);
    return this.#zeros.subarray(0, length);
  }

  write(): Promise<void> {
    return DONE;
  }

  zero(): Promise<void> {
    return DONE;
  }

  flush(): Promise<void> {
    return DONE;
  }

  close(): Promise<void> {
    return DONE;
  }
}

/** Granularity at which a file or memory knows that nothing was ever written. */
const CHUNK_BYTES = 64 * 1024;
const ZERO_CHUNK = Buffer.alloc(CHUNK_BYTES);

/** The pieces of a byte range, cut at chunk borders. */
function* chunksOf(
  offset: number,
  length: number,
): Generator<{ index: number; at: number; bytes: number; done: number }> {
  for (let done = 0; done < length; ) {
    const index = Math.floor((offset + done) / CHUNK_BYTES);
    const at = (offset + done) % CHUNK_BYTES;
    const bytes = Math.min(CHUNK_BYTES - at, length - done);
    yield { index, at, bytes, done };
    done += bytes;
  }
}

/** Sparse memory: chunks exist once they were written. */
export class MemoryBacking implements Backing {
  readonly sizeBytes: number;
  readonly #chunks = new Map<number, Buffer>();

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  async read(offset: number, into: Buffer): Promise<void> {
    for (const { index, at, bytes, done } of chunksOf(offset, into.length)) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) into.fill(0, done, done + bytes);
      else chunk.copy(into, done, at, at + bytes);
    }
  }

  async write(offset: number, data: Buffer): Promise<void> {
    for (const { index, at, bytes, done } of chunksOf(offset, data.length)) {
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = Buffer.alloc(CHUNK_BYTES);
        this.#chunks.set(index, chunk);
      }
      data.copy(chunk, at, done, done + bytes);
    }
  }

  async zero(offset: number, length: number): Promise<void> {
    for (const { index, at, bytes } of chunksOf(offset, length)) {
      if (bytes === CHUNK_BYTES) this.#chunks.delete(index);
      else this.#chunks.get(index)?.fill(0, at, at + bytes);
    }
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    this.#chunks.clear();
  }
}

/**
 * A file, extended by truncation so that it starts as one hole. Node cannot punch holes, so zeroing writes zeros, but only over
 * chunks that may hold data: a hole stays a hole.
 */
export class FileBacking implements Backing {
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  /** One bit per chunk: may hold something else than zeros. */
  readonly #mayHoldData: Uint8Array;

  private constructor(file: FileHandle, sizeBytes: number, dataUpToBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.#mayHoldData = new Uint8Array(Math.ceil(sizeBytes / CHUNK_BYTES / 8));
    for (const { index } of chunksOf(0, Math.min(dataUpToBytes, sizeBytes))) this.#mark(index);
  }

  static async open(path: string, sizeBytes: number): Promise<FileBacking> {
    const file = await open(path, "a+").then(async (created) => {
      await created.close();
      return open(path, "r+");
    });
    const { size } = await file.stat();
    if (size < sizeBytes) await file.truncate(sizeBytes);
    return new FileBacking(file, sizeBytes, size);
  }

  async read(offset: number, into: Buffer): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done, offset + done);
      if (bytesRead === 0) throw new Error(`the backing file ends at ${offset + done}`);
      done += bytesRead;
    }
  }

  async write(offset: number, data: Buffer): Promise<void> {
    for (const { index } of chunksOf(offset, data.length)) this.#mark(index);
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.#file.write(data, done, data.length - done, offset + done);
      done += bytesWritten;
    }
  }

  async zero(offset: number, length: number): Promise<void> {
    for (const { index, bytes, done } of chunksOf(offset, length)) {
      if (!this.#isMarked(index)) continue;
      await this.#file.write(ZERO_CHUNK, 0, bytes, offset + done);
    }
  }

  async flush(): Promise<void> {
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #mark(index: number): void {
    this.#mayHoldData[index >> 3] = (this.#mayHoldData[index >> 3] ?? 0) | (1 << (index & 7));
  }

  #isMarked(index: number): boolean {
    return ((this.#mayHoldData[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }
}
