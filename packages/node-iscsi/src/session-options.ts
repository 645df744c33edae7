// Options and hooks of a session, shared by everything that runs commands on one.
import type { CacheLosses } from "./cache-losses.ts";
import type { IscsiError, ScsiError } from "./errors.ts";
import type { AsyncMessagePdu } from "./pdu/async-message.ts";

/** One finished command, for metrics. */
export interface CommandReport {
  /** The standard's name, such as `WRITE(16)`. */
  readonly name: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** From the moment the command was given to the session; waiting for the window included. */
  readonly durationMs: number;
  /** Undefined when the command ended without a SCSI status. */
  readonly status: number | undefined;
}

/** Observation points; they must not throw and must not block. */
export interface SessionHooks {
  onPdu?(direction: "sent" | "received", header: Buffer, dataBytes: number): void;
  /** Every command as it ends, each attempt apart. */
  onCommand?(report: CommandReport): void;
  onAsyncMessage?(message: AsyncMessagePdu): void;
  /** A command succeeded with sense key RECOVERED ERROR: the medium begins to fail. */
  onRecoveredError?(error: ScsiError): void;
  /** A command was answered with UNIT ATTENTION, BUSY or TASK SET FULL and is tried again. */
  onRetry?(error: ScsiError, attempt: number): void;
  /** The connection was lost; commands wait until it is re-established or they run out of time. */
  onConnectionLost?(error: IscsiError): void;
  /** One login of a recovery failed; there may be another after `nextDelayMs`. */
  onRecoveryAttemptFailed?(error: IscsiError, attempt: number, nextDelayMs: number): void;
  /** The session works again; unacknowledged commands are sent again. */
  onRecovered?(report: { attempts: number; elapsedMs: number }): void;
  /** The session ended for good; undefined after a logout. */
  onClose?(error: IscsiError | undefined): void;
}

/** How a lost connection is replaced (RFC 7143 7.1.4.4, ErrorRecoveryLevel 0). */
export interface RecoveryOptions {
  /** Logins tried in one recovery before its waiting commands fail. Default 12. */
  readonly maxAttempts: number;
  /** Times one command is sent again at most. Default 8. */
  readonly maxReissues: number;
  /** Wait before the second login; doubles with each failure, with jitter. Default 50 ms. */
  readonly firstBackoffMs: number;
  /** Default 5000 ms. */
  readonly longestBackoffMs: number;
}

export const DEFAULT_RECOVERY: RecoveryOptions = {
  maxAttempts: 12,
  maxReissues: 8,
  firstBackoffMs: 50,
  longestBackoffMs: 5000,
};

export interface SessionOptions {
  readonly targetName: string;
  readonly lun: number;
  readonly commandDeadlineMs: number;
  readonly maxOutstandingCommands: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveDeadlineMs: number;
  readonly hooks: SessionHooks;
  /** Shared by all connections of a session. */
  readonly cacheLosses: CacheLosses;
}

/** Per-command options. */
export interface ExecuteOptions {
  /** Default: the session's LUN. */
  readonly lun?: number | undefined;
  /** Milliseconds from the call to the status, waiting for the window and for recoveries included. Default: the session's. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
