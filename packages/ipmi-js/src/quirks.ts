// What is known of BMCs that differ from the specification, as data: who it concerns, and what we do about it.
import type { DeviceId } from "./commands/get-device-id.ts";

/** What a client does differently for a BMC. */
export interface Workaround {
  /** Least time between the end of a command and the next, in milliseconds. */
  readonly minGapMs?: number;
  /** The BMC forgets a session unused for so long, in milliseconds; ours are renewed or closed before. */
  readonly sessionIdleMs?: number;
  /** After a power command the chassis status may still tell the old state for so long, in milliseconds. */
  readonly powerSettleMs?: number;
  /** After the boot flags were written they may still read as before for so long, in milliseconds. */
  readonly bootSettleMs?: number;
}

/** A row of the table. All that is given must fit. */
export interface Quirk {
  readonly name: string;
  /** IANA enterprise number of Get Device ID. */
  readonly manufacturerId: number;
  readonly productId?: number;
  /** Of `major.minor`, the firmware revision of Get Device ID. */
  readonly firmware?: RegExp;
  readonly workaround: Workaround;
}

/**
 * The table. Its times are cautious choices of ours, after what operators report of these makers; none is a measurement of a firmware.
 * Give `BmcOptions.quirks` for rows of a site's own, which win.
 */
export const QUIRKS: readonly Quirk[] = [
  // The old power state for some seconds after a power command; commands lost when they follow each other at once.
  { name: "supermicro", manufacturerId: 10876, workaround: { minGapMs: 50, powerSettleMs: 3000 } },
  { name: "supermicro-47488", manufacturerId: 47488, workaround: { minGapMs: 50, powerSettleMs: 3000 } },
  // The old power state while the power button delay runs.
  { name: "hp", manufacturerId: 11, workaround: { powerSettleMs: 3000 } },
  { name: "hpe", manufacturerId: 47196, workaround: { powerSettleMs: 3000 } },
  // Boot flags are handed on to the firmware by a job, and read as before until it ran.
  { name: "dell", manufacturerId: 674, workaround: { bootSettleMs: 2000 } },
];

/** All that fits, merged: later rows win, those of `own` over the table's. */
export function workaroundFor(device: DeviceId, own: readonly Quirk[] = []): Workaround {
  let merged: Workaround = {};
  for (const quirk of [...QUIRKS, ...own]) {
    if (quirk.manufacturerId !== device.manufacturerId) continue;
    if (quirk.productId !== undefined && quirk.productId !== device.productId) continue;
    if (quirk.firmware !== undefined && !quirk.firmware.test(device.firmwareRevision)) continue;
    merged = { ...merged, ...quirk.workaround };
  }
  return merged;
}
