// Typed errors of the package, with the status tables they speak from (IPMI 2.0, tables 5-2 and 13-15).

/**
 * Every code the package raises:
 *
 * - `InvalidArgument`: the caller's mistake (password too long, unknown cipher suite, unresolvable address).
 * - `WrongPassword`: the BMC holds another password (or another K_g) than ours; in IPMI 1.5 it is silent then.
 * - `NoSuchUser`: the BMC has no such user, or not for this privilege.
 * - `NoFreeSession`: all session slots of the BMC are taken.
 * - `InsufficientPrivilege`: the user may not have the privilege, or the command needs more.
 * - `CipherSuite`: the BMC accepts none of the cipher suites, or IPMI 1.5 authentication types, we offered.
 * - `ConsoleInUse`: another session has the serial console; end that one, or take it over.
 * - `CompletionCode`: the BMC refused a command; `completionCode` says why.
 * - `Timeout`: no answer within the deadline.
 * - `Protocol`: the BMC answered with something the specification does not allow.
 * - `Closed`: the session or client was closed.
 * - `Aborted`: the caller's signal fired.
 */
export type IpmiErrorCode =
  | "InvalidArgument"
  | "WrongPassword"
  | "NoSuchUser"
  | "NoFreeSession"
  | "InsufficientPrivilege"
  | "CipherSuite"
  | "ConsoleInUse"
  | "CompletionCode"
  | "Timeout"
  | "Protocol"
  | "Closed"
  | "Aborted";

/** How errors name a BMC: its address, and the address with the port if it is not 623. */
export interface Peer {
  readonly address: string;
  readonly name: string;
}

/** What an {@link IpmiError} carries besides its text. */
export interface IpmiErrorDetails {
  readonly address: string;
  /** What was being done, in the specification's words: `Get Chassis Status`, `RAKP Message 1`. */
  readonly operation: string;
  readonly completionCode?: number | undefined;
  readonly rakpStatus?: number | undefined;
  readonly cause?: unknown;
}

/** The only error the package throws. `code` is for programs, `message` for people; no secret is in either. */
export class IpmiError extends Error {
  readonly code: IpmiErrorCode;
  readonly address: string;
  readonly operation: string;
  /** The completion code of the BMC's answer, if it was one (table 5-2). */
  readonly completionCode: number | undefined;
  /** The RMCP+ status of the session setup, if the BMC sent one (table 13-15). */
  readonly rakpStatus: number | undefined;

  constructor(code: IpmiErrorCode, message: string, details: IpmiErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "IpmiError";
    this.code = code;
    this.address = details.address;
    this.operation = details.operation;
    this.completionCode = details.completionCode;
    this.rakpStatus = details.rakpStatus;
  }
}

/** True if `error` is an {@link IpmiError}, and of one of `codes` if any are given. */
export function isIpmiError(error: unknown, ...codes: readonly IpmiErrorCode[]): error is IpmiError {
  return error instanceof IpmiError && (codes.length === 0 || codes.includes(error.code));
}

/** RMCP+ and RAKP status codes, table 13-15: the code we raise for each, and what it means to the operator. */
export const RAKP_STATUS: Readonly<Record<number, { readonly code: IpmiErrorCode; readonly text: string }>> = {
  1: {
    code: "NoFreeSession",
    text: "no free session slot on the BMC; close other sessions or wait for them to expire",
  },
  2: { code: "Protocol", text: "the BMC does not know the session id; it may have restarted, so try again" },
  3: { code: "Protocol", text: "the BMC does not know the payload type; its firmware is broken or too old" },
  4: { code: "CipherSuite", text: "the BMC does not support the authentication algorithm; offer another cipher suite" },
  5: { code: "CipherSuite", text: "the BMC does not support the integrity algorithm; offer another cipher suite" },
  6: { code: "CipherSuite", text: "the BMC found no matching authentication payload; offer another cipher suite" },
  7: { code: "CipherSuite", text: "the BMC found no matching integrity payload; offer another cipher suite" },
  8: { code: "Protocol", text: "the session id is inactive on the BMC; try again" },
  9: { code: "InsufficientPrivilege", text: "the BMC does not know the requested privilege; ask for another" },
  10: {
    code: "InsufficientPrivilege",
    text: "the user may not have the requested privilege; raise his limit on the BMC or ask for less",
  },
  11: {
    code: "NoFreeSession",
    text: "no free session slot on the BMC for the requested privilege; close other sessions or ask for less",
  },
  12: { code: "InvalidArgument", text: "the BMC refused the length of the user name; use a shorter one" },
  13: {
    code: "NoSuchUser",
    text: "no such user on the BMC, or not enabled for the requested privilege; check the name and his access by LAN",
  },
  14: { code: "Protocol", text: "the BMC refused its GUID; its firmware is broken" },
  15: { code: "WrongPassword", text: "the BMC refused our integrity check value: its password differs from ours" },
  16: {
    code: "CipherSuite",
    text: "the BMC does not support the confidentiality algorithm; offer another cipher suite",
  },
  17: { code: "CipherSuite", text: "the BMC supports no such cipher suite; offer another" },
  18: {
    code: "Protocol",
    text: "the BMC found an illegal or unrecognized parameter; its firmware is broken or too old",
  },
};

/** Generic completion codes, table 5-2. Command-specific ones (80h-BEh) are named by the command. */
export const COMPLETION_CODES: Readonly<Record<number, string>> = {
  192: "node busy",
  193: "invalid command",
  194: "command invalid for the given LUN",
  195: "timeout while processing the command",
  196: "out of space",
  197: "reservation cancelled or invalid",
  198: "request data truncated",
  199: "request data length invalid",
  200: "request data field length limit exceeded",
  201: "parameter out of range",
  202: "cannot return that many bytes",
  203: "requested sensor, data or record not present",
  204: "invalid data field in the request",
  205: "command illegal for the given sensor or record type",
  206: "the response could not be provided",
  207: "cannot execute a duplicated request",
  208: "SDR repository in update mode",
  209: "device in firmware update mode",
  210: "BMC initialization in progress",
  211: "destination unavailable",
  212: "insufficient privilege",
  213: "not supported in the present state",
  214: "sub-function disabled or unavailable",
  255: "unspecified error",
};

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

/** The error for a non-zero RMCP+ status in the answer to `operation`. */
export function rakpStatusError(peer: Peer, operation: string, status: number): IpmiError {
  const known = RAKP_STATUS[status];
  const text = known?.text ?? "the BMC refused with a status the specification does not name";
  return new IpmiError(
    known?.code ?? "Protocol",
    `${operation} failed for ${peer.name}: ${text} (status ${hexByte(status)})`,
    {
      address: peer.address,
      operation,
      rakpStatus: status,
    },
  );
}

/** The error for a non-zero completion code; `specific` are the command's own codes. */
export function completionCodeError(
  peer: Peer,
  operation: string,
  completionCode: number,
  specific: Readonly<Record<number, string>> = {},
): IpmiError {
  const text = specific[completionCode] ?? COMPLETION_CODES[completionCode] ?? "a code of the vendor's own";
  const code = completionCode === 0xd4 ? "InsufficientPrivilege" : "CompletionCode";
  return new IpmiError(
    code,
    `${operation} refused by ${peer.name}: ${text} (completion code ${hexByte(completionCode)})`,
    {
      address: peer.address,
      operation,
      completionCode,
    },
  );
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
