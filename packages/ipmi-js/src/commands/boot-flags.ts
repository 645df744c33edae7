// Boot option parameter 5, boot flags, and the numbers of the other parameters (IPMI 2.0, table 28-14).
import { requireLength } from "../wire/wire-error.ts";
import { nameOf } from "./name-of.ts";

/** Boot option parameter selectors. */
export const BOOT_PARAMETER = { setInProgress: 0, validBitClearing: 3, infoAcknowledge: 4, bootFlags: 5 } as const;

const KEEP_VALID_BITS = {
  "power-button": 0x01,
  "reset-button": 0x02,
  watchdog: 0x04,
  "no-control": 0x08,
  "event-filter": 0x10,
} as const;

/**
 * What would else make the BMC clear the valid bit (parameter 3): a power-up by the power button or a wake event, a reset
 * by its button, one by the watchdog, no Chassis Control within 60 seconds, a reset by a platform event filter.
 */
export type KeepValid = keyof typeof KEEP_VALID_BITS;

/** Parameter 3, bit 3: keep the valid bit though no Chassis Control follows within 60 seconds. */
export const KEEP_VALID_WITHOUT_CONTROL = KEEP_VALID_BITS["no-control"];

/** The byte of parameter 3. */
export function encodeValidBitClearing(keep: readonly KeepValid[]): Buffer {
  return Buffer.from([keep.reduce((bits, event) => bits | KEEP_VALID_BITS[event], 0)]);
}

/** Parameter 4: which parties have handled the boot info; the BIOS, written and not yet handled. */
export const ACKNOWLEDGE_BIOS = Buffer.from([0x01, 0x01]);

const VALID = 0x80;
const PERSISTENT = 0x40;
const EFI = 0x20;

const DEVICES = { none: 0, pxe: 1, disk: 2, safe: 3, diag: 4, cdrom: 5, bios: 6, floppy: 15 } as const;

/**
 * What a machine can be told to boot: `safe` is the disk in safe mode, `diag` the diagnostic partition, `bios` the setup;
 * `none` takes an earlier setting back and leaves it to the firmware's own order.
 */
export type BootDevice = keyof typeof DEVICES;

/** What the next boot (or all boots) shall do. */
export interface BootDeviceSetting {
  readonly device: BootDevice;
  /** For all boots to come, not only the next. */
  readonly persistent: boolean;
  /** UEFI boot; legacy if false. Default false. */
  readonly efi?: boolean;
  /**
   * What the setting outlives. Default: a minute without Chassis Control (`no-control`), since a power command may take
   * longer to come. An empty list leaves it to the BMC to clear the setting at all of them.
   */
  readonly keepValid?: readonly KeepValid[];
}

/** The flags as a BMC keeps them. */
export interface BootFlags {
  /** False: the flags are void, the machine boots as its firmware likes. */
  readonly isValid: boolean;
  readonly persistent: boolean;
  readonly efi: boolean;
  /** `other`: a device of the specification that we have no name for. */
  readonly device: BootDevice | "other";
}

/** The five bytes of parameter 5, valid bit set. */
export function encodeBootFlags(setting: BootDeviceSetting): Buffer {
  const flags = VALID | (setting.persistent ? PERSISTENT : 0) | (setting.efi ? EFI : 0);
  return Buffer.from([flags, DEVICES[setting.device] << 2, 0, 0, 0]);
}

export function decodeBootFlags(parameter: Buffer): BootFlags {
  requireLength(parameter, 2, "the boot flags");
  const flags = parameter.readUInt8(0);
  return {
    isValid: (flags & VALID) !== 0,
    persistent: (flags & PERSISTENT) !== 0,
    efi: (flags & EFI) !== 0,
    device: nameOf(DEVICES, (parameter.readUInt8(1) >> 2) & 0x0f) ?? "other",
  };
}

/** The same five bytes with the valid bit cleared: what a BMC keeps after a boot that was meant once. */
export function withoutValidBit(parameter: Buffer): Buffer {
  const bytes = Buffer.from(parameter);
  bytes[0] = (bytes[0] ?? 0) & ~VALID;
  return bytes;
}
