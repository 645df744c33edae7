// ipmi-js lan: the BMC's own network settings.
import { type LanConfiguration, readLanConfiguration } from "../lan-configuration.ts";
import { noWords, parseWithin } from "./arguments.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatFields } from "./output.ts";

const HELP = `ipmi-js lan: the BMC's own network settings.

Usage: ipmi-js lan [--channel N] -H BMCS [options]

      --channel N   another LAN channel than the one we come on, 1 to 11`;

const OPTIONS = { channel: { type: "string" } } as const;

function linesOf(lan: LanConfiguration): string[] {
  const { vlan, cipherSuites } = lan;
  const suites = cipherSuites?.filter(({ privilegeLimit }) => privilegeLimit > 0).map(({ id }) => id);
  const lines = formatFields([
    ["address", lan.ipAddress],
    ["source", lan.ipAddressSource],
    ["netmask", lan.subnetMask],
    ["gateway", lan.defaultGateway],
    ["backup gateway", lan.backupGateway],
    ["MAC address", lan.macAddress],
    ["gateway MAC", lan.defaultGatewayMac],
    ["VLAN", vlan?.isEnabled === true ? String(vlan.id) : vlan && "none"],
    ["cipher suites", suites?.join(", ")],
  ]);
  return lines.length === 0 ? ["the BMC says nothing of this channel"] : lines;
}

export const lan = fleetCommand({
  name: "lan",
  summary: "the BMC's own network settings",
  help: HELP,
  options: OPTIONS,
  plan(words, values) {
    noWords("lan", words);
    const channel = values.channel === undefined ? undefined : parseWithin(values.channel, "--channel", 1, 11);
    return {
      isLong: true,
      async run({ bmc, longLimits }) {
        const configuration = await readLanConfiguration(bmc, channel, longLimits);
        return { result: { ...configuration }, lines: linesOf(configuration) };
      },
    };
  },
});
