// Arguments of the ipmi-js command: the options every subcommand has, and how a subcommand reads its own.
import { type ParseArgsConfig, parseArgs } from "node:util";
import { PRIVILEGE_LEVEL, type PrivilegeLevel } from "../commands/command.ts";
import { messageOf } from "../errors.ts";
import type { SessionProtocol } from "../options.ts";
import { parsePort, type Target } from "./node-range.ts";
import { readTargets } from "./target-list.ts";
import { UsageError } from "./usage-error.ts";

/** A subcommand. */
export interface CliCommand {
  readonly name: string;
  readonly alias?: string;
  /** One line for the list of subcommands. */
  readonly summary: string;
  /** What `--help` prints above the common options. */
  readonly help: string;
  /** Resolves with the exit status. */
  run(args: readonly string[], signal: AbortSignal): Promise<number>;
}

/** Options as `parseArgs` takes them. */
export type Options = NonNullable<ParseArgsConfig["options"]>;

const COMMON_OPTIONS = {
  host: { type: "string", short: "H", multiple: true },
  user: { type: "string", short: "U" },
  "password-file": { type: "string" },
  "kg-file": { type: "string" },
  "cipher-suite": { type: "string", short: "C" },
  protocol: { type: "string" },
  privilege: { type: "string", short: "L" },
  port: { type: "string", short: "p" },
  timeout: { type: "string" },
  fanout: { type: "string" },
  unordered: { type: "boolean" },
  yes: { type: "boolean", short: "y" },
  json: { type: "boolean" },
} as const satisfies Options;

/** Explains {@link COMMON_OPTIONS}. */
export const COMMON_HELP = `Which BMCs:
  -H, --host BMCS            bmc7 | bmc7:6230 | [fe80::1]:623 | bmc[01-40,45].rack7 | 10.0.0.[1-250] | lists of these with
                             commas | @FILE (one in a line, # begins a remark) | - (standard input); may be repeated.
                             Shells know brackets too: put them in quotes
  -p, --port PORT            UDP port of those that are named without one (default 623)
      --fanout N             BMCs asked at the same time (default 256)
      --unordered            print each answer as it comes; without it they come in the order of -H

How to log in:
  -U, --user NAME            without it IPMI_USER of the environment
      --password-file FILE   the password is the first line of FILE; without it IPMI_PASSWORD of the environment, or it is
                             asked for on a terminal. Never an argument: others can read command lines.
      --kg-file FILE         the BMCs' K_g, if they have one: text, or hex digits after 0x
  -C, --cipher-suite N[,N]   offer these, best first (default 17,3)
      --protocol VERSION     2.0 | 1.5 | auto (default 2.0). 1.5 is for BMCs that have nothing newer: it encrypts nothing.
                             auto takes what the BMC says it has; a man in the middle can say 1.5
  -L, --privilege LEVEL      user | operator | administrator (default administrator)

And:
      --timeout SECONDS      until a BMC counts as failed (default 20); logs, sensors and inventories may take ten times
                             as long once the BMC has answered
      --json                 one JSON object a line and BMC: name, ok, and result or error {code, message}
  -y, --yes                  do not ask before something that hurts is done to more than one BMC
  -h, --help                 this text

Exit status: 0 all is well, 1 it failed on some BMC, 2 wrong arguments, 129 hung up (SIGHUP), 130 interrupted
(SIGINT), 143 ended (SIGTERM), 141 whoever read our output left early.`;

type ParsedCommand<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T & typeof COMMON_OPTIONS; allowPositionals: true; strict: true }>
>;
/** Values of a subcommand's own options and of the common ones. */
export type ParsedValues<T extends Options> = ParsedCommand<T>["values"];
/** Values of the common options. */
export type CommonValues = ParsedValues<Record<never, never>>;

