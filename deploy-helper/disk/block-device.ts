// What the disk writers need of a disk: a part of node-iscsi's BlockDevice, so that tests can use memory or a file.
import { BaremetalError } from "../../lib/errors.ts";

export interface AbortableOptions {
  readonly signal?: AbortSignal;
}

/** A disk. Offsets and lengths are multiples of `blockSize`; many calls may be in flight. */
export interface BlockDevice {
  readonly sizeBytes: number;
  readonly blockSize: number;
  read(offsetBytes: number, lengthBytes: number, options?: AbortableOptions): Promise<Buffer>;
  /** Resolves when the disk acknowledged; `data` must not change before. */
  write(offsetBytes: number, data: Buffer, options?: AbortableOptions): Promise<void>;
  /** Afterwards the range reads as zeros. */
  writeZeroes(offsetBytes: number, lengthBytes: number, options?: AbortableOptions): Promise<void>;
  flush(options?: AbortableOptions): Promise<void>;
}

/** A part of a disk, as a disk of its own. A write outside of it is refused: no partition can harm its neighbour. */
export class Region implements BlockDevice {
  readonly sizeBytes: number;
  readonly #disk: BlockDevice;
  readonly #start: number;
  readonly #name: string;

  constructor(disk: BlockDevice, startBytes: number, sizeBytes: number, name: string) {
    this.#disk = disk;
    this.#start = startBytes;
    this.sizeBytes = sizeBytes;
    this.#name = name;
    if (startBytes < 0 || sizeBytes < 0 || startBytes + sizeBytes > disk.sizeBytes) {
      throw new BaremetalError("Internal", `${name} does not lie inside its disk of ${disk.sizeBytes} bytes`, {
        data: { startBytes, sizeBytes },
      });
    }
  }

  get blockSize(): number {
    return this.#disk.blockSize;
  }

  async read(offsetBytes: number, lengthBytes: number, options?: AbortableOptions): Promise<Buffer> {
    return this.#disk.read(this.#locate(offsetBytes, lengthBytes), lengthBytes, options);
  }

  async write(offsetBytes: number, data: Buffer, options?: AbortableOptions): Promise<void> {
    return this.#disk.write(this.#locate(offsetBytes, data.length), data, options);
  }

  async writeZeroes(offsetBytes: number, lengthBytes: number, options?: AbortableOptions): Promise<void> {
    return this.#disk.writeZeroes(this.#locate(offsetBytes, lengthBytes), lengthBytes, options);
  }

  async flush(options?: AbortableOptions): Promise<void> {
    return this.#disk.flush(options);
  }

  #locate(offsetBytes: number, lengthBytes: number): number {
    if (offsetBytes < 0 || lengthBytes < 0 || offsetBytes + lengthBytes > this.sizeBytes) {
      throw new BaremetalError("Internal", `access outside of ${this.#name} (${this.sizeBytes} bytes)`, {
        data: { offsetBytes, lengthBytes },
      });
    }
    return this.#start + offsetBytes;
  }
}
