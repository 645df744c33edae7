// What an option is: a zod schema from INI text to a value, with its default, help and names in the schema's metadata.
import { z } from "zod";

/** What is known of an option besides its type; kept in the zod schema's metadata. */
export interface OptionMeta {
  /** For docs/config.md and the sample: what it does, with its unit. */
  readonly help: string;
  /** INI text, may hold `$name`; null: unset. */
  readonly default: string | null;
  /** For people, where the default depends on the machine. */
  readonly shownDefault?: string;
  /** What a wrong value is told to be, such as `an integer from 1 to 65535`. */
  readonly expected: string;
  /** Names it had in older releases; using one is warned of. */
  readonly oldNames?: readonly string[];
  /** `value`: never shown. `url`: shown without its password. */
  readonly secret?: "value" | "url";
  /** Accepted for the sake of old files; changes nothing. */
  readonly isWithoutEffect?: boolean;
}

type Extra = Partial<Pick<OptionMeta, "oldNames" | "secret" | "isWithoutEffect" | "shownDefault">>;

const registry = z.registry<OptionMeta>();

/** The metadata of an option made by this file. */
export function metaOf(schema: z.ZodType): OptionMeta {
  const meta = registry.get(schema);
  if (meta === undefined) throw new TypeError("a configuration option must be made by lib/config/option.ts");
  return meta;
}

function define<S extends z.ZodType>(schema: S, meta: OptionMeta): S {
  registry.add(schema, meta);
  return schema;
}

/** Any text. */
export function text(help: string, byDefault: string, extra: Extra = {}) {
  return define(z.string(), { help, default: byDefault, expected: "text", ...extra });
}

/** Any text, or nothing: null. An empty value is nothing. */
export function optionalText(help: string, extra: Extra = {}) {
  const schema = z
    .string()
    .nullable()
    .transform((value) => (value === "" ? null : value));
  return define(schema, { help, default: null, expected: "text", ...extra });
}

/** A whole number within bounds. */
export function integer(
  help: string,
  byDefault: number,
  bounds: { min?: number; max?: number } = {},
  extra: Extra = {},
) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds;
  const schema = z
    .string()
    .regex(/^[+-]?\d+$/)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));
  const range = bounds.max === undefined ? `of at least ${min}` : `from ${min} to ${max}`;
  return define(schema, { help, default: String(byDefault), expected: `an integer ${range}`, ...extra });
}

/** A number, such as 1.5, of at least zero. */
export function decimal(help: string, byDefault: number, extra: Extra = {}) {
  const schema = z
    .string()
    .regex(/^\d+(\.\d+)?$/)
    .transform(Number);
  return define(schema, { help, default: String(byDefault), expected: "a number such as 1.5", ...extra });
}

const TRUE = ["true", "yes", "on", "1"];
const FALSE = ["false", "no", "off", "0"];

/** True or False, in oslo.config's words. */
export function boolean(help: string, byDefault: boolean, extra: Extra = {}) {
  const schema = z
    .string()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum([...TRUE, ...FALSE] as [string, ...string[]]))
    .transform((value) => TRUE.includes(value));
  return define(schema, { help, default: byDefault ? "True" : "False", expected: "True or False", ...extra });
}

/** One of a few words; `aliases` maps further spellings to them, such as the original's class paths. */
export function choice<const T extends string>(
  help: string,
  byDefault: T,
  choices: readonly T[],
  aliases: Readonly<Record<string, T>> = {},
  extra: Extra = {},
) {
  const schema = z
    .string()
    .transform((value) => (Object.hasOwn(aliases, value) ? aliases[value] : value))
    .pipe(z.enum(choices as readonly [T, ...T[]]));
  return define(schema, { help, default: byDefault, expected: `one of ${choices.join(", ")}`, ...extra });
}

const LIST_EXPECTED = "values separated by commas";

/** Values separated by commas; repeated options add to it. Blanks around a value are dropped, and empty values. */
export function list(help: string, byDefault: string, extra: Extra = {}) {
  const schema = z.string().transform((value) =>
    value
      .split(/[,\n]/)
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );
  return define(schema, { help, default: byDefault, expected: LIST_EXPECTED, ...extra });
}

/** A TCP or UDP port; 0 lets the system pick. */
export function port(help: string, byDefault: number, extra: Extra = {}) {
  return integer(help, byDefault, { min: 0, max: 65_535 }, extra);
}

/** True if repeated options add up instead of the last one winning. */
export function isRepeatable(schema: z.ZodType): boolean {
  return metaOf(schema).expected === LIST_EXPECTED;
}
