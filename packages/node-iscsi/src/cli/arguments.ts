// Arguments of the node-iscsi command: the options every subcommand has, sizes, URLs and where secrets come from.
import { readFileSync } from "node:fs";
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { ChapCredentials } from "../chap.ts";
import type { DigestWish, ParameterWishes } from "../negotiation.ts";
import type { PortalOptions } from "../open-and-login.ts";
import { chapOfUrl, parseTargetUrl } from "../target-url.ts";

/** The command line is wrong; exit status 2. The message says what and how to write it. */
export class UsageError extends Error {}

/** A subcommand. */
export interface CliCommand {
  readonly name: string;
  /** One line for the list of subcommands. */
  readonly summary: string;
  /** What `--help` prints above the common options. */
  readonly help: string;
  /** Resolves with the exit status. */
  run(args: readonly string[], signal: AbortSignal): Promise<number>;
}

type Options = NonNullable<ParseArgsConfig["options"]>;

const COMMON_OPTIONS = {
  "initiator-name": { type: "string", short: "i" },
  "chap-user": { type: "string" },
  "chap-secret-file": { type: "string" },
  "chap-target-user": { type: "string" },
  "chap-target-secret-file": { type: "string" },
  "header-digest": { type: "string" },
  "data-digest": { type: "string" },
  timeout: { type: "string" },
  pcap: { type: "string" },
  json: { type: "boolean" },
} as const satisfies Options;

/** Explains {@link COMMON_OPTIONS}. */
export const COMMON_HELP = `Connection options:
  -i, --initiator-name NAME       who we say we are (default iqn.2013-06.org.openstack:node-iscsi)
      --chap-user NAME            prove ourselves by CHAP; or write iscsi://NAME@host/...
      --chap-secret-file FILE     the secret is the first line of FILE; without it NODE_ISCSI_CHAP_SECRET
                                  of the environment. Never an argument: others can read command lines.
      --chap-target-user NAME     the target must prove itself too (mutual CHAP), with the secret of
      --chap-target-secret-file FILE  or NODE_ISCSI_CHAP_TARGET_SECRET
      --header-digest WISH        crc32c | none | crc32c,none | none,crc32c (default none)
      --data-digest WISH          the same for data
      --timeout SECONDS           for the login, and for each command, recovery of the connection included
                                  (default: login 15, command 30)
      --pcap FILE                 capture the session for Wireshark (tshark -r FILE -d tcp.port==3260,iscsi)
      --json                      print the result as JSON
  -h, --help                      this text

Exit status: 0 done, 1 failed, 2 wrong arguments, 130 interrupted (SIGINT), 143 ended (SIGTERM), 141 whoever read our
output left early.`;

type ParsedCommand<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T & typeof COMMON_OPTIONS; allowPositionals: true; strict: true }>
>;

/** Arguments of a subcommand, its own options and the common ones. @throws UsageError */
export function parseCommand<T extends Options>(
  args: readonly string[],
  options: T,
  positionals: readonly string[],
): ParsedCommand<T> {
  try {
    const parsed = parseArgs({
      args: [...args],
      options: { ...options, ...COMMON_OPTIONS },
      allowPositionals: true,
      strict: true,
    });
    if (parsed.positionals.length !== positionals.length)
      throw new UsageError(
        `expected ${positionals.length === 0 ? "options only" : positionals.join(" ")}, got ${parsed.positionals.length} arguments`,
      );
    return parsed;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // parseArgs explains itself in sentences; the first one says what is wrong.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError((message.split(". ")[0] ?? message).replace(/^[A-Z]/, (letter) => letter.toLowerCase()));
  }
}

export interface CommonValues {
  readonly "initiator-name"?: string | undefined;
  readonly "chap-user"?: string | undefined;
  readonly "chap-secret-file"?: string | undefined;
  readonly "chap-target-user"?: string | undefined;
  readonly "chap-target-secret-file"?: string | undefined;
  readonly "header-digest"?: string | undefined;
  readonly "data-digest"?: string | undefined;
  readonly timeout?: string | undefined;
  readonly pcap?: string | undefined;
}

/** A portal from a URL and the common options. */
export interface PortalArguments extends PortalOptions {
  readonly wishes: Partial<ParameterWishes>;
  readonly commandDeadlineMs?: number;
}

/** A logical unit from a URL and the common options. */
export interface UnitArguments extends PortalArguments {
  readonly targetName: string;
  readonly lun: number;
}

