// The TFTP error packet's numbers (RFC 1350 section 5 and appendix; RFC 2347 section 5) and this package's one error class.

/** Numbers of the ERROR packet. 0-7: RFC 1350; 8: RFC 2347. */
export const ERROR_CODES = {
  notDefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  diskFull: 3,
  illegalOperation: 4,
  unknownTransferId: 5,
  fileExists: 6,
  noSuchUser: 7,
  optionRefused: 8,
} as const;

/**
 * Every `code` of this package:
 *
 * - `BadInput`: an argument is unusable; the message names it.
 * - `NotFound`: the requested file does not exist under the root.
 * - `AccessViolation`: the name leaves the root, is not a regular file, is not readable, or the request was a write.
 * - `IllegalOperation`: the peer sent a packet that has no place here; a mode that is not served.
 * - `MalformedPacket`: bytes that are no TFTP packet.
 * - `OptionRefused`: the server's OACK does not fit what was asked (client side).
 * - `PeerError`: the peer ended the transfer with an ERROR packet; `tftpCode` is its number. Firmware does so on purpose
 *   when it asked for `tsize` only.
 * - `Timeout`: the peer stopped answering; all retries are spent.
 * - `DeadlineExceeded`: the whole transfer took longer than allowed.
 * - `Aborted`: the caller's signal, or `close()`.
 * - `Superseded`: the same peer port began another request, so this transfer has no reader any more.
 * - `FileChanged`: the open file became shorter while it was sent, or a transfer's length is not the announced one.
 * - `TooLarge`: more bytes than the caller or the mode allows.
 * - `Busy`: the server has no free transfer.
 * - `SocketFailed`: bind or send failed; see `cause`.
 * - `FileFailed`: the file could not be opened or read for a reason of ours; see `cause`.
 */
export type TftpErrorCode =
  | "BadInput"
  | "NotFound"
  | "AccessViolation"
  | "IllegalOperation"
  | "MalformedPacket"
  | "OptionRefused"
  | "PeerError"
  | "Timeout"
  | "DeadlineExceeded"
  | "Aborted"
  | "Superseded"
  | "FileChanged"
  | "TooLarge"
  | "Busy"
  | "SocketFailed"
  | "FileFailed";

/** One end of a transfer: a UDP port is a TFTP "transfer identifier" (RFC 1350 section 4). */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

export interface TftpErrorDetails {
  /** Number of the ERROR packet that was received, or that the peer is told. */
  readonly tftpCode?: number | undefined;
  readonly peer?: Peer | undefined;
  /** The file's name as requested. */
  readonly file?: string | undefined;
  readonly cause?: unknown;
}

const WIRE_CODES: Partial<Record<TftpErrorCode, number>> = {
  NotFound: ERROR_CODES.fileNotFound,
  AccessViolation: ERROR_CODES.accessViolation,
  IllegalOperation: ERROR_CODES.illegalOperation,
  MalformedPacket: ERROR_CODES.illegalOperation,
  OptionRefused: ERROR_CODES.optionRefused,
  TooLarge: ERROR_CODES.diskFull,
};

/** What everything in this package throws. `code` is for programs, `message` for people. */
export class TftpError extends Error {
  readonly code: TftpErrorCode;
  readonly tftpCode: number;
  readonly peer: Peer | undefined;
  readonly file: string | undefined;

  constructor(code: TftpErrorCode, message: string, details: TftpErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "TftpError";
    this.code = code;
    this.tftpCode = details.tftpCode ?? WIRE_CODES[code] ?? ERROR_CODES.notDefined;
    this.peer = details.peer;
    this.file = details.file;
  }

  /** The same error with peer and file filled in where they were not known at the place it arose. */
  at(peer: Peer, file: string): TftpError {
    if (this.peer !== undefined && this.file !== undefined) return this;
    const error = new TftpError(this.code, this.message, {
      tftpCode: this.tftpCode,
      peer: this.peer ?? peer,
      file: this.file ?? file,
      cause: this.cause,
    });
    return error;
  }
}

/** `error` as a TftpError; what is not one becomes `code` with `doing` before its text. */
export function asTftpError(error: unknown, code: TftpErrorCode, doing: string): TftpError {
  if (error instanceof TftpError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new TftpError(code, `${doing}: ${text}`, { cause: error });
}

/** `10.0.0.7:2070` or `[fe80::1]:2070`, for messages. */
export function formatPeer(peer: Peer): string {
  return peer.address.includes(":") ? `[${peer.address}]:${peer.port}` : `${peer.address}:${peer.port}`;
}
