// Setting and reading the boot device: the order of boot option writes that BMCs expect (IPMI 2.0, 28.12, 28.13).
import { type Budget, remainingMs, startBudget } from "./budget.ts";
import {
  ACKNOWLEDGE_BIOS,
  BOOT_PARAMETER,
  type BootDeviceSetting,
  type BootFlags,
  decodeBootFlags,
  encodeBootFlags,
  encodeValidBitClearing,
} from "./commands/boot-flags.ts";
import { getSystemBootOptions } from "./commands/get-system-boot-options.ts";
import { setSystemBootOptions } from "./commands/set-system-boot-options.ts";
import { IpmiError } from "./errors.ts";
import type { CommandOptions, IpmiSession } from "./session.ts";
import { isRefusal, unlessRefused } from "./walk.ts";
import { WireError } from "./wire/wire-error.ts";

const SET_COMPLETE = 0;
const SET_IN_PROGRESS = 1;
const DEFAULT_DEADLINE_MS = 10_000;

/**
 * Writes the boot flags (parameter 5). The writes around it are a courtesy that many BMCs do not know: a refusal of
 * one of those is passed over, a refusal of the flags is thrown.
 */
export async function writeBootDevice(
  session: IpmiSession,
  setting: BootDeviceSetting,
  options: CommandOptions = {},
): Promise<void> {
  // The deadline is for all the writes together.
  const budget = startBudget(options.deadlineMs ?? DEFAULT_DEADLINE_MS, options.signal);
  const write = (parameter: number, data: Buffer): Promise<void> =>
    session.execute(setSystemBootOptions, { parameter, data }, { ...options, deadlineMs: left(budget) });
  const writeIfKnown = (parameter: number, ...data: number[]): Promise<void> =>
    unlessRefused(write(parameter, Buffer.from(data)));
  await writeIfKnown(BOOT_PARAMETER.setInProgress, SET_IN_PROGRESS);
  // Trap: without it the BMC drops the flags when no Chassis Control comes within 60 seconds.
  await writeIfKnown(BOOT_PARAMETER.validBitClearing, ...encodeValidBitClearing(setting.keepValid ?? ["no-control"]));
  await writeIfKnown(BOOT_PARAMETER.infoAcknowledge, ...ACKNOWLEDGE_BIOS);
  try {
    await write(BOOT_PARAMETER.bootFlags, encodeBootFlags(setting));
  } catch (error) {
    if (isRefusal(error)) await writeIfKnown(BOOT_PARAMETER.setInProgress, SET_COMPLETE);
    throw error;
  }
  await writeIfKnown(BOOT_PARAMETER.setInProgress, SET_COMPLETE);
}

/** Reads the boot flags (parameter 5). */
export async function readBootDevice(session: IpmiSession, options?: CommandOptions): Promise<BootFlags> {
  const parameter = BOOT_PARAMETER.bootFlags;
  const { data } = await session.execute(getSystemBootOptions, { parameter }, options);
  try {
    return decodeBootFlags(data);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    const { address, name } = session.peer;
    const operation = getSystemBootOptions.name;
    const text = `${name} answered ${operation} with bytes that make no sense: ${cause.message}`;
    throw new IpmiError("Protocol", text, { address, operation, cause });
  }
}

/** At least 1 ms: a budget that is over ends in the session's own timeout, which names the step. */
function left(budget: Budget): number {
  return Math.max(1, remainingMs(budget));
}
