// UNMAP (SBC-4 5.35): tells the target that ranges hold nothing worth keeping.
import { InvalidArgumentError } from "../errors.ts";
import { noResult, type ScsiCommand } from "./command.ts";
import { requireInteger, writeUInt64 } from "./fields.ts";

const UNMAP = 0x42;
const NAME = "UNMAP";
const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
/** The parameter list length is 16 bits. */
const MAX_DESCRIPTORS = Math.floor((0xffff - HEADER_BYTES) / DESCRIPTOR_BYTES);

export interface UnmapRange {
  readonly lba: number;
  readonly blocks: number;
}

/** The fields of VPD page B0h that bound one UNMAP; 0 there means that the unit names no limit. */
export interface UnmapLimits {
  readonly maximumUnmapLbaCount: number;
  readonly maximumUnmapDescriptorCount: number;
}

/**
 * One UNMAP with a descriptor per range. Giving `limits` checks the command against them, because a target may refuse all of
 * it when one limit is passed. @throws InvalidArgumentError for ranges that do not fit the fields or the limits.
 */
export function unmap(ranges: readonly UnmapRange[], limits?: UnmapLimits): ScsiCommand<void> {
  checkLimits(ranges, limits);
  const parameters = Buffer.alloc(HEADER_BYTES + ranges.length * DESCRIPTOR_BYTES);
  parameters.writeUInt16BE(parameters.length - 2, 0);
  parameters.writeUInt16BE(ranges.length * DESCRIPTOR_BYTES, 2);
  for (const [index, range] of ranges.entries()) {
    const at = HEADER_BYTES + index * DESCRIPTOR_BYTES;
    requireInteger(NAME, "logical block address", range.lba, Number.MAX_SAFE_INTEGER);
    requireInteger(NAME, "number of blocks", range.blocks, 0xffffffff);
    writeUInt64(parameters, range.lba, at);
    parameters.writeUInt32BE(range.blocks, at + 8);
  }
  const cdb = Buffer.alloc(10);
  cdb[0] = UNMAP;
  cdb.writeUInt16BE(parameters.length, 7);
  // Trap: tgtd unmaps, and then reports the whole parameter list as a residual underflow.
  return { name: NAME, cdb, isIdempotent: true, dataOut: parameters, ignoresResidual: true, decode: noResult };
}

function checkLimits(ranges: readonly UnmapRange[], limits: UnmapLimits | undefined): void {
  const descriptors = limits?.maximumUnmapDescriptorCount ?? 0;
  const mostRanges = descriptors === 0 ? MAX_DESCRIPTORS : Math.min(descriptors, MAX_DESCRIPTORS);
  if (ranges.length > mostRanges)
    throw new InvalidArgumentError(`${ranges.length} ranges, at most ${mostRanges}`, { operation: NAME });
  const mostBlocks = limits?.maximumUnmapLbaCount ?? 0;
  const blocks = ranges.reduce((sum, range) => sum + range.blocks, 0);
  if (mostBlocks !== 0 && blocks > mostBlocks)
    throw new InvalidArgumentError(`${blocks} blocks, at most ${mostBlocks}`, { operation: NAME });
}
