// TargetAddress values (RFC 7143 13.8): `address[:port][,portal-group-tag]`, as SendTargets answers and redirects carry them.
import { isIPv4, isIPv6 } from "node:net";
import { ProtocolError } from "./errors.ts";

/** IANA's port for iSCSI. */
export const DEFAULT_PORT = 3260;

/** Where a target can be reached. */
export interface Portal {
  /** IPv4 address, IPv6 address without brackets, or domain name. */
  readonly address: string;
  readonly port: number;
  /** Target portal group tag; undefined when the target did not say. */
  readonly tpgt: number | undefined;
}

const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** True for an IPv4 address or a domain name (RFC 1123 2.1; underscores as seen in the field). */
export function isHostName(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false;
  const labels = text.replace(/\.$/, "").split(".");
  // Digits and dots only that are no IPv4 address are a mistyped one, never a name.
  if (/^[0-9.]+$/.test(text)) return isIPv4(text);
  return labels.every((label) => LABEL.test(label));
}

function parseNumber(text: string | undefined, min: number, max: number): number | undefined {
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** @throws ProtocolError unless it is an IPv4 address, a bracketed IPv6 address or a domain name with legal numbers behind it. */
export function parseTargetAddress(text: string): Portal {
  const match = /^(?:\[([^\]]+)\]|([^:,[\]]+))(?::(\d{1,5}))?(?:,(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2];
  const isAddress = match?.[1] === undefined ? isHostName(address ?? "") : isIPv6(match[1]);
  const port = match?.[3] === undefined ? DEFAULT_PORT : parseNumber(match[3], 1, 65_535);
  const tpgt = match?.[4] === undefined ? undefined : parseNumber(match[4], 0, 65_535);
  if (address === undefined || !isAddress || port === undefined || (match?.[4] !== undefined && tpgt === undefined))
    throw new ProtocolError(`TargetAddress=${text.slice(0, 300)} is not an address[:port][,tag]`);
  return { address, port, tpgt };
}
