// A file or a block device of this machine with the methods that the streams of this package need, so that files are read and written in parallel too.
import type { BigIntStats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { BlockDevice } from "../block-device.ts";

/** What `createReadStream` and `createWriteStream` use. */
export type StreamableDevice = Pick<
  BlockDevice,
  "sizeBytes" | "blockSize" | "read" | "write" | "writeZeroes" | "flush"
>;

/** Two of these are equal when they are the same bytes, under whatever names (links, device nodes); undefined when that does no harm. */
export function identityOf(status: BigIntStats): string | undefined {
  if (status.isBlockDevice()) return `device ${status.rdev}`;
  return status.isFile() || status.isFIFO() ? `file ${status.dev}:${status.ino}` : undefined;
}

/** Any offset, any length. */
export class FileDevice implements StreamableDevice {
  readonly blockSize = 1;
  readonly sizeBytes: number;
  readonly identity: string | undefined;
  readonly #file: FileHandle;
  readonly #isRegular: boolean;
  /** True when we cut the file: what we have not written since reads as zeros. */
  #isCut = false;

  private constructor(file: FileHandle, sizeBytes: number, status: BigIntStats) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.identity = identityOf(status);
    this.#isRegular = status.isFile();
  }

  /** A regular file. */
  static async toRead(path: string): Promise<FileDevice> {
    const file = await open(path, "r");
    const status = await file.stat({ bigint: true });
    return new FileDevice(file, Number(status.size), status);
  }

  /** A regular file, created when missing, or a block device. Nothing is changed yet: see {@link cut}. */
  static async toWrite(path: string): Promise<FileDevice> {
    const file = await openOrCreate(path);
    return new FileDevice(file, Number.MAX_SAFE_INTEGER, await file.stat({ bigint: true }));
  }

  /** Keeps `keepBytes` of a regular file. A block device keeps all it has. */
  async cut(keepBytes: number): Promise<void> {
    if (!this.#isRegular) return;
    await this.#file.truncate(keepBytes);
    this.#isCut = true;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const data = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(data, done, length - done, offset + done);
      if (bytesRead === 0) throw new Error(`the file ends at ${offset + done}; did it shrink meanwhile?`);
      done += bytesRead;
    }
    return data;
  }

  async write(offset: number, data: Buffer): Promise<void> {
    for (let done = 0; done < data.length; )
      done += (await this.#file.write(data, done, data.length - done, offset + done)).bytesWritten;
  }

  /** Leaves a hole where nothing can stand yet; anywhere else old data would show through it. */
  async writeZeroes(offset: number, length: number): Promise<void> {
    if (!this.#isCut) await this.write(offset, Buffer.alloc(length));
  }

  async flush(): Promise<void> {
    await this.#file.sync();
  }

  /** Makes a hole at the end part of the file. */
  async setSize(sizeBytes: number): Promise<void> {
    if (this.#isRegular) await this.#file.truncate(sizeBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** What stands at a path; undefined when nothing does. */
export async function statusOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
}

/** Without O_APPEND and without O_TRUNC: "r+" needs the file to be there, "wx+" needs it not to be. */
async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return open(path, "wx+");
  }
}
