// A target's store over a file that tells how many bytes were written, and calls back at a given one: for faults in mid-write.
import { type FileHandle, open } from "node:fs/promises";

export class CountingBacking {
  readonly sizeBytes: number;
  bytesWritten = 0;
  /** Called once, when so many bytes have been written. */
  trigger: { readonly atBytes: number; readonly run: () => void } | undefined;
  /** Each write takes so long. */
  delayMs = 0;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  static async open(path: string, sizeBytes: number): Promise<CountingBacking> {
    return new CountingBacking(await open(path, "r+"), sizeBytes);
  }

  async read(offset: number, into: Buffer): Promise<void> {
    await this.#file.read(into, 0, into.length, offset);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    await this.#file.write(data, 0, data.length, offset);
    this.bytesWritten += data.length;
    const { trigger } = this;
    if (trigger !== undefined && this.bytesWritten >= trigger.atBytes) {
      this.trigger = undefined;
      trigger.run();
    }
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.#file.write(Buffer.alloc(length), 0, length, offset);
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.#file.close();
  }
}
