// READ(10) (SBC-4 5.14): for units of at most 2^32 blocks whose target does not have READ(16).
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { type CacheControl, cacheControlFlags, cdb10, requireWholeBlocks } from "./fields.ts";

const READ_10 = 0x28;

/**
 * Fills `into`, whose length must be `blocks` times the block size; an answer with fewer bytes is a ProtocolError.
 * @throws InvalidArgumentError for an address above 2^32-1, more than 65535 blocks, or a buffer that is no multiple of `blocks`.
 */
export function read10(lba: number, blocks: number, into: Buffer, control?: CacheControl): ScsiCommand<void> {
  const name = "READ(10)";
  requireWholeBlocks(name, into.length, blocks);
  const cdb = cdb10(name, READ_10, cacheControlFlags(control), lba, blocks);
  return { name, cdb, isIdempotent: true, dataIn: into, decode: wholeRead(into.length, lba) };
}

/** Decoder of the reads: GOOD means that every byte has come. */
export function wholeRead(bytes: number, lba: number): (data: Buffer) => void {
  return (data) => {
    if (data.length !== bytes)
      throw new ProtocolError(`GOOD status after ${data.length} of ${bytes} bytes at block ${lba}`);
  };
}
