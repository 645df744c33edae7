// Loads nova.conf: files, then overrides, over the defaults; interpolated, checked and typed. Reads no environment.
import { readFileSync } from "node:fs";
import { BaremetalError } from "../errors.ts";
import { type IniEntry, parseIni } from "./ini.ts";
import { interpolate } from "./interpolate.ts";
import { nearestName } from "./nearest-name.ts";
import { isRepeatable } from "./option.ts";
import { resolveTemplate } from "./paths.ts";
import { allOptions, type ConfigValues, headerOf, type OptionDescription, type SectionName } from "./schema.ts";

/** The typed configuration, and how it came about. */
export interface Config extends ConfigValues {
  /** For people: deprecated names, likely slips. */
  readonly warnings: readonly string[];
  /** What was let pass: `file:line: [section] key`. */
  readonly ignored: readonly string[];
  readonly files: readonly string[];
  /** `section.name` of what the files or overrides set. */
  readonly given: ReadonlySet<string>;
}

export interface LoadOptions {
  /** Read in order; a later one wins. */
  readonly files?: readonly string[];
  /** INI text by section and option name: `{ baremetal: { tftp_root: "/srv/tftp" } }`. Wins over the files. */
  readonly overrides?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface Given {
  readonly raw: string;
  readonly where: string;
}

/** A configuration that cannot be read at all: the program's exit status is 2. */
export const UNREADABLE = "unreadable";

/**
 * Loads the configuration.
 * @throws BaremetalError `BadInput`: `data.reason` is {@link UNREADABLE} for a file that cannot be read; otherwise the message
 * lists every fault with `file:line`.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  const files = options.files ?? [];
  const entries = [...files.flatMap(readEntries), ...overrideEntries(options.overrides ?? {})];
  const sorted = sortEntries(entries);
  const faults = [...sorted.faults];
  const values: Record<string, Record<string, unknown>> = {};
  for (const option of allOptions) {
    const section = values[option.section] ?? {};
    values[option.section] = section;
    try {
      section[option.field] = readOption(option, sorted.given);
    } catch (error) {
      if (!(error instanceof BaremetalError)) throw error;
      faults.push(error.message);
    }
  }
  if (faults.length > 0) {
    throw new BaremetalError("BadInput", faults.join("\n"), { data: { files: [...files], faults: faults.length } });
  }
  return {
    ...(values as unknown as ConfigValues),
    warnings: sorted.warnings,
    ignored: sorted.ignored,
    files: [...files],
    given: new Set(sorted.given.keys()),
  };
}

function readEntries(file: string): IniEntry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new BaremetalError("BadInput", `the configuration file ${file} cannot be read: ${(cause as Error).message}`, {
      data: { file, reason: UNREADABLE },
      cause,
    });
  }
  return parseIni(text, file);
}

function overrideEntries(overrides: NonNullable<LoadOptions["overrides"]>): IniEntry[] {
  return Object.entries(overrides).flatMap(([section, options]) =>
    Object.entries(options).map(([key, value]) => ({
      section: section === "default" ? "DEFAULT" : section,
      key,
      value,
      file: "override",
      line: 0,
    })),
  );
}

function placeOf(entry: IniEntry): string {
  return entry.line === 0 ? entry.file : `${entry.file}:${entry.line}`;
}

interface Sorted {
  readonly given: Map<string, Given>;
  readonly warnings: string[];
  readonly ignored: string[];
  readonly faults: string[];
}

/** Gives each entry to its option; the last of repeated ones wins, but those of lists add up. */
function sortEntries(entries: readonly IniEntry[]): Sorted {
  const sorted: Sorted = { given: new Map(), warnings: [], ignored: [], faults: [] };
  for (const entry of entries) {
    const options = allOptions.filter(({ section }) => headerOf(section) === entry.section);
    const where = placeOf(entry);
    const option = options.find(({ name, meta }) => name === entry.key || meta.oldNames?.includes(entry.key));
    if (option === undefined) {
      noteUnknown(entry, options, sorted);
      continue;
    }
    if (option.name !== entry.key) {
      sorted.warnings.push(`${where}: [${entry.section}] ${entry.key} is deprecated: write ${option.name}`);
    }
    const key = `${option.section}.${option.name}`;
    const before = sorted.given.get(key);
    const raw =
      before !== undefined && isRepeatable(option.schema) && entry.line !== 0
        ? `${before.raw},${entry.value}`
        : entry.value;
    sorted.given.set(key, { raw, where });
  }
  return sorted;
}

/** Unknown in a section of ours: a fault. In [DEFAULT], or a foreign section, it may be one of Nova's hundreds. */
function noteUnknown(entry: IniEntry, options: readonly OptionDescription[], sorted: Sorted): void {
  const name = `${placeOf(entry)}: [${entry.section}] ${entry.key}`;
  const isDefault = entry.section === "DEFAULT";
  const limit = isDefault ? 2 : Math.max(3, Math.ceil(entry.key.length / 3));
  const near = nearestName(
    entry.key,
    options.map((option) => option.name),
    limit,
  );
  if (options.length > 0 && !isDefault) {
    const elsewhere = allOptions.find((option) => option.name === entry.key);
    const hint =
      elsewhere !== undefined
        ? `; it belongs in [${headerOf(elsewhere.section)}]`
        : near === undefined
          ? ""
          : `; did you mean ${near}?`;
    sorted.faults.push(`${name}: there is no such option${hint}`);
    return;
  }
  sorted.ignored.push(name);
  if (near !== undefined) sorted.warnings.push(`${name} is not ours and is ignored; did you mean ${near}?`);
  const section =
    options.length > 0
      ? undefined
      : nearestName(
          entry.section,
          allOptions.map(({ section }) => headerOf(section)),
          2,
        );
  if (section !== undefined)
    sorted.warnings.push(`${name} is ignored, for [${entry.section}] is not ours; did you mean [${section}]?`);
}

function readOption(option: OptionDescription, given: ReadonlyMap<string, Given>): unknown {
  const own = given.get(`${option.section}.${option.name}`);
  const name = `[${headerOf(option.section)}] ${option.name}`;
  const where = own === undefined ? `the default of ${name}` : `${own.where}: ${name}`;
  const raw = own?.raw ?? option.meta.default;
  const text = raw === null ? null : interpolateOption(option, raw, where, given);
  const parsed = option.schema.safeParse(text);
  if (!parsed.success) {
    const shown = option.meta.secret === undefined ? JSON.stringify(text) : "the value";
    throw new BaremetalError("BadInput", `${where}: ${shown} is not ${option.meta.expected}`);
  }
  return option.name.endsWith("_template") && typeof parsed.data === "string"
    ? resolveTemplate(parsed.data)
    : parsed.data;
}

/** Trap: an unknown $name in a secret is most likely a part of the secret. */
function interpolateOption(
  option: OptionDescription,
  raw: string,
  where: string,
  given: ReadonlyMap<string, Given>,
): string {
  try {
    return interpolate(raw, where, rawOf(option.section, given));
  } catch (error) {
    if (option.meta.secret === undefined) throw error;
    throw new BaremetalError("BadInput", `${where}: a $ in the value names no option; write $$ for a dollar sign`);
  }
}

/** Raw values by name, for references: of the own section, then of [DEFAULT]. */
function rawOf(section: SectionName, given: ReadonlyMap<string, Given>): (name: string) => string | undefined {
  return (name) => {
    for (const place of [section, "default"] as const) {
      const option = allOptions.find((one) => one.section === place && one.name === name);
      if (option !== undefined) return given.get(`${place}.${name}`)?.raw ?? option.meta.default ?? "";
    }
    return undefined;
  };
}
