// Who a logical unit is, so that after a recovery nothing is written to another disk that answers under the same name and LUN.
import { ProtocolError, ScsiError } from "./errors.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { inquiry, inquiryVpd } from "./scsi/inquiry.ts";
import { readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
import { SenseKey } from "./scsi/sense.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { decodeDeviceIdentification, VpdPage } from "./scsi/vpd-pages.ts";

/** Runs a command with the usual retries. */
export type RunCommand = <T>(command: ScsiCommand<T>) => Promise<T>;

/** Comparable description of a unit: what it is called and how large it is. */
export interface UnitIdentity {
  readonly text: string;
}

async function orNothing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    const isUnknown = error instanceof ScsiError && error.senseKey === SenseKey.IllegalRequest;
    if (isUnknown || error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/**
 * Waits until the unit is ready (which also collects pending UNIT ATTENTION conditions), then asks for its designators (VPD 83h,
 * those of the unit, not of the port), its vendor and product, and its capacity. A unit without medium has no capacity and compares by the rest.
 */
export async function identifyUnit(run: RunCommand): Promise<UnitIdentity> {
  await run(testUnitReady());
  const [standard, page, capacity] = await Promise.all([
    run(inquiry()),
    orNothing(run(inquiryVpd(VpdPage.DeviceIdentification)).then(decodeDeviceIdentification)),
    orNothing(run(readCapacity16())).then((long) => long ?? orNothing(run(readCapacity10()))),
  ]);
  const designators = (page ?? [])
    .filter(({ association }) => association === 0)
    .map(({ type, identifier }) => `${type}:${identifier.toString("hex")}`)
    .sort();
  const size = capacity === undefined ? "no capacity" : `${capacity.blocks} blocks of ${capacity.blockSize} bytes`;
  return { text: [`${standard.vendor} ${standard.product}`, size, ...designators].join(", ") };
}
