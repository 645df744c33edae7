// UNMAP (SBC-4 5.35): tells the target that ranges hold nothing worth keeping.
import { noResult, type ScsiCommand } from "./command.ts";

const UNMAP = 0x42;
const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;

export interface UnmapRange {
  readonly lba: number;
  readonly blocks: number;
}

export function unmap(ranges: readonly UnmapRange[]): ScsiCommand<void> {
  const parameters = Buffer.alloc(HEADER_BYTES + ranges.length * DESCRIPTOR_BYTES);
  parameters.writeUInt16BE(parameters.length - 2, 0);
  parameters.writeUInt16BE(ranges.length * DESCRIPTOR_BYTES, 2);
  for (const [index, range] of ranges.entries()) {
    parameters.writeBigUInt64BE(BigInt(range.lba), HEADER_BYTES + index * DESCRIPTOR_BYTES);
    parameters.writeUInt32BE(range.blocks, HEADER_BYTES + index * DESCRIPTOR_BYTES + 8);
  }
  const cdb = Buffer.alloc(10);
  cdb[0] = UNMAP;
  cdb.writeUInt16BE(parameters.length, 7);
  // Trap: tgtd unmaps, and then reports the whole parameter list as a residual underflow.
  return { name: "UNMAP", cdb, dataOut: parameters, ignoresResidual: true, decode: noResult };
}
