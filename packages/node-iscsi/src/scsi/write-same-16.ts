// WRITE SAME(16) (SBC-4 5.54): one block repeated over a range, or the range unmapped.
import { noResult, type ScsiCommand } from "./command.ts";
import { cdb16 } from "./fields.ts";

const WRITE_SAME_16 = 0x93;
const UNMAP_FLAG = 0x08;
const NDOB_FLAG = 0x01;

/**
 * Repeats `block` (one logical block) over `blocks` blocks. With `unmap` the target may unmap instead where the result
 * reads the same. Without a block the NDOB bit says "zeros, nothing is sent" (SBC-4 only: older targets refuse it).
 * Trap: 0 blocks means "to the end of the unit" unless VPD B0h sets WSNZ.
 */
export function writeSame16(lba: number, blocks: number, block: Buffer | undefined, unmap: boolean): ScsiCommand<void> {
  const name = unmap ? "WRITE SAME(16) with UNMAP" : "WRITE SAME(16)";
  const flags = (unmap ? UNMAP_FLAG : 0) | (block === undefined ? NDOB_FLAG : 0);
  const cdb = cdb16(name, WRITE_SAME_16, flags, lba, blocks);
  return { name, cdb, isIdempotent: true, ...(block === undefined ? {} : { dataOut: block }), decode: noResult };
}
