// Target URLs as libiscsi and qemu know them: iscsi://[user@]host[:port][/target-name[/lun]][?option=value&...]. No secrets inside.

import { isIPv6 } from "node:net";
import type { ChapCredentials } from "./chap.ts";
import { InvalidArgumentError } from "./errors.ts";
import type { DigestWish, ParameterWishes } from "./negotiation.ts";
import { MAX_LUN } from "./pdu/header.ts";
import { DEFAULT_PORT, isHostName } from "./target-address.ts";

/** What a URL says; what it leaves out is not there. */
export interface TargetUrl {
  /** IPv4 address, IPv6 address without brackets, or host name. */
  readonly address: string;
  readonly port: number;
  /** Absent: a portal to ask for its targets. */
  readonly targetName?: string;
  readonly lun?: number;
  /** The name we prove ourselves under. */
  readonly chapUser?: string | undefined;
  /** The name the target proves itself under (mutual CHAP). */
  readonly chapTargetUser?: string | undefined;
  /** `header_digest` and `data_digest`. */
  readonly wishes?: Partial<ParameterWishes>;
}

const FORM = "write iscsi://[user@]host[:port]/target-name/lun";
const SECRET_FIX =
  "leave it out (others can read command lines and logs) and give it as option chap.secret or chap.target.secret, " +
  "or in the environment as NODE_ISCSI_CHAP_SECRET or NODE_ISCSI_CHAP_TARGET_SECRET";

const DIGEST_VALUES: ReadonlyMap<string, DigestWish> = new Map([
  ["none", "None"],
  ["crc32c", "CRC32C"],
  ["crc32c,none", "CRC32C,None"],
  ["none,crc32c", "None,CRC32C"],
]);

/** Messages never repeat what stands before the host or in unknown options: it may be a secret in the wrong place. */
function refusal(reason: string): InvalidArgumentError {
  return new InvalidArgumentError(reason, { operation: "reading the target URL" });
}

function decodePart(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refusal(`the ${what} holds a % that is no escape; write %25 for a percent sign`);
  }
}

/** user@ of the authority. libiscsi's user%password and the usual user:password are refused. */
function parseUser(userInfo: string): string {
  if (/[%:]/.test(userInfo)) throw refusal(`the URL carries a password; ${SECRET_FIX}`);
  if (userInfo === "") throw refusal(`the user before the @ is empty; ${FORM}`);
  return userInfo;
}

function parseHost(text: string): { address: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text);
  if (match === null) throw refusal(`the host cannot be read; put an IPv6 address in brackets, and ${FORM}`);
  const [, v6, name = "", port] = match;
  // Trap: for libiscsi "%" in the authority begins a password, so that no name with one is ever quoted here.
  if (v6 === undefined ? !isHostName(name) : !isIPv6(v6))
    throw refusal(
      v6 === undefined
        ? `the host is neither an IPv4 address nor a host name; ${FORM}`
        : "the brackets hold no IPv6 address; write for example iscsi://[fd00::7]:3260/target-name/lun",
    );
  if (port === undefined) return { address: v6 ?? name, port: DEFAULT_PORT };
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) throw refusal(`the port behind the host is not a number in 1..65535; ${FORM}`);
  return { address: v6 ?? name, port: number };
}

function parseLun(text: string): number {
  const lun = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(lun <= MAX_LUN)) throw refusal(`the LUN is not a number in 0..${MAX_LUN}; ${FORM}`);
  return lun;
}

function parsePath(path: string): { targetName?: string; lun?: number } {
  if (path === "" || path === "/") return {};
  const [, nameText = "", lunText, ...rest] = path.split("/");
  if (rest.some((part) => part !== "")) throw refusal(`there is more behind the LUN; ${FORM}`);
  const targetName = decodePart(nameText, "target name");
  if (targetName === "" || /[\s\p{Cc}]/u.test(targetName))
    throw refusal(`the target name is empty or holds white space; ${FORM}`);
  return lunText === undefined || lunText === "" ? { targetName } : { targetName, lun: parseLun(lunText) };
}

interface UrlOptions {
  chapTargetUser?: string;
  wishes?: { headerDigest?: DigestWish; dataDigest?: DigestWish };
}

