// SYNCHRONIZE CACHE(10) and (16) (SBC-4 5.33, 5.34): everything acknowledged so far reaches the medium.
import { noResult, type ScsiCommand } from "./command.ts";

const SYNCHRONIZE_CACHE_10 = 0x35;
const SYNCHRONIZE_CACHE_16 = 0x91;

/** The whole unit: address 0 and length 0. Understood by every target. */
export function synchronizeCache10(): ScsiCommand<void> {
  const cdb = Buffer.alloc(10);
  cdb[0] = SYNCHRONIZE_CACHE_10;
  return { name: "SYNCHRONIZE CACHE(10)", cdb, decode: noResult };
}

export function synchronizeCache16(): ScsiCommand<void> {
  const cdb = Buffer.alloc(16);
  cdb[0] = SYNCHRONIZE_CACHE_16;
  return { name: "SYNCHRONIZE CACHE(16)", cdb, decode: noResult };
}
