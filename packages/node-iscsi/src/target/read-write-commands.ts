// READ, WRITE, VERIFY, WRITE AND VERIFY, PRE-FETCH, ORWRITE and COMPARE AND WRITE of the test target (SBC-4 5).
import { SenseKey } from "../scsi/sense.ts";
import { rangeOf, refusalOf } from "./block-range.ts";
import {
  type CommandResult,
  checkCondition,
  dataMissing,
  GOOD,
  goodWith,
  invalidFieldInCdb,
  miscompare,
} from "./command-result.ts";
import { strikes } from "./faults.ts";
import type { LogicalUnit } from "./logical-unit.ts";

/** MAXIMUM COMPARE AND WRITE LENGTH of VPD B0h, in blocks. */
export const MAX_COMPARE_AND_WRITE_BLOCKS = 128;

export async function readCommand(unit: LogicalUnit, cdb: Buffer): Promise<CommandResult> {
  const range = rangeOf(cdb);
  const refusal = refusalOf(unit, range);
  return refusal ?? goodWith(await unit.read(range.lba, range.blocks));
}

export async function writeCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const range = rangeOf(cdb);
  const refusal = refusalOf(unit, range);
  if (refusal !== undefined) return refusal;
  const bytes = range.blocks * unit.blockSize;
  if (data.length < bytes) return dataMissing();
  if (strikes(unit.faults, "writeErrorCount")) return checkCondition(SenseKey.MediumError, 0x0c);
  if (data.length === bytes) {
    await unit.write(range.lba, data);
    return GOOD;
  }
  await unit.write(range.lba, data.subarray(0, bytes));
  return { ...GOOD, dataOutBytes: bytes };
}

/** Nothing to fetch in advance: whether the blocks exist is all there is to say. */
export async function prefetchCommand(unit: LogicalUnit, cdb: Buffer): Promise<CommandResult> {
  const { lba, blocks } = rangeOf(cdb);
  return refusalOf(unit, { lba, blocks: 0 }) ?? refusalOf(unit, { lba, blocks: Math.max(1, blocks) }) ?? GOOD;
}

/** BYTCHK 00b: only readable. 01b: equal to the data. 11b: each block equal to the one sent. 10b is reserved. */
export async function verifyCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const { lba, blocks } = rangeOf(cdb);
  const byteCheck = (cdb.readUInt8(1) >> 1) & 3;
  if (byteCheck === 2) return invalidFieldInCdb(1, 2);
  const refusal = refusalOf(unit, { lba, blocks });
  if (refusal !== undefined) return refusal;
  if (byteCheck === 0 || blocks === 0) return GOOD;
  const bytes = blocks * unit.blockSize;
  if (data.length < (byteCheck === 3 ? unit.blockSize : bytes)) return dataMissing();
  const expected = byteCheck === 3 ? Buffer.alloc(bytes, data.subarray(0, unit.blockSize)) : data.subarray(0, bytes);
  const at = firstDifference(await unit.read(lba, blocks), expected);
  return at === undefined ? GOOD : miscompare(at);
}

/** The verification cannot fail, for it would compare the store with itself. */
export async function writeAndVerifyCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const byteCheck = (cdb.readUInt8(1) >> 1) & 3;
  return byteCheck > 1 ? invalidFieldInCdb(1, 2) : writeCommand(unit, cdb, data);
}

/** ORWRITE(16) (SBC-4 5.8): needs the gate for itself, as it reads and writes. */
export async function orWriteCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const { lba, blocks } = rangeOf(cdb);
  const refusal = refusalOf(unit, { lba, blocks });
  if (refusal !== undefined) return refusal;
  if (data.length < blocks * unit.blockSize) return dataMissing();
  const merged = Buffer.from(await unit.read(lba, blocks));
  for (let at = 0; at < merged.length; at += 1) merged[at] = (merged[at] ?? 0) | (data[at] ?? 0);
  await unit.write(lba, merged);
  return GOOD;
}

/** COMPARE AND WRITE (SBC-4 5.3): needs the gate for itself. Data-out is what to compare, then what to write. */
export async function compareAndWriteCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const lba = Number(cdb.readBigUInt64BE(2));
  const blocks = cdb.readUInt8(13);
  if (blocks > MAX_COMPARE_AND_WRITE_BLOCKS) return invalidFieldInCdb(13);
  const refusal = refusalOf(unit, { lba, blocks });
  if (refusal !== undefined) return refusal;
  const bytes = blocks * unit.blockSize;
  if (data.length < 2 * bytes) return dataMissing();
  // Trap: 256 blocks do not fit the field and arrive as 0, with all their data.
  if (data.length > 2 * bytes) return invalidFieldInCdb(13);
  const at = firstDifference(await unit.read(lba, blocks), data.subarray(0, bytes));
  if (at !== undefined) return miscompare(at);
  if (blocks > 0) await unit.write(lba, data.subarray(bytes, 2 * bytes));
  return GOOD;
}

/** Offset of the first byte that differs. */
function firstDifference(left: Buffer, right: Buffer): number | undefined {
  if (left.equals(right)) return undefined;
  let at = 0;
  while (left[at] === right[at]) at += 1;
  return at;
}
