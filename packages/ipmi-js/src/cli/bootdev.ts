// ipmi-js bootdev: what the machine boots from next time.
import type { BootDevice, BootFlags } from "../commands/boot-flags.ts";
import { oneOf } from "./arguments.ts";
import type { FleetPlan } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js bootdev: tells machines what to boot from.

Usage: ipmi-js bootdev [pxe|disk|cdrom|bios|safe|diag|floppy|none] [--persistent] [--efi] -H BMCS [options]

  none takes an earlier setting back. Without a device: shows what is set.

      --persistent   for all boots to come; without it, for the next one only
      --efi          UEFI boot; without it, legacy (many machines do not care)

  $ ipmi-js bootdev pxe -U admin -H bmc7 && ipmi-js power cycle -U admin -H bmc7`;

const DEVICES = ["pxe", "disk", "cdrom", "bios", "safe", "diag", "floppy", "none"] as const satisfies BootDevice[];
const OPTIONS = { persistent: { type: "boolean" }, efi: { type: "boolean" } } as const;

function describe({ device, persistent, efi }: Omit<BootFlags, "isValid">): string {
  if (device === "none") return "none: as the firmware likes";
  return `${device}, ${persistent ? "for all boots" : "for the next boot"}, ${efi ? "UEFI" : "legacy"}`;
}

function planOf(words: readonly string[], values: { persistent?: boolean; efi?: boolean }): FleetPlan {
  const device = oneOf("bootdev", words, DEVICES);
  const setting = { persistent: values.persistent === true, efi: values.efi === true };
  if ((device === undefined || device === "none") && (setting.persistent || setting.efi))
    throw new UsageError("--persistent and --efi go with a device, such as pxe");
  return {
    async run({ bmc, limits }) {
      if (device !== undefined) {
        await bmc.setBootDevice({ device, ...setting }, limits);
        return { result: { device, ...setting }, lines: [describe({ device, ...setting })] };
      }
      const { isValid, ...flags } = await bmc.getBootDevice(limits);
      const shown = isValid ? flags : { device: "none" as const, persistent: false, efi: false };
      return { result: shown, lines: [describe(shown)] };
    },
  };
}

export const bootdev = fleetCommand({
  name: "bootdev",
  summary: "what machines boot from, next time or for good",
  help: HELP,
  options: OPTIONS,
  plan: planOf,
});
