// Names of BMCs as operators write them: `bmc[01-40,45].rack7`, `10.0.0.[1-250]`, `host:port`, `[v6]:port`, lists of these.
import { isIPv4, isIPv6 } from "node:net";
import { UsageError } from "./usage-error.ts";

/** A BMC to talk to. */
export interface Target {
  /** As the operator wrote it, ranges expanded. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** More at once is a slip of the keyboard, not a machine room. */
export const MAX_TARGETS = 65_536;

/** Text that stands as it is, or numbers to put in its place one after the other. */
type Part = readonly string[];

/** Takes a list apart at its commas and blanks, but not at those in brackets. @throws UsageError */
export function splitList(text: string): string[] {
  const items: string[] = [];
  let item = "";
  let isInBrackets = false;
  for (const character of text) {
    if (character === "[" && isInBrackets) throw new UsageError(`"${text}" opens a bracket within a bracket`);
    if (character === "]" && !isInBrackets) throw new UsageError(`"${text}" closes a bracket that is not open`);
    if (character === "[" || character === "]") isInBrackets = character === "[";
    if (!isInBrackets && /[\s,]/.test(character)) {
      items.push(item);
      item = "";
    } else {
      item += character;
    }
  }
  if (isInBrackets) throw new UsageError(`"${text}" opens a bracket that is not closed; write bmc[01-40]`);
  items.push(item);
  return items.filter((each) => each !== "");
}

/** All names that one item of a list stands for, at most `limit` of them. @throws UsageError */
export function expandRange(item: string, limit: number): string[] {
  const pieces = item.split(/(\[[^\]]*\])/);
  const parts = pieces.map((piece): Part => (isRange(piece) ? alternatives(piece, item, limit) : [piece]));
  const count = parts.reduce((product, part) => product * part.length, 1);
  if (count > limit) throw tooMany(item, count);
  return parts.reduce<readonly string[]>(
    (names, part) => names.flatMap((name) => part.map((next) => name + next)),
    [""],
  ) as string[];
}

/** The BMC that an expanded name means. @throws UsageError */
export function parseTarget(name: string, defaultPort: number): Target {
  const bracketed = /^\[(.*)\](?::(.*))?$/.exec(name);
  const plain = /^([^:]+)(?::(.*))?$/.exec(name);
  const isV6 = isIPv6(name) || bracketed !== null;
  const address = isIPv6(name) ? name : ((bracketed ?? plain)?.[1] ?? name);
  if (isV6 && !isIPv6(address)) throw new UsageError(`"${name}" holds no IPv6 address; write [fe80::1]:623`);
  if (!isV6) requireHost(name, address);
  const port = isIPv6(name) ? undefined : (bracketed ?? plain)?.[2];
  return { name, address, port: port === undefined ? defaultPort : parsePort(port, `the port of ${name}`) };
}

/** @throws UsageError */
export function parsePort(text: string, what: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new UsageError(`${what} is a number from 1 to 65535, not "${text}"`);
  return port;
}

/** Items of lists to BMCs, in the order given, each BMC once. @throws UsageError */
export function expandTargets(items: readonly string[], defaultPort: number): Target[] {
  const targets = new Map<string, Target>();
  let left = MAX_TARGETS;
  for (const item of items) {
    const names = expandRange(item, left);
    left -= names.length;
    for (const name of names) {
      const target = parseTarget(name, defaultPort);
      const key = `${target.address.toLowerCase()} ${target.port}`;
      // Named twice is meant once: a machine must not be switched off and on twice.
      if (!targets.has(key)) targets.set(key, target);
    }
  }
  return [...targets.values()];
}

/** Brackets around an IPv6 address are no range. */
function isRange(piece: string): boolean {
  return piece.startsWith("[") && !piece.includes(":");
}

function alternatives(piece: string, item: string, limit: number): string[] {
  const numbers: string[] = [];
  for (const range of piece.slice(1, -1).split(",")) {
    const match = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(range);
    if (match === null)
      throw new UsageError(`"${range}" in ${item} is no number and no range; write bmc[01-40] or bmc[1-8,12]`);
    const [, first = "", last = first] = match;
    const [from, to] = [Number(first), Number(last)];
    if (from > to)
      throw new UsageError(`the range ${range.trim()} in ${item} goes backwards; write [${last}-${first}]`);
    const isPadded = first.length > 1 && first.startsWith("0");
    if (!isPadded && last.length > 1 && last.startsWith("0"))
      throw new UsageError(
        `the range ${range.trim()} in ${item} is padded at its end only; write [${first.padStart(last.length, "0")}-${last}]`,
      );
    if (numbers.length + to - from + 1 > limit) throw tooMany(item, to - from + 1);
    for (let number = from; number <= to; number += 1)
      numbers.push(String(number).padStart(isPadded ? first.length : 0, "0"));
  }
  return numbers;
}

function tooMany(item: string, count: number): UsageError {
  return new UsageError(
    `${item} stands for ${count} BMCs or more; ${MAX_TARGETS} in all are the most at once. Narrow its range`,
  );
}

function requireHost(name: string, host: string): void {
  if (!/^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/.test(host))
    throw new UsageError(`"${name}" is no BMC; write a host name or an address, such as bmc7, bmc7:6230 or [fe80::1]`);
  // Without this, 10.0.0.300 would be looked up as a name, once for each machine.
  if (/^[\d.]+$/.test(host) && !isIPv4(host))
    throw new UsageError(`"${name}" is no IPv4 address; each number is 0 to 255`);
}
