// ipmi-js info: what the BMC is: device id, GUID, self test.
import { formatGuid, getSystemGuid } from "../commands/get-guid.ts";
import { getSelfTestResults, type SelfTestResults } from "../commands/get-self-test-results.ts";
import { noWords } from "./arguments.ts";
import { answerIfAny, type FleetMember, type Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatFields, hexByte } from "./output.ts";
import { vendorName } from "./vendors.ts";

const HELP = `ipmi-js info: what the BMC is: vendor, product, firmware, GUID, and what its self test found.

Usage: ipmi-js info -H BMCS [options]

The GUID is written as the machine's firmware and dmidecode write it. BMCs order its bytes in three ways and do not say
which: --json has the bytes as they came too.`;

/** Bits of the additional device support, 0 first (table 20-2). */
const ABILITIES = [
  "sensors",
  "SDR repository",
  "SEL",
  "FRU inventory",
  "event receiver",
  "event generator",
  "bridge",
  "chassis",
] as const;

function testText(test: SelfTestResults | undefined): string {
  if (test === undefined) return "-";
  if (test.failures.length > 0) return `FAILED: ${test.failures.join(", ")}`;
  if (test.result === "passed" || test.result === "not-implemented") return test.result;
  return `FAILED: ${test.result}, ${hexByte(test.resultCode)} ${hexByte(test.detail)}`;
}

async function show(member: FleetMember): Promise<Report> {
  const device = await member.bmc.getDeviceId(member.limits);
  const guid = await answerIfAny(member, getSystemGuid);
  const selfTest = await answerIfAny(member, getSelfTestResults);
  const guidText = guid === undefined ? undefined : formatGuid(guid, "smbios");
  const abilities = ABILITIES.filter((_, bit) => (device.additionalSupport & (1 << bit)) !== 0);
  const lines = formatFields([
    ["vendor", vendorName(device.manufacturerId)],
    ["product", String(device.productId)],
    ["firmware", device.firmwareRevision],
    ["state", device.isAvailable ? "in operation" : "starting, or its firmware is being updated"],
    ["IPMI", device.ipmiVersion],
    ["device id", `${hexByte(device.deviceId)}, revision ${device.deviceRevision}`],
    ["has", abilities.join(", ")],
    ["GUID", guidText ?? "-"],
    ["self test", testText(selfTest)],
  ]);
  return { result: { ...device, guid: guidText, guidBytes: guid, selfTest }, lines };
}

export const info = fleetCommand({
  name: "info",
  summary: "what the BMC is: vendor, firmware, GUID, self test",
  help: HELP,
  options: {},
  plan(words) {
    noWords("info", words);
    return { run: show };
  },
});
