// ipmi-js ping: is there a BMC, and does it speak IPMI?
import { ping as sendPing } from "../sessionless.ts";
import { noWords } from "./arguments.ts";
import type { FleetMember, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";

const DEFAULT_TIMEOUT = "5";

const HELP = `ipmi-js ping: is there a BMC, and does it speak IPMI? Asks without a login (RMCP presence ping).

Usage: ipmi-js ping -H BMCS [--timeout SECONDS]

No answer within ${DEFAULT_TIMEOUT} seconds, unless --timeout says otherwise, is a failure.

  $ ipmi-js ping --timeout 2 -H '10.0.0.[1-250]' 2>/dev/null      # which addresses have a BMC`;

async function ask({ target, limits }: FleetMember): Promise<Report> {
  const { address, port } = target;
  const startedAt = performance.now();
  const { supportsIpmi } = await sendPing({ ...limits, address, port });
  const ms = Math.round((performance.now() - startedAt) * 10) / 10;
  const text = supportsIpmi ? "speaks IPMI" : "answers, but does not speak IPMI";
  return { result: { supportsIpmi, ms }, lines: [`${text}, ${ms} ms`] };
}

export const ping = fleetCommand({
  name: "ping",
  summary: "is there a BMC, and does it speak IPMI",
  help: HELP,
  options: {},
  plan(words) {
    noWords("ping", words);
    return { hasLogin: false, timeout: DEFAULT_TIMEOUT, run: ask };
  },
});
