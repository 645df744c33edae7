// Every error this package throws. One base class; the leaf says whose fault it was: target's SCSI answer, login, wire, time.
import { describeSense, SCSI_STATUS_TEXTS, ScsiStatus, type SenseData, SenseKey } from "./scsi/sense.ts";

/**
 * Codes of {@link IscsiError}.
 * - `Scsi`: the target answered a command with a status other than GOOD ({@link ScsiError}).
 * - `Login`: the target refused the login, or the two sides have nothing in common ({@link LoginError}).
 * - `Transport`: the TCP connection could not be made, broke, or was closed ({@link TransportError}); after attempts to
 *   re-establish the session it is a {@link RecoveryError}.
 * - `Timeout`: a deadline passed; `operation` names the step ({@link TimeoutError}).
 * - `Protocol`: the peer sent something RFC 7143 or the SCSI standards do not allow ({@link ProtocolError}).
 * - `CacheLoss`: the unit lost writes it had acknowledged ({@link CacheLossError}); `onDisk.unknown` says which.
 * - `Aborted`: the caller's AbortSignal fired ({@link AbortedError}).
 * - `InvalidArgument`: the caller asked for something impossible, such as an unaligned write ({@link InvalidArgumentError}).
 */
export type IscsiErrorCode =
  | "Scsi"
  | "Login"
  | "Transport"
  | "Timeout"
  | "Protocol"
  | "CacheLoss"
  | "Aborted"
  | "InvalidArgument";

/**
 * What a failed command did to the medium: `none`, it was never sent or the target refused to run it; `unknown`, it may have been
 * run, in part or as a whole.
 */
export type CommandEffect = "none" | "unknown";

/** Where an error happened. `portal` is `address:port`; `operation` is what was being done, as a noun phrase. */
export interface ErrorContext {
  readonly target?: string | undefined;
  readonly portal?: string | undefined;
  readonly operation: string;
  /** Default `unknown`, the careful answer. */
  readonly effect?: CommandEffect | undefined;
}

/** Bytes of a block device. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** What is known about the range of a failed write; the three lists cover it, each in ascending order. */
export interface DiskState {
  /** Acknowledged by the target. */
  readonly written: readonly ByteRange[];
  /** Holds the old data, the new, or a mixture at block borders. */
  readonly unknown: readonly ByteRange[];
  /** Never sent, or refused: holds the old data. */
  readonly untouched: readonly ByteRange[];
}

const totalBytes = (ranges: readonly ByteRange[]) => ranges.reduce((sum, range) => sum + range.lengthBytes, 0);

/** Base of all errors of this package; `message` says what was being done, to whom, and why it failed. */
export class IscsiError extends Error {
  readonly code: IscsiErrorCode;
  readonly target: string | undefined;
  readonly portal: string | undefined;
  readonly operation: string;
  readonly reason: string;
  /** What the command did to the medium. */
  effect: CommandEffect;
  /** Set on errors of a block device's `write`, `writeZeroes` and `discard`. */
  onDisk: DiskState | undefined;

  constructor(code: IscsiErrorCode, reason: string, context: ErrorContext, cause?: unknown) {
    // What a peer said may hold escape sequences; they must not reach a terminal or a log.
    const clean = reason.replace(/\p{Cc}/gu, "?");
    const peer = [context.target, context.portal].filter((part) => part !== undefined).join(" at ");
    super(
      `${context.operation} failed${peer === "" ? "" : ` on ${peer}`}: ${clean}`,
      cause === undefined ? {} : { cause },
    );
    this.name = new.target.name;
    this.code = code;
    this.target = context.target;
    this.portal = context.portal;
    this.operation = context.operation;
    this.reason = clean;
    this.effect = context.effect ?? "unknown";
  }

  /** An earlier attempt of the same command may have been run, whatever this one did. */
  withEffect(effect: CommandEffect): this {
    if (effect === "unknown") this.effect = effect;
    return this;
  }

  /** Adds what is known about the disk to the error and to its message. */
  withDiskState(state: DiskState): this {
    this.onDisk = state;
    this.message += `; ${totalBytes(state.written)} bytes were written, of ${totalBytes(state.unknown)} it is unknown, ${totalBytes(state.untouched)} are untouched`;
    return this;
  }
}

/** Statuses that say that the command was not run (SAM-5 5.3.1). */
const REFUSING_STATUSES: readonly number[] = [0x08, 0x18, 0x28, 0x30];

/**
 * True when the target says by status or sense that it did not run the command at all (SPC-4 4.5.6). Some sense keys come at the
 * start of a command as well as in its middle: only the conditions that cannot arise there are taken for a refusal.
 */
