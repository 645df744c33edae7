// FORMAT UNIT (SBC-4 5.4) in its basic form: the medium is formatted as the unit likes; everything on it is lost.
import { noResult, type ScsiCommand } from "./command.ts";

const FORMAT_UNIT = 0x04;
const FORMAT_DATA = 0x10;
const IMMEDIATE = 0x02;

/** Options of {@link formatUnit}. */
export interface FormatUnitOptions {
  /**
   * IMMED, the default: the status comes at once and the unit goes on alone; until it is done, other commands end in NOT READY, format in
   * progress. With false the status comes at the end, which may take hours.
   */
  readonly isImmediate?: boolean;
}

/** Not idempotent. */
export function formatUnit(options: FormatUnitOptions = {}): ScsiCommand<void> {
  const cdb = Buffer.alloc(6);
  cdb[0] = FORMAT_UNIT;
  const name = "FORMAT UNIT";
  if (options.isImmediate === false) return { name, cdb, decode: noResult };
  // IMMED is in the short parameter list header, which FMTDATA announces.
  cdb[1] = FORMAT_DATA;
  return { name, cdb, dataOut: Buffer.from([0, IMMEDIATE, 0, 0]), decode: noResult };
}
