// READ(16) (SBC-4 5.16).
import type { ScsiCommand } from "./command.ts";
import { type CacheControl, cacheControlFlags, cdb16, requireWholeBlocks } from "./fields.ts";
import { wholeRead } from "./read-10.ts";

const READ_16 = 0x88;

/**
 * Fills `into`, whose length must be `blocks` times the block size; an answer with fewer bytes is a ProtocolError.
 * @throws InvalidArgumentError for an address above 2^53-1, more than 2^32-1 blocks, or a buffer that is no multiple of `blocks`.
 */
export function read16(lba: number, blocks: number, into: Buffer, control?: CacheControl): ScsiCommand<void> {
  const name = "READ(16)";
  requireWholeBlocks(name, into.length, blocks);
  const cdb = cdb16(name, READ_16, cacheControlFlags(control), lba, blocks);
  return { name, cdb, isIdempotent: true, dataIn: into, decode: wholeRead(into.length, lba) };
}
