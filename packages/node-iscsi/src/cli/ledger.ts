// Keeps account of what a copy did to its output, for the sentence that tells it after a failure.
import { type DiskState, IscsiError } from "../errors.ts";
import type { StreamableDevice } from "./file-device.ts";

const ZEROS = Buffer.alloc(64 * 1024);

function isZero(data: Buffer): boolean {
  for (let at = 0; at < data.length; at += ZEROS.length) {
    const part = data.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}

const bytesOf = (ranges: DiskState["written"]) => ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);

/** A device between the stream and the output that counts. With `sparse`, writes of nothing but zeros move no data where the device can help it. */
export class Ledger implements StreamableDevice {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly #device: StreamableDevice;
  readonly #isSparse: boolean;
  #written = 0;
  #isSomethingUnknown = false;
  #flushFailed = false;

  constructor(device: StreamableDevice, isSparse: boolean) {
    this.sizeBytes = device.sizeBytes;
    this.blockSize = device.blockSize;
    this.#device = device;
    this.#isSparse = isSparse;
  }

  read(...args: Parameters<StreamableDevice["read"]>): Promise<Buffer> {
    return this.#device.read(...args);
  }

  async write(...[offset, data, options]: Parameters<StreamableDevice["write"]>): Promise<void> {
    if (this.#isSparse && isZero(data)) return this.writeZeroes(offset, data.length, options);
    await this.#counted(data.length, this.#device.write(offset, data, options));
  }

  async writeZeroes(...[offset, length, options]: Parameters<StreamableDevice["writeZeroes"]>): Promise<void> {
    await this.#counted(length, this.#device.writeZeroes(offset, length, options));
  }

  async flush(...args: Parameters<StreamableDevice["flush"]>): Promise<void> {
    try {
      await this.#device.flush(...args);
    } catch (error) {
      this.#flushFailed = true;
      throw error;
    }
  }

  /** What became of `name` from `start` on, when `acknowledged` bytes without a gap were acknowledged. */
  describe(name: string, start: number, acknowledged: number): string {
    if (this.#flushFailed)
      return `${acknowledged} bytes from ${start} on were acknowledged by ${name}, but not flushed: some may be lost, write them again`;
    const isMore = this.#isSomethingUnknown || this.#written > acknowledged;
    if (isMore)
      return `${acknowledged} bytes from ${start} on were acknowledged by ${name}; later ones may have been written too`;
    if (acknowledged === 0) return `nothing was written to ${name}`;
    return `${acknowledged} bytes from ${start} on were acknowledged by ${name}; nothing was written behind them`;
  }

  async #counted(bytes: number, work: Promise<void>): Promise<void> {
    try {
      await work;
      this.#written += bytes;
    } catch (error) {
      const state = error instanceof IscsiError ? error.onDisk : undefined;
      if (state !== undefined) this.#written += bytesOf(state.written);
      const isKnown = state === undefined ? (error as IscsiError).effect === "none" : state.unknown.length === 0;
      if (!isKnown) this.#isSomethingUnknown = true;
      throw error;
    }
  }
}
