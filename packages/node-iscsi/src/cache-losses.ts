// What a unit says about writes it acknowledged and then lost (SPC-4 4.5.7 deferred errors, SAM-5 5.14 power on conditions).
import type { ScsiError } from "./errors.ts";
import { SenseKey } from "./scsi/sense.ts";

/** POWER ON, RESET, OR BUS DEVICE RESET OCCURRED. */
const RESET_OCCURRED = 0x29;
/** 01h power on, 02h bus reset, 03h device reset function, 04h device internal reset. */
const RESETS_OF_THE_UNIT: readonly number[] = [1, 2, 3, 4];

/**
 * Counts reports of a loss. 29h/00h is none: many targets answer each new session with it; neither is 29h/07h, the loss of the
 * session alone.
 */
export class CacheLosses {
  #count = 0;
  #last: ScsiError | undefined;

  get count(): number {
    return this.#count;
  }

  get last(): ScsiError | undefined {
    return this.#last;
  }

  /** Looks at every error of a command. */
  note(error: ScsiError): void {
    const { senseKey, asc, ascq = 0, sense } = error;
    const isReset = senseKey === SenseKey.UnitAttention && asc === RESET_OCCURRED && RESETS_OF_THE_UNIT.includes(ascq);
    if (!isReset && sense?.isDeferred !== true) return;
    this.#count += 1;
    this.#last = error;
  }
}
