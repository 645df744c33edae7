// What the commands of the test target share: the unit's size, its limits and faults, and its store.
import type { Backing } from "./backing.ts";
import type { TargetFaults, TargetLimits } from "./faults.ts";
import { MediumGate } from "./medium-gate.ts";
import { ProvisioningMap } from "./provisioning-map.ts";

/** Options of a logical unit. */
export interface LogicalUnitOptions {
  readonly targetName: string;
  readonly lun: number;
  /** Bytes. */
  readonly blockSize: number;
  readonly limits: TargetLimits;
  readonly faults: TargetFaults;
}

/** One logical unit: its description, and byte access by blocks. Ranges must have been checked. */
export class LogicalUnit {
  readonly targetName: string;
  readonly lun: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly limits: TargetLimits;
  readonly faults: TargetFaults;
  readonly backing: Backing;
  readonly gate = new MediumGate();
  readonly provisioning: ProvisioningMap;
  /** False after START STOP UNIT with START=0. */
  isStarted = true;

  constructor(backing: Backing, options: LogicalUnitOptions) {
    this.backing = backing;
    this.targetName = options.targetName;
    this.lun = options.lun;
    this.blockSize = options.blockSize;
    this.limits = options.limits;
    this.faults = options.faults;
    this.blocks = Math.floor(backing.sizeBytes / options.blockSize);
    this.provisioning = new ProvisioningMap(this.blocks * options.blockSize);
  }

  has(lba: number, blocks: number): boolean {
    return lba + blocks <= this.blocks;
  }

  /** The caller must not write to the result: it may be the store's own memory. */
  async read(lba: number, blocks: number): Promise<Buffer> {
    const view = this.backing.view?.(lba * this.blockSize, blocks * this.blockSize);
    if (view !== undefined) return view;
    const data = Buffer.allocUnsafe(blocks * this.blockSize);
    await this.backing.read(lba * this.blockSize, data);
    return data;
  }

  write(lba: number, data: Buffer): Promise<void> {
    this.provisioning.map(lba * this.blockSize, data.length);
    return this.backing.write(lba * this.blockSize, data);
  }

  /** Afterwards the range reads as zeros and counts as given up. */
  async unmap(lba: number, blocks: number): Promise<void> {
    await this.backing.zero(lba * this.blockSize, blocks * this.blockSize);
    this.provisioning.deallocate(lba * this.blockSize, blocks * this.blockSize);
  }

  /** Fills blocks with copies of one, in pieces of about a mebibyte. */
  async fill(lba: number, blocks: number, block: Buffer): Promise<void> {
    if (block.every((byte) => byte === 0)) {
      this.provisioning.map(lba * this.blockSize, blocks * this.blockSize);
      return this.backing.zero(lba * this.blockSize, blocks * this.blockSize);
    }
    const perPiece = Math.max(1, Math.floor((1024 * 1024) / this.blockSize));
    const piece = Buffer.alloc(Math.min(blocks, perPiece) * this.blockSize, block);
    for (let done = 0; done < blocks; done += perPiece)
      await this.write(lba + done, piece.subarray(0, Math.min(perPiece, blocks - done) * this.blockSize));
  }
}
