// ipmi-js watchdog: the timer that resets a machine which nobody looks after.
import { getWatchdogTimer, setWatchdogTimer, type WatchdogTimer } from "../commands/watchdog-timer.ts";
import { oneOf } from "./arguments.ts";
import type { FleetMember, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatFields } from "./output.ts";

const HELP = `ipmi-js watchdog: the timer that resets a machine whose operating system does not wind it up.

Usage: ipmi-js watchdog [status|off] -H BMCS [options]

  status   whether it runs, what it will do and when (the default)
  off      stop it: the machine stays as it is. Its operating system may start it again`;

const secondsText = (ms: number | undefined) => (ms === undefined ? undefined : `${ms / 1000} s`);

function linesOf(timer: WatchdogTimer): string[] {
  const before = timer.pretimeout === "none" ? undefined : `${timer.pretimeout}, ${timer.pretimeoutSeconds} s before`;
  return formatFields([
    ["timer", timer.isRunning ? "RUNNING" : "stopped"],
    ["action", timer.action],
    ["left", timer.isRunning ? secondsText(timer.presentCountdownMs) : undefined],
    ["countdown", secondsText(timer.countdownMs)],
    ["interrupt", before],
    ["set by", timer.use],
    ["expired for", timer.expirations.join(", ")],
  ]);
}

async function show({ bmc, limits }: FleetMember): Promise<Report> {
  const timer = await bmc.execute(getWatchdogTimer, undefined, limits);
  return { result: { ...timer }, lines: linesOf(timer) };
}

async function stop(member: FleetMember): Promise<Report> {
  const { bmc, limits } = member;
  const { use, countdownMs } = await bmc.execute(getWatchdogTimer, undefined, limits);
  // Set stops the timer, and without an action it does no harm if it is started again.
  await bmc.execute(setWatchdogTimer, { use, action: "none", countdownMs }, limits);
  return show(member);
}

export const watchdog = fleetCommand({
  name: "watchdog",
  summary: "the watchdog timer: show it, stop it",
  help: HELP,
  options: {},
  plan: (words) => ({ run: oneOf("watchdog", words, ["status", "off"]) === "off" ? stop : show }),
});
