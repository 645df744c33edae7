// ipmi-js lan: the BMC's own network settings.
import { type LanConfiguration, readLanConfiguration } from "../lan-configuration.ts";
import { type CliCommand, noWords, parseCommand } from "./arguments.ts";
import { runFleet } from "./fleet.ts";
import { formatFields } from "./output.ts";
import { UsageError } from "./usage-error.ts";

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

function channelOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const channel = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (channel < 1 || channel > 11) throw new UsageError(`--channel takes a number from 1 to 11, not ${text}`);
  return channel;
}

export const lan: CliCommand = {
  name: "lan",
  summary: "the BMC's own network settings",
  help: HELP,
  run: async (args, signal) => {
    const { values, positionals } = parseCommand(args, OPTIONS);
    noWords("lan", positionals);
    const channel = channelOf(values.channel);
    return runFleet(
      "lan",
      values,
      {
        isLong: true,
        async run({ bmc, longLimits }) {
          const configuration = await readLanConfiguration(bmc, channel, longLimits);
          return { result: { ...configuration }, lines: linesOf(configuration) };
        },
      },
      signal,
    );
  },
};
