// ipmi-js sel: the system event log.
import type { SelInfo } from "../commands/get-sel-info.ts";
import { clearSel, readSel, readSelInfo } from "../read-sel.ts";
import { NO_TIME, type SelRecord, type SelTimestamp, selTimestamp } from "../records/sel-record.ts";
import { oneOf, parseCount } from "./arguments.ts";
import type { FleetMember, FleetPlan, Report } from "./fleet.ts";
import { fleetCommand } from "./fleet-command.ts";
import { counted, formatFields, formatTable, formatTime } from "./output.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `ipmi-js sel: the system event log.

Usage: ipmi-js sel [list|info|clear] [--last N] -H BMCS [options]

  list    the events, oldest first (the default): record id, time (UTC), what happened
  info    how many events, free space, last change, whether events were lost
  clear   erase the log, and wait until it is done

      --last N   list the newest N only`;

const OPTIONS = { last: { type: "string" } } as const;

function timeText(timestamp: SelTimestamp | undefined): string {
  if (timestamp?.time !== undefined) return formatTime(timestamp.time);
  if (timestamp === undefined || timestamp.seconds === NO_TIME) return "-";
  return `BMC start + ${timestamp.seconds} s`;
}

function infoTime(seconds: number): string {
  return seconds === NO_TIME || seconds === 0 ? "never" : timeText(selTimestamp(seconds));
}

const timestampOf = (record: SelRecord) => (record.kind === "event" ? record : record.timestamp);

async function list({ bmc, limits, longLimits }: FleetMember, last: number | undefined): Promise<Report> {
  const { entryCount } = await readSelInfo(bmc, limits);
  const all = entryCount === 0 ? [] : await readSel(bmc, longLimits);
  const records = last === undefined ? all : all.slice(-last);
  const rows = records.map((record) => [String(record.id).padStart(5), timeText(timestampOf(record)), record.text]);
  return { result: { records }, lines: rows.length === 0 ? ["the log is empty"] : formatTable(rows) };
}

function showInfo(info: SelInfo): Report {
  const lines = formatFields([
    ["entries", String(info.entryCount)],
    ["free", info.freeBytes === 0xffff ? "65535 bytes or more" : counted(info.freeBytes, "byte")],
    ["last event", infoTime(info.lastAdditionSeconds)],
    ["last cleared", infoTime(info.lastEraseSeconds)],
    ["events lost", info.hasOverflowed ? "YES, the log was full" : "no"],
  ]);
  return { result: { ...info }, lines };
}

async function clear({ bmc, limits, longLimits }: FleetMember): Promise<Report> {
  const { entryCount } = await readSelInfo(bmc, limits);
  await clearSel(bmc, longLimits);
  return { result: { cleared: true, entries: entryCount }, lines: [`cleared; it had ${counted(entryCount, "event")}`] };
}

function planOf(words: readonly string[], values: { last?: string }): FleetPlan {
  const verb = oneOf("sel", words, ["list", "info", "clear"]) ?? "list";
  const last = values.last === undefined ? undefined : parseCount(values.last, "--last");
  if (verb !== "list" && last !== undefined) throw new UsageError("--last goes with list");
  if (verb === "list") return { isLong: true, run: (member) => list(member, last) };
  if (verb === "info")
    return { isLong: true, run: async ({ bmc, limits }) => showInfo(await readSelInfo(bmc, limits)) };
  return { harm: "erase the event logs of", isLong: true, run: clear };
}

export const sel = fleetCommand({
  name: "sel",
  summary: "the system event log: list, info, clear",
  help: HELP,
  options: OPTIONS,
  plan: planOf,
});
