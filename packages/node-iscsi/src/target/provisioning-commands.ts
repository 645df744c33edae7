// WRITE SAME, UNMAP and GET LBA STATUS of the test target (SBC-4 5.53, 5.54, 5.35, 5.6).
import { rangeOf } from "./block-range.ts";
import {
  type CommandResult,
  dataMissing,
  GOOD,
  goodWith,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  invalidOpcode,
  outOfRange,
  parameterListLengthError,
} from "./command-result.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const UNMAP_FLAG = 0x08;
const NDOB_FLAG = 0x01;

export async function writeSameCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const { faults, limits, blockSize } = unit;
  if (faults.noWriteSame === true) return invalidOpcode();
  const flags = cdb.readUInt8(1);
  const isUnmap = (flags & UNMAP_FLAG) !== 0;
  if (isUnmap && (faults.noUnmap === true || faults.liesAboutUnmap === true)) return invalidFieldInCdb(1, 3);
  const { lba, blocks } = rangeOf(cdb);
  const most = limits.maximumWriteSameBlocks ?? 0;
  // WSNZ is set: 0 blocks do not mean "to the end".
  if (blocks === 0 || (most !== 0 && blocks > most)) return invalidFieldInCdb(cdb.readUInt8(0) === 0x41 ? 7 : 10);
  if (!unit.has(lba, blocks)) return outOfRange();
  const hasNoData = (flags & NDOB_FLAG) !== 0;
  if (!hasNoData && data.length < blockSize) return dataMissing();
  if (!hasNoData && data.length > blockSize) return invalidFieldInCdb(cdb.readUInt8(0) === 0x41 ? 7 : 10);
  if (isUnmap && faults.keepsDataOnUnmap === true) return GOOD;
  const isZero = hasNoData || data.every((byte) => byte === 0);
  if (isZero && isUnmap) await unit.unmap(lba, blocks);
  else await unit.fill(lba, blocks, hasNoData ? Buffer.alloc(blockSize) : data);
  return GOOD;
}

const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
/** MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT of VPD B0h. */
export const MAX_UNMAP_DESCRIPTORS = 256;

/** All descriptors are checked before the first one takes effect. */
export async function unmapCommand(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  if (unit.faults.noUnmap === true) return invalidOpcode();
  const listBytes = cdb.readUInt16BE(7);
  if (listBytes === 0) return GOOD;
  if (listBytes < HEADER_BYTES) return parameterListLengthError();
  if (data.length < listBytes) return dataMissing();
  const end = Math.min(listBytes, HEADER_BYTES + data.readUInt16BE(2));
  const ranges: { lba: number; blocks: number }[] = [];
  for (let at = HEADER_BYTES; at + DESCRIPTOR_BYTES <= end; at += DESCRIPTOR_BYTES) {
    const lba = Number(data.readBigUInt64BE(at));
    const blocks = data.readUInt32BE(at + 8);
    if (!unit.has(lba, blocks)) return outOfRange();
    ranges.push({ lba, blocks });
  }
  if (ranges.length > MAX_UNMAP_DESCRIPTORS) return invalidFieldInParameterList(2);
  if (unit.faults.keepsDataOnUnmap === true) return GOOD;
  for (const { lba, blocks } of ranges) await unit.unmap(lba, blocks);
  return GOOD;
}

const MAPPED = 0;
const DEALLOCATED = 1;
/** A descriptor each: more are not sent even when there is room. */
const MAX_STATUS_DESCRIPTORS = 1024;

/** Runs of blocks from the address on. */
export function getLbaStatusCommand(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const from = Number(cdb.readBigUInt64BE(2));
  const allocation = cdb.readUInt32BE(10);
  if (!unit.has(from, 1)) return outOfRange();
  const room = Math.max(1, Math.floor((allocation - HEADER_BYTES) / DESCRIPTOR_BYTES));
  const descriptors: Buffer[] = [];
  for (let lba = from; lba < unit.blocks && descriptors.length < Math.min(room, MAX_STATUS_DESCRIPTORS); ) {
    const run = runAt(unit, lba);
    const descriptor = Buffer.alloc(DESCRIPTOR_BYTES);
    descriptor.writeBigUInt64BE(BigInt(lba), 0);
    descriptor.writeUInt32BE(run.blocks, 8);
    descriptor[12] = run.isMapped ? MAPPED : DEALLOCATED;
    descriptors.push(descriptor);
    lba += run.blocks;
  }
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(HEADER_BYTES - 4 + descriptors.length * DESCRIPTOR_BYTES, 0);
  return goodWith(Buffer.concat([header, ...descriptors]), allocation);
}

/** The longest run with one status that a descriptor can hold. Blocks are powers of two, so runs of chunks are whole blocks. */
function runAt(
  { blockSize, faults, provisioning, blocks }: LogicalUnit,
  lba: number,
): { isMapped: boolean; blocks: number } {
  const most = Math.min(blocks - lba, 0xffffffff);
  if (faults.noUnmap === true) return { isMapped: true, blocks: most };
  const { isMapped, length } = provisioning.runAt(lba * blockSize);
  return { isMapped, blocks: Math.min(most, length / blockSize) };
}
