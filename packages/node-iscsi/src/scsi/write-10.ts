// WRITE(10) (SBC-4 5.46): for units of at most 2^32 blocks whose target does not have WRITE(16).
import { noResult, type ScsiCommand } from "./command.ts";
import { type CacheControl, cacheControlFlags, cdb10, requireWholeBlocks } from "./fields.ts";

const WRITE_10 = 0x2a;

/**
 * Writes `data`, whose length must be `blocks` times the block size.
 * @throws InvalidArgumentError for an address above 2^32-1, more than 65535 blocks, or data that is no multiple of `blocks`.
 */
export function write10(lba: number, blocks: number, data: Buffer, control?: CacheControl): ScsiCommand<void> {
  const name = "WRITE(10)";
  requireWholeBlocks(name, data.length, blocks);
  const cdb = cdb10(name, WRITE_10, cacheControlFlags(control), lba, blocks);
  return { name, cdb, isIdempotent: true, dataOut: data, decode: noResult };
}
