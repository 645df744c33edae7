// READ(16) (SBC-4 5.16).
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { cdb16 } from "./fields.ts";

const READ_16 = 0x88;

/** Fills `into`, whose length must be `blocks` times the block size; an answer with fewer bytes is an error. */
export function read16(lba: number, blocks: number, into: Buffer): ScsiCommand<void> {
  return {
    name: "READ(16)",
    cdb: cdb16(READ_16, 0, lba, blocks),
    dataIn: into,
    decode(data) {
      if (data.length !== into.length)
        throw new ProtocolError(`GOOD status after ${data.length} of ${into.length} bytes at block ${lba}`);
    },
  };
}
