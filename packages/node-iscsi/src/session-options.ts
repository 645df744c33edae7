// Options and hooks of a session, shared by everything that runs commands on one.
import type { IscsiError, ScsiError } from "./errors.ts";
import type { AsyncMessagePdu } from "./pdu/async-message.ts";

/** Observation points; they must not throw and must not block. */
export interface SessionHooks {
  onPdu?(direction: "sent" | "received", header: Buffer, dataBytes: number): void;
  onAsyncMessage?(message: AsyncMessagePdu): void;
  /** A command was answered with UNIT ATTENTION, BUSY or TASK SET FULL and is tried again. */
  onRetry?(error: ScsiError, attempt: number): void;
  /** The session ended; undefined after a logout. */
  onClose?(error: IscsiError | undefined): void;
}

export interface SessionOptions {
  readonly targetName: string;
  readonly lun: number;
  readonly commandDeadlineMs: number;
  readonly maxOutstandingCommands: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveDeadlineMs: number;
  readonly hooks: SessionHooks;
}

/** Per-command options. */
export interface ExecuteOptions {
  /** Default: the session's LUN. */
  readonly lun?: number | undefined;
  /** Milliseconds from the call to the status, waiting for the command window included. Default: the session's. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
