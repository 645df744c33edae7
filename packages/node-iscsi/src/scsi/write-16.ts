// WRITE(16) (SBC-4 5.48).
import { noResult, type ScsiCommand } from "./command.ts";
import { type CacheControl, cacheControlFlags, cdb16, requireWholeBlocks } from "./fields.ts";

const WRITE_16 = 0x8a;

/**
 * Writes `data`, whose length must be `blocks` times the block size.
 * @throws InvalidArgumentError for an address above 2^53-1, more than 2^32-1 blocks, or data that is no multiple of `blocks`.
 */
export function write16(lba: number, blocks: number, data: Buffer, control?: CacheControl): ScsiCommand<void> {
  const name = "WRITE(16)";
  requireWholeBlocks(name, data.length, blocks);
  const cdb = cdb16(name, WRITE_16, cacheControlFlags(control), lba, blocks);
  return { name, cdb, isIdempotent: true, dataOut: data, decode: noResult };
}
