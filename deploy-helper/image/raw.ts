// Raw images: the file is the partition. Zeros inside are found by the writer, which looks at every buffer anyway.
import { type FileHandle, open } from "node:fs/promises";
import { type ImageExtent, type ImageSource, unacceptable } from "./image-source.ts";

export class RawImage implements ImageSource {
  readonly format = "raw";
  readonly virtualSizeBytes: number;
  readonly #path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#file = file;
    this.virtualSizeBytes = sizeBytes;
  }

  static async open(path: string): Promise<RawImage> {
    const file = await open(path, "r");
    return new RawImage(path, file, (await file.stat()).size);
  }

  async measure(): Promise<number> {
    return this.virtualSizeBytes;
  }

  async *extents(maxDataBytes: number, signal?: AbortSignal): AsyncGenerator<ImageExtent> {
    for (let offset = 0; offset < this.virtualSizeBytes; offset += maxDataBytes) {
      signal?.throwIfAborted();
      const length = Math.min(maxDataBytes, this.virtualSizeBytes - offset);
      const read = (buffer: Buffer) => readExactly(this.#file, buffer, offset, this.#path);
      yield { kind: "data", offset, length, read };
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Fills `buffer` from the file. @throws BaremetalError `ImageUnacceptable` if the file ends before: it shrank under us */
export async function readExactly(file: FileHandle, buffer: Buffer, position: number, path: string): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) throw unacceptable(path, `it ends at ${position + done} bytes, in the middle of its data`);
    done += bytesRead;
  }
}
