// Typed errors of the package, with the status tables they speak from (IPMI 2.0, tables 5-2 and 13-15).

/**
 * Every code the package raises:
 *
 * - `InvalidArgument`: the caller's mistake (password too long, unknown cipher suite, unresolvable address).
 * - `WrongPassword`: the BMC holds another password (or another K_g) than ours.
 * - `NoSuchUser`: the BMC has no such user, or not for this privilege.
 * - `NoFreeSession`: all session slots of the BMC are taken.
 * - `InsufficientPrivilege`: the user may not have the privilege, or the command needs more.
 * - `CipherSuite`: the BMC accepts none of the cipher suites we offered.
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

/** True if `error` is an {@link IpmiError}, and of `code` if one is given. */
export function isIpmiError(error: unknown, code?: IpmiErrorCode): error is IpmiError {
  return error instanceof IpmiError && (code === undefined || error.code === code);
}

/** RMCP+ and RAKP status codes, table 13-15: the code we raise for each, and what it means to the operator. */
export const RAKP_STATUS: Readonly<Record<number, { readonly code: IpmiErrorCode; readonly text: string }>> = {
  0x01: { code: "NoFreeSession", text: "no free session slot on the BMC; close other sessions or wait for them to expire" },
  0x02: { code: "Protocol", text: "the BMC does not know the session id (it may have restarted)" },
  0x03: { code: "Protocol", text: "the BMC does not know the payload type" },
  0x04: { code: "CipherSuite", text: "the BMC does not support the authentication algorithm" },
  0x05: { code: "CipherSuite", text: "the BMC does not support the integrity algorithm" },
  0x06: { code: "CipherSuite", text: "the BMC found no matching authentication payload" },
  0x07: { code: "CipherSuite", text: "the BMC found no matching integrity payload" },
  0x08: { code: "Protocol", text: "the session id is inactive on the BMC" },
  0x09: { code: "InsufficientPrivilege", text: "the BMC does not know the requested privilege" },
  0x0a: { code: "InsufficientPrivilege", text: "the user may not have the requested privilege" },
  0x0b: { code: "NoFreeSession", text: "no free session slot on the BMC for the requested privilege" },
  0x0c: { code: "InvalidArgument", text: "the BMC refused the length of the user name" },
  0x0d: { code: "NoSuchUser", text: "no such user on the BMC, or not enabled for the requested privilege" },
  0x0e: { code: "Protocol", text: "the BMC refused its GUID" },
  0x0f: { code: "WrongPassword", text: "the BMC refused our integrity check value: its password differs from ours" },
  0x10: { code: "CipherSuite", text: "the BMC does not support the confidentiality algorithm" },
  0x11: { code: "CipherSuite", text: "the BMC supports no such cipher suite" },
  0x12: { code: "Protocol", text: "the BMC found an illegal or unrecognized parameter" },
};

/** Generic completion codes, table 5-2. Command-specific ones (80h-BEh) are named by the command. */
export const COMPLETION_CODES: Readonly<Record<number, string>> = {
  0xc0: "node busy",
  0xc1: "invalid command",
  0xc2: "command invalid for the given LUN",
  0xc3: "timeout while processing the command",
  0xc4: "out of space",
  0xc5: "reservation cancelled or invalid",
  0xc6: "request data truncated",
  0xc7: "request data length invalid",
  0xc8: "request data field length limit exceeded",
  0xc9: "parameter out of range",
  0xca: "cannot return that many bytes",
  0xcb: "requested sensor, data or record not present",
  0xcc: "invalid data field in the request",
  0xcd: "command illegal for the given sensor or record type",
  0xce: "the response could not be provided",
  0xcf: "cannot execute a duplicated request",
  0xd0: "SDR repository in update mode",
  0xd1: "device in firmware update mode",
  0xd2: "BMC initialization in progress",
  0xd3: "destination unavailable",
  0xd4: "insufficient privilege",
  0xd5: "not supported in the present state",
  0xd6: "sub-function disabled or unavailable",
  0xff: "unspecified error",
};

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

/** The error for a non-zero RMCP+ status in the answer to `operation`. */
export function rakpStatusError(peer: Peer, operation: string, status: number): IpmiError {
  const known = RAKP_STATUS[status];
  const text = known?.text ?? "the BMC refused with a status the specification does not name";
  return new IpmiError(known?.code ?? "Protocol", `${operation} failed for ${peer.name}: ${text} (status ${hexByte(status)})`, {
    address: peer.address,
    operation,
    rakpStatus: status,
  });
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
  return new IpmiError(code, `${operation} refused by ${peer.name}: ${text} (completion code ${hexByte(completionCode)})`, {
    address: peer.address,
    operation,
    completionCode,
  });
}
