// ipmi-js status: power, faults, restart cause and firmware at a glance.
import type { ChassisStatus } from "../commands/get-chassis-status.ts";
import type { DeviceId } from "../commands/get-device-id.ts";
import { getSystemRestartCause } from "../commands/get-system-restart-cause.ts";
import { noWords } from "./arguments.ts";
import { answerIfAny, type FleetMember, type Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatFields, formatRow } from "./output.ts";
import { vendorName } from "./vendors.ts";

const HELP = `ipmi-js status: power, faults, the cause of the last start, and firmware.

Usage: ipmi-js status -H BMCS [options]

One BMC is shown line by line, several are a table. "-": the BMC does not say.

  faults          overload, power fault, control fault (the BMC could not switch as told), or none
  restart cause   why the machine started last
  restore         what the machine does when the mains come back`;

const COLUMNS = ["POWER", "FAULTS", "RESTART CAUSE", "RESTORE", "FIRMWARE", "IPMI", "VENDOR"];
/** Rows are printed as they come, so that a column cannot wait for its longest cell. */
const WIDTHS = [5, 12, 23, 10, 8, 4, 0];

export function faultsOf(status: ChassisStatus): string[] {
  const faults: string[] = [];
  if (status.hasPowerOverload) faults.push("overload");
  if (status.hasPowerFault) faults.push("power fault");
  if (status.hasPowerControlFault) faults.push("control fault");
  return faults;
}

function firmwareOf({ firmwareRevision, isAvailable }: DeviceId): string {
  return isAvailable ? firmwareRevision : `${firmwareRevision} (starting or updating)`;
}

async function show(member: FleetMember): Promise<Report> {
  const { bmc, limits, isAlone } = member;
  // First, as the client would ask it for itself before its second command.
  const device = await bmc.getDeviceId(limits);
  const status = await bmc.getChassisStatus(limits);
  const cause = (await answerIfAny(member, getSystemRestartCause))?.cause;
  const power = status.isPowerOn ? "on" : "off";
  const faults = faultsOf(status);
  const shown = faults.length === 0 ? "none" : faults.join(", ");
  const { manufacturerId, productId, ipmiVersion } = device;
  const result = { power, faults, restartCause: cause, powerRestorePolicy: status.powerRestorePolicy, device };
  const common = [power, shown, cause ?? "-", status.powerRestorePolicy, firmwareOf(device), ipmiVersion];
  const vendor = `${vendorName(manufacturerId)}, product ${productId}`;
  if (!isAlone) return { result, lines: [formatRow([...common, vendor], WIDTHS)] };
  const names = ["power", "faults", "restart cause", "restore", "firmware", "IPMI"];
  const fields = [...names.map((name, index) => [name, common[index]] as const), ["vendor", vendor] as const];
  return { result, lines: formatFields(fields) };
}

export const status = fleetCommand({
  name: "status",
  summary: "power, faults, restart cause and firmware at a glance",
  help: HELP,
  options: {},
  plan(words) {
    noWords("status", words);
    return { header: formatRow(COLUMNS, WIDTHS), run: show };
  },
});
