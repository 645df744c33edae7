// ipmi-js mc: starts the management controller itself anew.
import { coldReset, warmReset } from "../commands/bmc-reset.ts";
import { isIpmiError } from "../errors.ts";
import type { FleetMember, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js mc reset: starts the BMC itself anew; the machine goes on.

Usage: ipmi-js mc reset cold|warm -H BMCS [options]

  cold   everything anew: sessions and consoles are lost, the BMC is silent for seconds to minutes
  warm   the firmware only; many BMCs do not have it

Many BMCs reset before they answer: "sent, no answer" is as good as accepted.`;

/** Short of the time after which the command would be sent in a new session: a BMC that is back must not be reset again. */
const ANSWER_WITHIN_MS = 3000;

async function reset({ bmc, limits }: FleetMember, kind: "cold" | "warm"): Promise<Report> {
  const command = kind === "cold" ? coldReset : warmReset;
  try {
    await bmc.execute(command, undefined, { ...limits, deadlineMs: ANSWER_WITHIN_MS });
    return { result: { reset: kind, answered: true }, lines: [`${kind} reset accepted`] };
  } catch (error) {
    if (!isIpmiError(error, "Timeout")) throw error;
    return { result: { reset: kind, answered: false }, lines: [`${kind} reset sent, no answer`] };
  }
}

export const mc = fleetCommand({
  name: "mc",
  summary: "reset the BMC itself, cold or warm",
  help: HELP,
  options: {},
  plan(words) {
    const [verb, kind, ...more] = words;
    if (verb !== "reset" || (kind !== "cold" && kind !== "warm") || more.length > 0)
      throw new UsageError(`mc takes "reset cold" or "reset warm", not "${words.join(" ")}"`);
    return { harm: `${kind} reset`, isLong: true, run: (member) => reset(member, kind) };
  },
});
