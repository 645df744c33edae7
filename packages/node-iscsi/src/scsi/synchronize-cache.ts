// SYNCHRONIZE CACHE(10) and (16) (SBC-4 5.33, 5.34): everything acknowledged so far reaches the medium.
import { noResult, type ScsiCommand } from "./command.ts";
import { cdb10, cdb16 } from "./fields.ts";

const SYNCHRONIZE_CACHE_10 = 0x35;
const SYNCHRONIZE_CACHE_16 = 0x91;
const IMMED = 0x02;

/** What to write back. Default: the whole unit, with the status when it is done. */
export interface SynchronizeCacheOptions {
  /** First block; default 0. */
  readonly lba?: number;
  /** Number of blocks; 0, the default, means up to the end of the unit. */
  readonly blocks?: number;
  /** IMMED: the status comes before the work is done, so it promises nothing about the medium. */
  readonly isImmediate?: boolean;
}

/** Understood by every target. @throws InvalidArgumentError for an address above 2^32-1 or more than 65535 blocks. */
export function synchronizeCache10(options: SynchronizeCacheOptions = {}): ScsiCommand<void> {
  const { lba = 0, blocks = 0, isImmediate = false } = options;
  const name = "SYNCHRONIZE CACHE(10)";
  const cdb = cdb10(name, SYNCHRONIZE_CACHE_10, isImmediate ? IMMED : 0, lba, blocks);
  return { name, cdb, isIdempotent: true, decode: noResult };
}

/** @throws InvalidArgumentError for an address above 2^53-1 or more than 2^32-1 blocks. */
export function synchronizeCache16(options: SynchronizeCacheOptions = {}): ScsiCommand<void> {
  const { lba = 0, blocks = 0, isImmediate = false } = options;
  const name = "SYNCHRONIZE CACHE(16)";
  const cdb = cdb16(name, SYNCHRONIZE_CACHE_16, isImmediate ? IMMED : 0, lba, blocks);
  return { name, cdb, isIdempotent: true, decode: noResult };
}
