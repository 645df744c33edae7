// ipmi-js power: the power state, and what changes it.
import { pause, remainingMs, startBudget } from "../budget.ts";
import type { ChassisControlAction } from "../commands/chassis-control.ts";
import { IpmiError, isIpmiError } from "../errors.ts";
import { oneOf, parseNumber } from "./arguments.ts";
import type { FleetMember, FleetPlan, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js power: switches machines on and off.

Usage: ipmi-js power [status|on|off|cycle|reset|soft|diag] [--wait] -H BMCS [options]

  status   on or off (the default)
  on       switch on
  off      switch off, at once and hard
  cycle    off and on again; most BMCs refuse it for a machine that is off
  reset    reset without switching off
  soft     ask the operating system to shut down (ACPI)
  diag     diagnostic interrupt (NMI): most operating systems crash and dump

      --wait                   until the BMC says so: on, off, soft, cycle. A cycle is done when off was seen and on again,
                               or on for 10 seconds
      --wait-timeout SECONDS   the longest wait (default 180); implies --wait

The BMC accepts an action first and does it then: without --wait, "accepted" is all that is known. An action whose
answer was lost is sent again, so that a cycle or reset may happen twice.

  $ ipmi-js power on --wait -U admin -H 'bmc[01-03]'
  bmc01:  on after 2.1 s
  bmc02:  on after 2.2 s
  bmc03:  on after 2.1 s`;

const OPTIONS = { wait: { type: "boolean" }, "wait-timeout": { type: "string" } } as const;

interface Action {
  readonly control: ChassisControlAction;
  readonly harm?: string;
  /** Undefined: no state tells that it is done. */
  readonly goal?: "on" | "off";
}

const ACTIONS = {
  on: { control: "power-up", goal: "on" },
  off: { control: "power-down", goal: "off", harm: "switch off the machines of" },
  cycle: { control: "power-cycle", goal: "on", harm: "power cycle the machines of" },
  reset: { control: "hard-reset", harm: "reset the machines of" },
  soft: { control: "soft-shutdown", goal: "off", harm: "shut down the machines of" },
  diag: { control: "diagnostic-interrupt", harm: "send a diagnostic interrupt to the machines of" },
} as const satisfies Record<string, Action>;

type ActionName = keyof typeof ACTIONS;
const WORDS = ["status", ...(Object.keys(ACTIONS) as ActionName[])] as const;

const POLL_MS = 1000;
const DEFAULT_WAIT = "180";
/** A cycle is shorter than a poll on quick machines: when off is never seen, on is believed after this. */
const CYCLE_SETTLES_MS = 10_000;

const stateName = (isOn: boolean): "on" | "off" => (isOn ? "on" : "off");

async function showStatus({ bmc, limits }: FleetMember): Promise<Report> {
  const power = stateName(await bmc.getPower(limits));
  return { result: { power }, lines: [power] };
}

async function act(member: FleetMember, name: ActionName, waitMs: number | undefined): Promise<Report> {
  const action: Action = ACTIONS[name];
  await member.bmc.control(action.control, member.limits);
  if (waitMs === undefined || action.goal === undefined)
    return { result: { action: name, accepted: true }, lines: [`${name} accepted`] };
  const seconds = (await waitFor(member, action.goal, name, waitMs)) / 1000;
  return {
    result: { action: name, accepted: true, power: action.goal, seconds },
    lines: [`${action.goal} after ${seconds.toFixed(1)} s`],
  };
}

/** Polls until the machine is there; resolves with the milliseconds it took. `Timeout` with the last state if it never is. */
async function waitFor(member: FleetMember, goal: "on" | "off", name: ActionName, waitMs: number): Promise<number> {
  const { bmc, target, limits } = member;
  const { signal } = limits;
  const budget = startBudget(waitMs, signal);
  const startedAt = performance.now();
  let wasOff = false;
  let last = "nothing";
  for (;;) {
    try {
      const deadlineMs = Math.max(1, Math.min(limits.deadlineMs, remainingMs(budget)));
      last = stateName(await bmc.getPower({ ...limits, deadlineMs }));
      wasOff ||= last === "off";
    } catch (error) {
      // A BMC that restarts with its machine is silent for a while.
      if (!isIpmiError(error, "Timeout")) throw error;
    }
    const elapsedMs = performance.now() - startedAt;
    const isBelieved = name !== "cycle" || wasOff || elapsedMs >= CYCLE_SETTLES_MS;
    if (last === goal && isBelieved) return elapsedMs;
    if (remainingMs(budget) === 0) {
      const text = `power ${name}: ${target.name} was accepted and still says ${last} after ${waitMs / 1000} s`;
      throw new IpmiError("Timeout", text, { address: target.address, operation: `power ${name}` });
    }
    await pause(POLL_MS, budget);
  }
}

function planOf(words: readonly string[], values: { wait?: boolean; "wait-timeout"?: string }): FleetPlan {
  const name = oneOf("power", words, WORDS) ?? "status";
  const waitTimeout = values["wait-timeout"];
  const isWaiting = values.wait === true || waitTimeout !== undefined;
  const action: Action | undefined = name === "status" ? undefined : ACTIONS[name];
  if (isWaiting && action?.goal === undefined)
    throw new UsageError(`no power state tells that "${name}" is done; --wait goes with on, off, soft and cycle`);
  const waitMs = isWaiting ? parseNumber(waitTimeout ?? DEFAULT_WAIT, "--wait-timeout") * 1000 : undefined;
  if (name === "status") return { run: showStatus };
  return {
    ...(action?.harm === undefined ? {} : { harm: action.harm }),
    run: (member) => act(member, name, waitMs),
  };
}

export const power = fleetCommand({
  name: "power",
  summary: "switch machines on and off, or ask whether they are on",
  help: HELP,
  options: OPTIONS,
  plan: planOf,
});
