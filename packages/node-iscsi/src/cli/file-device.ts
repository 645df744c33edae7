// A plain file with the four methods that the streams of this package need of a block device, so that files are read and written in parallel too.
import { type FileHandle, open, stat } from "node:fs/promises";
import type { BlockDevice } from "../block-device.ts";

/** What {@link createReadStream} and {@link createWriteStream} use. */
export type StreamableDevice = Pick<
  BlockDevice,
  "sizeBytes" | "blockSize" | "read" | "write" | "writeZeroes" | "flush"
>;

/** A regular file; any offset, any length. */
export class FileDevice implements StreamableDevice {
  readonly blockSize = 1;
  readonly sizeBytes: number;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  /** Undefined when it is no regular file: pipes and devices have no size, and are read from the beginning. */
  static async toRead(path: string): Promise<FileDevice | undefined> {
    // Before it is opened: a pipe that is opened and closed is lost to the writer at its other end.
    const status = await stat(path);
    return status.isFile() ? new FileDevice(await open(path, "r"), status.size) : undefined;
  }

  /** Created when missing; an existing file is kept up to `keepBytes` and cut there. */
  static async toWrite(path: string, keepBytes: number): Promise<FileDevice> {
    const file = await openOrCreate(path);
    try {
      if ((await file.stat()).isFile()) await file.truncate(keepBytes);
      return new FileDevice(file, Number.MAX_SAFE_INTEGER);
    } catch (error) {
      await file.close();
      throw error;
    }
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

  /** A hole: the file was cut before, so that nothing stands there yet. */
  async writeZeroes(): Promise<void> {}

  async flush(): Promise<void> {
    await this.#file.sync();
  }

  /** Makes a hole at the end part of the file. */
  async setSize(sizeBytes: number): Promise<void> {
    if ((await this.#file.stat()).isFile()) await this.#file.truncate(sizeBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
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
