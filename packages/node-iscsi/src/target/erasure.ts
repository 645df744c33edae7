// SANITIZE and FORMAT UNIT of the test target (SBC-4 5.30, 5.4): the medium is overwritten while other commands are refused.
import { SanitizeServiceAction as Action } from "../scsi/sanitize.ts";
import { encodeFixedSense, SenseKey } from "../scsi/sense.ts";
import {
  type CommandResult,
  checkCondition,
  dataMissing,
  GOOD,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  notReadySense,
  parameterListLengthError,
} from "./command-result.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const FORMAT_IN_PROGRESS = 0x04;
const SANITIZE_IN_PROGRESS = 0x1b;
/** Progress is told between pieces of this size. */
const PIECE_BYTES = 64 * 1024 * 1024;

/** The one format or sanitize that may go on. */
export class Erasure {
  readonly #unit: LogicalUnit;
  #running: { readonly ascq: number; fraction: number; readonly end: Promise<CommandResult> } | undefined;
  /** A sanitize that broke off: the medium is refused until another one succeeds. */
  #hasFailed = false;

  constructor(unit: LogicalUnit) {
    this.#unit = unit;
  }

  /** Sense data that other commands end with now; undefined when the unit can be used. */
  get notReady(): Buffer | undefined {
    if (this.#running !== undefined) return notReadySense(this.#running.ascq, this.#running.fraction);
    // Medium format corrupted, sanitize command failed.
    return this.#hasFailed ? encodeFixedSense(SenseKey.MediumError, 0x31, 0x03) : undefined;
  }

  /** True for a command that may repair a unit whose sanitize has failed. */
  accepts(opcode: number): boolean {
    return opcode === 0x48 && this.#running === undefined;
  }

  /** Resolves when nothing goes on in the background any more. */
  async settled(): Promise<void> {
    await this.#running?.end;
  }

  /** SANITIZE. Exit failure mode succeeds when there is nothing to exit from. */
  async sanitize(cdb: Buffer, data: Buffer): Promise<CommandResult> {
    const action = cdb.readUInt8(1) & 0x1f;
    const listBytes = cdb.readUInt16BE(7);
    if (action !== Action.Overwrite && listBytes !== 0) return invalidFieldInCdb(7);
    if (action === Action.ExitFailureMode) {
      this.#hasFailed = false;
      return GOOD;
    }
    let block: Buffer | undefined;
    if (action === Action.Overwrite) {
      if (listBytes < 5 || listBytes > this.#unit.blockSize + 4) return invalidFieldInCdb(7);
      if (data.length < listBytes) return dataMissing();
      const refusal = overwriteRefusal(data, listBytes);
      if (refusal !== undefined) return refusal;
      block = lastPassOf(data, this.#unit.blockSize);
    }
    return this.#start(SANITIZE_IN_PROGRESS, block, (cdb.readUInt8(1) & 0x80) !== 0);
  }

  /** FORMAT UNIT: without parameter list, or with a header and no defects. */
  async format(cdb: Buffer, data: Buffer): Promise<CommandResult> {
    const flags = cdb.readUInt8(1);
    if ((flags & 0x10) === 0) return this.#start(FORMAT_IN_PROGRESS, undefined, false);
    const isLong = (flags & 0x20) !== 0;
    if (data.length < (isLong ? 8 : 4)) return parameterListLengthError();
    // FOV with the bits it announces may be set; protection fields, an initialization pattern and a defect list may not.
    if ((data.readUInt8(0) & 0x07) !== 0) return invalidFieldInParameterList(0, 2);
    if ((data.readUInt8(1) & 0x09) !== 0) return invalidFieldInParameterList(1);
    if ((isLong ? data.readUInt32BE(4) : data.readUInt16BE(2)) !== 0)
      return invalidFieldInParameterList(isLong ? 4 : 2);
    return this.#start(FORMAT_IN_PROGRESS, undefined, (data.readUInt8(1) & 0x02) !== 0);
  }

  /** Without a block to write, the medium is given up and reads as zeros. */
  #start(ascq: number, block: Buffer | undefined, isImmediate: boolean): Promise<CommandResult> {
    const operation = { ascq, fraction: 0, end: Promise.resolve(GOOD) };
    operation.end = this.#unit.gate
      .exclusive(() => this.#overwriteAll(block, operation))
      .then(
        () => {
          this.#hasFailed = false;
          return GOOD;
        },
        // The store broke: an immediate command was answered long ago, so the unit itself must remember.
        () => {
          this.#hasFailed = ascq === SANITIZE_IN_PROGRESS;
          return checkCondition(SenseKey.MediumError, 0x31, this.#hasFailed ? 0x03 : 0x01);
        },
      )
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = operation;
    return isImmediate ? Promise.resolve(GOOD) : operation.end;
  }

  async #overwriteAll(block: Buffer | undefined, operation: { fraction: number }): Promise<void> {
    const { blocks, blockSize } = this.#unit;
    const perPiece = Math.max(1, Math.floor(PIECE_BYTES / blockSize));
    for (let lba = 0; lba < blocks; lba += perPiece) {
      operation.fraction = lba / blocks;
      const pieceBlocks = Math.min(perPiece, blocks - lba);
      if (block === undefined) await this.#unit.unmap(lba, pieceBlocks);
      else await this.#unit.fill(lba, pieceBlocks, block);
    }
    await this.#unit.backing.flush();
  }
}

/** OVERWRITE COUNT 0 and a pattern length other than that of the list are errors (SBC-4 5.30.2.2). */
function overwriteRefusal(data: Buffer, listBytes: number): CommandResult | undefined {
  if ((data.readUInt8(0) & 0x1f) === 0) return invalidFieldInParameterList(0, 4);
  if ((data.readUInt8(0) & 0x60) !== 0) return invalidFieldInParameterList(0, 6);
  return data.readUInt16BE(2) !== listBytes - 4 ? invalidFieldInParameterList(2) : undefined;
}

/** One block as the last pass leaves it: INVERT complements every second pass. */
function lastPassOf(data: Buffer, blockSize: number): Buffer {
  const block = Buffer.alloc(blockSize, data.subarray(4, 4 + data.readUInt16BE(2)));
  const isInverted = (data.readUInt8(0) & 0x80) !== 0 && (data.readUInt8(0) & 0x1f) % 2 === 0;
  if (isInverted) for (let at = 0; at < block.length; at += 1) block[at] = ~(block[at] ?? 0) & 0xff;
  return block;
}
