// ipmi-js sensors: every sensor with its reading and how it stands to its thresholds.
import { readSensors, type SensorState } from "../read-sensors.ts";
import { noWords } from "./arguments.ts";
import type { FleetMember, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { formatTable } from "./output.ts";

const HELP = `ipmi-js sensors (or sdr): every sensor with its reading and how it stands to its thresholds.

Usage: ipmi-js sensors [--problems] -H BMCS [options]

      --problems   only those that crossed a threshold

Columns: name, reading or states, ok | non-critical | critical | non-recoverable. "-": no reading; --json says why.`;

const OPTIONS = { problems: { type: "boolean" } } as const;

function readingText({ value, unit, raw, states, unavailable, health }: SensorState): string {
  if (unavailable !== undefined) return "-";
  if (value !== undefined) return `${Number(value.toFixed(3))} ${unit}`.trimEnd();
  if (states.length > 0) return states.join(", ");
  return health === undefined ? "no state" : `raw ${raw}`;
}

const hasProblem = ({ health }: SensorState) => health !== undefined && health !== "ok";

async function show({ bmc, longLimits }: FleetMember, isProblemsOnly: boolean): Promise<Report> {
  const all = await readSensors(bmc, longLimits);
  const sensors = isProblemsOnly ? all.filter(hasProblem) : all;
  const rows = sensors.map((sensor) => [sensor.name, readingText(sensor), sensor.health ?? ""]);
  const none = isProblemsOnly ? `none of ${all.length} has crossed a threshold` : "the BMC has no sensors";
  return { result: { sensors }, lines: rows.length === 0 ? [none] : formatTable(rows) };
}

export const sensors = fleetCommand({
  name: "sensors",
  alias: "sdr",
  summary: "every sensor with its reading (also: sdr)",
  help: HELP,
  options: OPTIONS,
  plan(words, { problems = false }) {
    noWords("sensors", words);
    return { isLong: true, run: (member) => show(member, problems) };
  },
});