/** Arguments of a subcommand, its own options and the common ones. @throws UsageError */
export function parseCommand<T extends Options>(args: readonly string[], options: T): ParsedCommand<T> {
  try {
    return parseArgs({
      args: [...args],
      options: { ...options, ...COMMON_OPTIONS },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    // parseArgs explains itself in sentences; the first one says what is wrong.
    const message = messageOf(error);
    if (/'-[PEf]'/.test(message))
      throw new UsageError("ipmitool's -P, -E and -f are not here; give --password-file FILE or set IPMI_PASSWORD");
    throw new UsageError((message.split(". ")[0] ?? message).replace(/^[A-Z]/, (letter) => letter.toLowerCase()));
  }
}

/** Where the name of the subcommand stands in `args`: options may come before it, as with ipmitool. -1: nowhere. */
export function commandIndex(args: readonly string[]): number {
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...COMMON_OPTIONS, help: { type: "boolean", short: "h" }, version: { type: "boolean" } },
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  return tokens.find((token) => token.kind === "positional")?.index ?? -1;
}

const PROTOCOLS = ["2.0", "1.5", "auto"] as const satisfies SessionProtocol[];
/** The only one that nobody can force down to sessions without encryption. */
export const DEFAULT_PROTOCOL = "2.0";
const DEFAULT_PORT = "623";
const DEFAULT_TIMEOUT = "20";
const DEFAULT_FANOUT = "256";

/** The common options, read; those of the login are in `credentials.ts`. */
export interface CommonArguments {
  readonly targets: readonly Target[];
  readonly timeoutMs: number;
  readonly fanout: number;
}

/** @throws UsageError */
export async function commonArguments(
  values: CommonValues,
  defaultTimeout: string = DEFAULT_TIMEOUT,
): Promise<CommonArguments> {
  const port = parsePort(values.port ?? DEFAULT_PORT, "--port");
  const timeoutMs = parseNumber(values.timeout ?? defaultTimeout, "--timeout") * 1000;
  const fanout = parseCount(values.fanout ?? DEFAULT_FANOUT, "--fanout");
  return { targets: await readTargets(values.host ?? [], port), timeoutMs, fanout };
}

/** Numbers of cipher suites; whether we speak them is checked by the session. @throws UsageError */
export function parseCipherSuites(text: string): number[] {
  return text.split(",").map((id) => {
    if (!/^\d{1,3}$/.test(id)) throw new UsageError(`--cipher-suite takes numbers such as 17 or 17,3, not ${text}`);
    return Number(id);
  });
}

/** IPMI versions of sessions. @throws UsageError */
export function parseProtocol(text: string): SessionProtocol {
  const known = PROTOCOLS.find((protocol) => protocol === text);
  if (known === undefined) throw new UsageError(`--protocol takes ${PROTOCOLS.join(" | ")}, not ${text}`);
  return known;
}

/** `admin` is what everybody types. @throws UsageError */
export function parsePrivilege(text: string): PrivilegeLevel {
  const name = text.toLowerCase() === "admin" ? "administrator" : text.toLowerCase();
  if (!Object.hasOwn(PRIVILEGE_LEVEL, name))
    throw new UsageError(`--privilege takes ${Object.keys(PRIVILEGE_LEVEL).join(" | ")}, not ${text}`);
  return name as PrivilegeLevel;
}

/** A number above 0, such as seconds. @throws UsageError */
export function parseNumber(text: string, option: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(value > 0)) throw new UsageError(`${option} takes a number above 0, not ${text}`);
  return value;
}

/** A whole number above 0. @throws UsageError */
export function parseCount(text: string, option: string): number {
  const value = parseNumber(text, option);
  if (!Number.isSafeInteger(value)) throw new UsageError(`${option} takes a whole number, not ${text}`);
  return value;
}

/** A whole number from `least` to `most`. @throws UsageError */
export function parseWithin(text: string, option: string, least: number, most: number): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`${option} takes a number from ${least} to ${most}, not ${text}`);
  return value;
}

/** The word of `choices` that stands in its place, or undefined if there is none. @throws UsageError for others and for more */
export function oneOf<T extends string>(
  command: string,
  words: readonly string[],
  choices: readonly T[],
): T | undefined {
  const [word, ...more] = words;
  if (more.length > 0)
    throw new UsageError(`"${more.join(" ")}" is too much; ${command} takes one word, and the BMCs are named by -H`);
  if (word === undefined || (choices as readonly string[]).includes(word)) return word as T | undefined;
  throw new UsageError(`${command} takes ${choices.join(" | ")}, not "${word}"${looksLikeHost(word)}`);
}

/** For subcommands that take no words at all. @throws UsageError */
export function noWords(command: string, words: readonly string[]): void {
  if (words.length > 0)
    throw new UsageError(`${command} takes options only, not "${words.join(" ")}"${looksLikeHost(words[0] ?? "")}`);
}

function looksLikeHost(word: string): string {
  return /[.\d:[@]/.test(word) ? `; if that is a BMC, write -H ${word}` : "";
}
