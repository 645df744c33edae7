// WRITE SAME(10) (SBC-4 5.53): one block repeated over a range of at most 65535 blocks, or the range unmapped.
import { noResult, type ScsiCommand } from "./command.ts";
import { cdb10 } from "./fields.ts";

const WRITE_SAME_10 = 0x41;
const UNMAP_FLAG = 0x08;

/**
 * Repeats `block` (one logical block) over `blocks` blocks; with `unmap` the target may unmap instead where the result reads the
 * same. This form has no NDOB bit: a block is always sent. Trap: 0 blocks means "to the end of the unit" unless VPD B0h sets WSNZ.
 */
export function writeSame10(lba: number, blocks: number, block: Buffer, unmap: boolean): ScsiCommand<void> {
  const name = unmap ? "WRITE SAME(10) with UNMAP" : "WRITE SAME(10)";
  const cdb = cdb10(name, WRITE_SAME_10, unmap ? UNMAP_FLAG : 0, lba, blocks);
  return { name, cdb, isIdempotent: true, dataOut: block, decode: noResult };
}
