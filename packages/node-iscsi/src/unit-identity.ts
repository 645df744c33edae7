// Who a logical unit is, so that after a recovery nothing is written to another disk that answers under the same name and LUN.
import { orUndefined, readCapacity } from "./block-limits.ts";
import type { RunCommand } from "./scsi/command.ts";
import { inquiry, inquiryVpd } from "./scsi/inquiry.ts";
import type { Capacity } from "./scsi/read-capacity.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { decodeDeviceIdentification, VpdPage } from "./scsi/vpd-pages.ts";

/** What a unit is called and how large it is. */
export interface UnitIdentity {
  /** Vendor, product and designators. */
  readonly name: string;
  /** Undefined for a unit without medium. */
  readonly capacity: Capacity | undefined;
}

export function describeIdentity({ name, capacity }: UnitIdentity): string {
  return capacity === undefined ? name : `${name}, ${capacity.blocks} blocks of ${capacity.blockSize} bytes`;
}

/** True if everything that was there before is still there; a unit may have grown. */
export function isSameUnit(before: UnitIdentity, now: UnitIdentity): boolean {
  if (before.name !== now.name) return false;
  if (before.capacity === undefined) return true;
  return now.capacity?.blockSize === before.capacity.blockSize && now.capacity.blocks >= before.capacity.blocks;
}

/**
 * Waits until the unit is ready (which also collects pending UNIT ATTENTION conditions), then asks for its designators (VPD 83h,
 * those of the unit, not of the port), its vendor and product, and its capacity. A unit without medium has no capacity and compares by the rest.
 */
export async function identifyUnit(run: RunCommand): Promise<UnitIdentity> {
  await run(testUnitReady());
  const [standard, page, capacity] = await Promise.all([
    run(inquiry()),
    orUndefined(run(inquiryVpd(VpdPage.DeviceIdentification)).then(decodeDeviceIdentification)),
    orUndefined(readCapacity(run)),
  ]);
  const designators = (page ?? [])
    .filter(({ association }) => association === 0)
    .map(({ type, identifier }) => `${type}:${identifier.toString("hex")}`)
    .sort();
  return { name: [`${standard.vendor} ${standard.product}`, ...designators].join(", "), capacity };
}
