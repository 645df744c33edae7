// Plans how a range becomes zeros or is given up: which command, cut where (SBC-4 4.7 provisioning, 5.54 WRITE SAME). Pure.
import type { UnitDescription } from "./block-limits.ts";

/** What of a unit matters here. */
type ZeroingUnit = Omit<UnitDescription, "hasVolatileCache">;

/** Ways of zeroing, best first; a target that refuses one is asked for the next. */
export type ZeroMethod = "write-same-unmap" | "write-same" | "write";

/** A run of blocks. */
export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

/** Unmapping is quick, so a command may cover much; writing the same block is as slow as the disk and has a deadline. */
const UNMAP_CHUNK_BYTES = 1024 ** 3;
const WRITE_SAME_CHUNK_BYTES = 64 * 1024 ** 2;

/** The best method the unit promises to honour with zeros read back. */
export function firstZeroMethod(unit: ZeroingUnit): ZeroMethod {
  return unit.provisioning.canWriteSameUnmap && unit.provisioning.readsZeroes ? "write-same-unmap" : "write-same";
}

/** What to try after `method` was refused. */
export function nextZeroMethod(method: ZeroMethod): ZeroMethod {
  return method === "write-same-unmap" ? "write-same" : "write";
}

/** Longest range of one command with `method`, in blocks. */
export function maxZeroBlocks(unit: ZeroingUnit, method: ZeroMethod, maxTransferBlocks: number): number {
  if (method === "write") return maxTransferBlocks;
  const chunk = method === "write-same-unmap" ? UNMAP_CHUNK_BYTES : WRITE_SAME_CHUNK_BYTES;
  const sane = Math.max(1, Math.floor(chunk / unit.capacity.blockSize));
  const limit = unit.limits.maximumWriteSameLength;
  return limit === 0 ? sane : Math.min(limit, sane);
}

/** Cuts a range into pieces of at most `maxBlocks`. */
export function* splitRange(range: BlockRange, maxBlocks: number): Generator<BlockRange> {
  for (let done = 0; done < range.blocks; done += maxBlocks)
    yield { lba: range.lba + done, blocks: Math.min(maxBlocks, range.blocks - done) };
}

/**
 * The part of a range that consists of whole unmap granules, with the rest before and after it.
 * Trap: LIO passes WRITE SAME with UNMAP on as a discard, and a disk may silently ignore the unaligned ends of a discard, so that
 * old data stays readable there. Only the aligned middle is unmapped; the ends are written.
 */
export function splitByGranularity(
  range: BlockRange,
  unit: ZeroingUnit,
): { head: BlockRange | undefined; middle: BlockRange | undefined; tail: BlockRange | undefined } {
  const granule = Math.max(1, unit.limits.optimalUnmapGranularity);
  const shift = unit.limits.unmapGranularityAlignment % granule;
  const end = range.lba + range.blocks;
  const firstAligned = Math.ceil((range.lba - shift) / granule) * granule + shift;
  // The end of the unit is no exception: a disk may ignore the last, partial granule too.
  const lastAligned = Math.floor((end - shift) / granule) * granule + shift;
  if (lastAligned <= firstAligned) return { head: range, middle: undefined, tail: undefined };
  const part = (from: number, to: number) => (to > from ? { lba: from, blocks: to - from } : undefined);
  return {
    head: part(range.lba, firstAligned),
    middle: part(firstAligned, lastAligned),
    tail: part(lastAligned, end),
  };
}
