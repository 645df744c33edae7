// WRITE(16) (SBC-4 5.48).
import { noResult, type ScsiCommand } from "./command.ts";
import { cdb16 } from "./fields.ts";

const WRITE_16 = 0x8a;

/** Writes `data`, whose length must be `blocks` times the block size. */
export function write16(lba: number, blocks: number, data: Buffer): ScsiCommand<void> {
  return { name: "WRITE(16)", cdb: cdb16(WRITE_16, 0, lba, blocks), dataOut: data, decode: noResult };
}
