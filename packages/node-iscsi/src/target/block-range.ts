// The block range in a CDB of 6, 10, 12 or 16 bytes (SPC-4 4.2), and whether the unit has it.
import { type CommandResult, invalidFieldInCdb, outOfRange } from "./command-result.ts";
import type { LogicalUnit } from "./logical-unit.ts";

/** LOGICAL BLOCK ADDRESS and TRANSFER LENGTH. */
export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

/** The group code, the top three bits of the operation code, says how long the CDB is. */
export function rangeOf(cdb: Buffer): BlockRange {
  const group = cdb.readUInt8(0) >> 5;
  // 0 blocks in READ(6) and WRITE(6) are 256.
  if (group === 0) return { lba: cdb.readUIntBE(1, 3) & 0x1fffff, blocks: cdb.readUInt8(4) || 256 };
  // Above 2^53 the address is not exact any more, but then it is out of range anyway.
  if (group === 4) return { lba: Number(cdb.readBigUInt64BE(2)), blocks: cdb.readUInt32BE(10) };
  return { lba: cdb.readUInt32BE(2), blocks: group === 5 ? cdb.readUInt32BE(6) : cdb.readUInt16BE(7) };
}

/** How a command with this range ends before it starts: beyond the end, or longer than VPD B0h allows. */
export function refusalOf(unit: LogicalUnit, { lba, blocks }: BlockRange): CommandResult | undefined {
  if (!unit.has(lba, blocks)) return outOfRange();
  const most = unit.limits.maximumTransferBlocks ?? 0;
  return most !== 0 && blocks > most ? invalidFieldInCdb(2) : undefined;
}