function parseOption(key: string, value: string, options: UrlOptions): void {
  if (/passw|secret/i.test(key)) throw refusal(`the URL carries a secret in an option; ${SECRET_FIX}`);
  if (key === "target_user") {
    if (value === "") throw refusal("the option target_user is empty; name the user the target proves itself under");
    options.chapTargetUser = value;
    return;
  }
  if (key === "header_digest" || key === "data_digest") {
    const digest = DIGEST_VALUES.get(value.toLowerCase());
    if (digest === undefined) throw refusal(`the option ${key} takes one of ${[...DIGEST_VALUES.keys()].join(" | ")}`);
    options.wishes = { ...options.wishes, [key === "header_digest" ? "headerDigest" : "dataDigest"]: digest };
    return;
  }
  throw refusal("the URL has an unknown option; known are target_user, header_digest, data_digest");
}

function parseOptions(query: string): UrlOptions {
  const options: UrlOptions = {};
  const seen = new Set<string>();
  for (const item of query.split("&").filter((part) => part !== "")) {
    const at = item.indexOf("=");
    const key = decodePart(at < 0 ? item : item.slice(0, at), "option name");
    const value = decodePart(at < 0 ? "" : item.slice(at + 1), "option value");
    parseOption(key, value, options);
    if (seen.has(key)) throw refusal(`the option ${key} is given twice; give it once`);
    seen.add(key);
  }
  return options;
}

/**
 * Reads a target URL.
 * @throws InvalidArgumentError that says which part is wrong and how to write it. A URL with a password is refused, and no message
 * repeats anything that may be one.
 */
export function parseTargetUrl(url: string): TargetUrl {
  const scheme = /^iscsi:\/\//i.exec(url);
  if (scheme === null) throw refusal(`a target URL begins with iscsi://; ${FORM}`);
  if (url.includes("#")) throw refusal(`a target URL has no # part; ${FORM}`);
  const match = /^([^/?]*)([^?]*)(?:\?(.*))?$/s.exec(url.slice(scheme[0].length));
  const [, authority = "", path = "", query = ""] = match ?? [];
  const at = authority.lastIndexOf("@");
  // A password with a slash in it cuts the authority short: the @ is then found behind it.
  if (at < 0 && (path.includes("@") || (authority.includes("%") && !authority.startsWith("["))))
    throw refusal(`the URL seems to carry a password; ${SECRET_FIX}`);
  return {
    ...(at < 0 ? {} : { chapUser: parseUser(authority.slice(0, at)) }),
    ...parseHost(authority.slice(at + 1)),
    ...parsePath(path),
    ...parseOptions(query),
  };
}

/** A secret of the environment. @throws InvalidArgumentError when it is not set. */
function secretOf(environment: NodeJS.ProcessEnv, variable: string, user: string): string {
  const secret = environment[variable];
  if (secret === undefined || secret === "")
    throw refusal(`the URL names the user ${user} and nobody gave the secret; set ${variable} or give option chap`);
  return secret;
}

/**
 * The credentials for the users a URL names, with the secrets of the environment: NODE_ISCSI_CHAP_SECRET and, for `target_user`,
 * NODE_ISCSI_CHAP_TARGET_SECRET. Undefined when the URL names no user.
 * @throws InvalidArgumentError when a secret is not set, or the target is to prove itself and we are not
 */
export function chapOfUrl(
  url: Pick<TargetUrl, "chapUser" | "chapTargetUser">,
  environment: NodeJS.ProcessEnv = process.env,
): ChapCredentials | undefined {
  const { chapUser, chapTargetUser } = url;
  if (chapUser === undefined) {
    if (chapTargetUser === undefined) return undefined;
    throw refusal(
      "target_user needs a user of ours as well: CHAP has no target-only form; write iscsi://user@host/...",
    );
  }
  const own = { user: chapUser, secret: secretOf(environment, "NODE_ISCSI_CHAP_SECRET", chapUser) };
  if (chapTargetUser === undefined) return own;
  const secret = secretOf(environment, "NODE_ISCSI_CHAP_TARGET_SECRET", chapTargetUser);
  return { ...own, target: { user: chapTargetUser, secret } };
}
