// What every benchmark's main file does: options with a clear refusal, groups of figures that fail apart, and an orderly end.
import { type Figure, printFigure } from "./figure.ts";

/** The command line is wrong: exit status 2. */
export class UsageError extends Error {}

/** Figures that share their runs. */
export interface Group<Setting> {
  readonly name: string;
  run(setting: Setting): Promise<Figure[]>;
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What `read` gives; what it throws is the caller's mistake. */
export function readArguments<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(textOf(error));
  }
}

/** A whole number from 1. */
export function readCount(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`${option} ${text} is not a number from 1`);
  return value;
}

/** The groups of a list of names; @throws UsageError for a name that there is not. */
export function pickGroups<G extends { readonly name: string }>(groups: readonly G[], only: string): G[] {
  const names = only.split(",");
  const unknown = names.find((name) => !groups.some((group) => group.name === name));
  if (unknown !== undefined)
    throw new UsageError(`--only ${unknown}: choose of ${groups.map(({ name }) => name).join(", ")}`);
  return groups.filter(({ name }) => names.includes(name));
}

/** Runs the groups; resolves with the reasons why the run is not sound, none when it is. */
export async function runGroups<Setting extends { readonly signal: AbortSignal }>(
  groups: readonly Group<Setting>[],
  setting: Setting,
): Promise<string[]> {
  const reasons: string[] = [];
  for (const group of groups) {
    say(`== ${group.name}`);
    try {
      for (const figure of await group.run(setting)) printFigure(figure);
    } catch (error) {
      if (setting.signal.aborted) throw setting.signal.reason;
      reasons.push(`${group.name}: ${textOf(error)}`);
      say(`  not measured: ${textOf(error)}`);
    }
  }
  return reasons;
}

/** Runs `main`, whose result are the reasons why its figures are not sound, and sets the exit status. */
export async function runProgram(main: (signal: AbortSignal) => Promise<string[]>): Promise<void> {
  const abort = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => abort.abort(new Error(`ended by ${name}`)));
  // `| head` closes our output: then too what was started is stopped and the memory given back.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", (error) => abort.abort(error));
  try {
    const reasons = await main(abort.signal);
    for (const reason of reasons) say(`error: ${reason}`);
    process.exitCode = reasons.length > 0 ? 1 : 0;
  } catch (error) {
    say(`error: ${textOf(error)}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
