// TEST UNIT READY (SPC-4 6.47): no data, only a status; the usual way to collect pending UNIT ATTENTION conditions.
import { noResult, type ScsiCommand } from "./command.ts";

export function testUnitReady(): ScsiCommand<void> {
  return { name: "TEST UNIT READY", cdb: Buffer.alloc(6), isIdempotent: true, decode: noResult };
}
