// COMPARE AND WRITE (SBC-4 5.3): writes only when the blocks still hold what the caller believes, in one step for all initiators.
import { InvalidArgumentError } from "../errors.ts";
import { noResult, type ScsiCommand } from "./command.ts";
import { type CacheControl, cacheControlFlags, cdb16, requireInteger, requireWholeBlocks } from "./fields.ts";

const COMPARE_AND_WRITE = 0x89;
const NAME = "COMPARE AND WRITE";

/**
 * Replaces `expected` with `replacement`, both `blocks` long. When the medium holds something else, nothing is written and the command
 * ends in ScsiError with sense key MISCOMPARE, whose `sense.information` is the offset in bytes of the first difference.
 * Not idempotent: sent twice, the second one finds `replacement` and fails although the first succeeded.
 * @throws InvalidArgumentError for more than 255 blocks, an address above 2^53-1, or buffers of other lengths. VPD page B0h may set a
 * lower limit.
 */
export function compareAndWrite(
  lba: number,
  blocks: number,
  expected: Buffer,
  replacement: Buffer,
  control?: CacheControl,
): ScsiCommand<void> {
  requireInteger(NAME, "number of blocks", blocks, 0xff);
  requireWholeBlocks(NAME, expected.length, blocks);
  if (replacement.length !== expected.length)
    throw new InvalidArgumentError(`${replacement.length} bytes to write, ${expected.length} to compare`, {
      operation: NAME,
    });
  const cdb = cdb16(NAME, COMPARE_AND_WRITE, cacheControlFlags(control), lba, 0);
  cdb[13] = blocks;
  return { name: NAME, cdb, dataOut: Buffer.concat([expected, replacement]), decode: noResult };
}