function wasRefused(status: number, sense: SenseData | undefined): boolean {
  if (status !== ScsiStatus.CheckCondition) return REFUSING_STATUSES.includes(status);
  switch (sense?.senseKey) {
    case SenseKey.IllegalRequest:
    case SenseKey.UnitAttention:
    case SenseKey.Miscompare:
      return true;
    case SenseKey.NotReady:
      // 04h: the unit is not ready for any command. 3Ah, medium not present, may have happened meanwhile.
      return sense.asc === 0x04;
    case SenseKey.DataProtect:
      // 27h/00h to 06h: write protected. 27h/07h: a thin pool ran full, perhaps in mid-write.
      return sense.asc === 0x27 && sense.ascq !== 0x07;
    default:
      return false;
  }
}

/** The target completed a command with a SCSI status other than GOOD (SAM-5 5.3.1); sense is decoded when it sent any. */
export class ScsiError extends IscsiError {
  readonly status: number;
  readonly statusText: string;
  readonly sense: SenseData | undefined;
  readonly senseKey: number | undefined;
  readonly asc: number | undefined;
  readonly ascq: number | undefined;

  constructor(status: number, sense: SenseData | undefined, context: ErrorContext) {
    const statusText = SCSI_STATUS_TEXTS.get(status) ?? `status 0x${status.toString(16).padStart(2, "0")}`;
    super("Scsi", sense === undefined ? statusText : `${statusText}: ${describeSense(sense)}`, {
      ...context,
      effect: wasRefused(status, sense) ? "none" : "unknown",
    });
    this.status = status;
    this.statusText = statusText;
    this.sense = sense;
    this.senseKey = sense?.senseKey;
    this.asc = sense?.asc;
    this.ascq = sense?.ascq;
  }
}

/** Login was refused (RFC 7143 11.13.5) or negotiation failed; class and detail are undefined when we ended it. */
export class LoginError extends IscsiError {
  readonly statusClass: number | undefined;
  readonly statusDetail: number | undefined;
  /** Where a class 1 answer redirects to: `address[:port][,tag]`. */
  readonly redirectTo: string | undefined;

  constructor(
    reason: string,
    context: ErrorContext,
    status?: { statusClass: number; statusDetail: number; redirectTo?: string | undefined },
  ) {
    super("Login", reason, { ...context, effect: "none" });
    this.statusClass = status?.statusClass;
    this.statusDetail = status?.statusDetail;
    this.redirectTo = status?.redirectTo;
  }
}

/** The connection failed; whether an outstanding command reached the disk is unknown. */
export class TransportError extends IscsiError {
  constructor(reason: string, context: ErrorContext, cause?: unknown) {
    super("Transport", reason, context, cause);
  }
}

/** The session was lost and could not be re-established; `cause` is the last attempt's error. */
export class RecoveryError extends TransportError {
  /** Logins tried since the connection was lost. */
  readonly attempts: number;

  constructor(reason: string, attempts: number, context: ErrorContext, cause?: unknown) {
    super(reason, context, cause);
    this.attempts = attempts;
  }
}

/** A deadline passed. `operation` names the step that did not finish. */
export class TimeoutError extends IscsiError {
  readonly deadlineMs: number;

  constructor(deadlineMs: number, context: ErrorContext, detail = "") {
    super("Timeout", `no answer within ${deadlineMs} ms${detail === "" ? "" : `; ${detail}`}`, context);
    this.deadlineMs = deadlineMs;
  }
}

/** The peer broke the protocol; the connection is not used afterwards. */
export class ProtocolError extends IscsiError {
  constructor(reason: string, context: ErrorContext = { operation: "decoding" }, cause?: unknown) {
    super("Protocol", reason, context, cause);
  }
}

/** The unit was reset, or reported a deferred error, after it acknowledged writes and before they were flushed; `cause` is its report. */
export class CacheLossError extends IscsiError {
  constructor(reason: string, context: ErrorContext, cause?: unknown) {
    super("CacheLoss", reason, context, cause);
  }
}

/** A PDU of the target is missing. Level 0 recovers by a new session (RFC 7143 7.9); without recovery it ends the session. */
export class SequenceError extends ProtocolError {}

/** The caller's AbortSignal fired; `cause` is the signal's reason. */
export class AbortedError extends IscsiError {
  constructor(context: ErrorContext, cause?: unknown) {
    super("Aborted", "aborted by the caller", context, cause);
  }
}

/** The caller's mistake; nothing was sent. */
export class InvalidArgumentError extends IscsiError {
  constructor(reason: string, context: ErrorContext) {
    super("InvalidArgument", reason, { ...context, effect: "none" });
  }
}

/** `10.0.0.7:3260` or `[fd00::1]:3260`. */
export function formatPortal(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
