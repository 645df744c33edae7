// REQUEST SENSE (SPC-4 6.39): what the unit would say now; the way to follow a SANITIZE or FORMAT UNIT in the background.
import type { ScsiCommand } from "./command.ts";
import { decodeSense, type SenseData } from "./sense.ts";

const REQUEST_SENSE = 0x03;
const ALLOCATION_BYTES = 252;

/**
 * The sense data comes as data with GOOD status; undefined when the target sent none that can be read.
 * Not idempotent: what is reported once may be cleared by that.
 */
export function requestSense(): ScsiCommand<SenseData | undefined> {
  const cdb = Buffer.alloc(6);
  cdb[0] = REQUEST_SENSE;
  cdb[4] = ALLOCATION_BYTES;
  return { name: "REQUEST SENSE", cdb, dataIn: Buffer.alloc(ALLOCATION_BYTES), decode: decodeSense };
}