/** Reads a URL of a portal, or of anything at it. @throws UsageError, InvalidArgumentError */
export function portalArguments(url: string, values: CommonValues): PortalArguments {
  const parsed = parseTargetUrl(url);
  const initiatorName = values["initiator-name"];
  const timeoutMs = values.timeout === undefined ? undefined : parseNumber(values.timeout, "--timeout") * 1000;
  // The capture is made by whoever opens the connection, and that place reads the environment.
  if (values.pcap !== undefined) process.env["NODE_ISCSI_PCAP"] = values.pcap;
  const headerDigest = parseDigest(values["header-digest"], "--header-digest");
  const dataDigest = parseDigest(values["data-digest"], "--data-digest");
  const chap = chapCredentials(parsed, values);
  return {
    address: parsed.address,
    port: parsed.port,
    ...(initiatorName === undefined ? {} : { initiatorName }),
    ...(chap === undefined ? {} : { chap }),
    ...(timeoutMs === undefined ? {} : { deadlineMs: timeoutMs, commandDeadlineMs: timeoutMs }),
    wishes: {
      ...parsed.wishes,
      ...(headerDigest === undefined ? {} : { headerDigest }),
      ...(dataDigest === undefined ? {} : { dataDigest }),
    },
  };
}

/** Reads a URL that names a target and a LUN. @throws UsageError, InvalidArgumentError */
export function unitArguments(url: string, values: CommonValues): UnitArguments {
  const { targetName, lun } = parseTargetUrl(url);
  if (targetName === undefined || lun === undefined)
    throw new UsageError(
      `${url} names no ${targetName === undefined ? "target" : "LUN"}; write iscsi://host[:port]/target-name/lun ("node-iscsi ls -s" lists them)`,
    );
  return { ...portalArguments(url, values), targetName, lun };
}

function chapCredentials(url: ReturnType<typeof parseTargetUrl>, values: CommonValues): ChapCredentials | undefined {
  const environment = { ...process.env };
  const fromFile = (option: "chap-secret-file" | "chap-target-secret-file", variable: string) => {
    const file = values[option];
    if (file !== undefined) environment[variable] = firstLine(file, `--${option}`);
  };
  fromFile("chap-secret-file", "NODE_ISCSI_CHAP_SECRET");
  fromFile("chap-target-secret-file", "NODE_ISCSI_CHAP_TARGET_SECRET");
  const user = values["chap-user"];
  const targetUser = values["chap-target-user"];
  checkSecret(user ?? url.chapUser, environment["NODE_ISCSI_CHAP_SECRET"], "", "NODE_ISCSI_CHAP_SECRET");
  const theirs = targetUser ?? url.chapTargetUser;
  if (theirs !== undefined && user === undefined && url.chapUser === undefined)
    throw new UsageError("--chap-target-user needs --chap-user too: the target proves itself only to whom it knows");
  checkSecret(theirs, environment["NODE_ISCSI_CHAP_TARGET_SECRET"], "target-", "NODE_ISCSI_CHAP_TARGET_SECRET");
  return chapOfUrl(
    {
      ...url,
      ...(user === undefined ? {} : { chapUser: user }),
      ...(targetUser === undefined ? {} : { chapTargetUser: targetUser }),
    },
    environment,
  );
}

/** RFC 7143 12.1.3: 96 bits. */
const MIN_SECRET_BYTES = 12;

function checkSecret(user: string | undefined, secret: string | undefined, whose: "" | "target-", variable: string) {
  if (user === undefined) return;
  const option = `--chap-${whose}secret-file`;
  if (secret === undefined || secret === "")
    throw new UsageError(`the secret of the CHAP user ${user} is missing; give ${option} FILE or set ${variable}`);
  const bytes = Buffer.byteLength(secret);
  if (bytes < MIN_SECRET_BYTES)
    throw new UsageError(
      `the secret of the CHAP user ${user} has ${bytes} bytes and needs at least ${MIN_SECRET_BYTES} (RFC 7143 12.1.3); choose a longer one on both sides`,
    );
}

function firstLine(file: string, option: string): string {
  try {
    return readFileSync(file, "utf8").split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    throw new UsageError(
      `${option}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code}); give a file that holds the secret in its first line`,
    );
  }
}

const DIGESTS: ReadonlyMap<string, DigestWish> = new Map([
  ["none", "None"],
  ["crc32c", "CRC32C"],
  ["crc32c,none", "CRC32C,None"],
  ["none,crc32c", "None,CRC32C"],
]);

function parseDigest(text: string | undefined, option: string): DigestWish | undefined {
  if (text === undefined) return undefined;
  const wish = DIGESTS.get(text.toLowerCase());
  if (wish === undefined) throw new UsageError(`${option} takes ${[...DIGESTS.keys()].join(" | ")}, not ${text}`);
  return wish;
}

const MULTIPLIERS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["k", 1024],
  ["m", 1024 ** 2],
  ["g", 1024 ** 3],
  ["t", 1024 ** 4],
]);

/** `4096`, `64k`, `1M`, `2GiB`: bytes, in powers of 1024. @throws UsageError */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (MULTIPLIERS.get((match?.[2] ?? "").toLowerCase()) ?? Number.NaN);
  if (!Number.isSafeInteger(bytes))
    throw new UsageError(`${option} takes a size such as 4096, 64k, 1M or 2G, not ${text}`);
  return bytes;
}

/** A number above 0, such as seconds or a count. @throws UsageError */
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
