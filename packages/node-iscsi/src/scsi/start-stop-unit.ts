// START STOP UNIT (SBC-4 5.31): makes the unit ready, stops it, or puts it into a power condition.
import { noResult, type ScsiCommand } from "./command.ts";

const START_STOP_UNIT = 0x1b;

/** POWER CONDITION field (SBC-4 table 102). */
export const PowerCondition = {
  /** The START and LOEJ bits decide. */
  StartValid: 0x0,
  Active: 0x1,
  Idle: 0x2,
  Standby: 0x3,
} as const;

/** What to do with the unit. */
export interface StartStopUnitOptions {
  /** START: true makes the unit ready, false stops it. Ignored with another power condition than StartValid. */
  readonly isStart: boolean;
  /** LOEJ: loads (with START) or ejects a removable medium. */
  readonly loadsOrEjects?: boolean;
  readonly powerCondition?: (typeof PowerCondition)[keyof typeof PowerCondition];
  /** IMMED: the status comes before the unit is where it should be. */
  readonly isImmediate?: boolean;
}

/** Not idempotent: another initiator may have started the unit again in between. */
export function startStopUnit(options: StartStopUnitOptions): ScsiCommand<void> {
  const cdb = Buffer.alloc(6);
  cdb[0] = START_STOP_UNIT;
  cdb[1] = options.isImmediate === true ? 1 : 0;
  const condition = options.powerCondition ?? PowerCondition.StartValid;
  const isPlain = condition === PowerCondition.StartValid;
  cdb[4] =
    (condition << 4) | (isPlain && options.loadsOrEjects === true ? 0x02 : 0) | (isPlain && options.isStart ? 0x01 : 0);
  return { name: "START STOP UNIT", cdb, decode: noResult };
}
