// Errors of a login that went to more than one address: they name every address that was tried, in order.
import {
  type ErrorContext,
  type IscsiError,
  LoginError,
  ProtocolError,
  TimeoutError,
  TransportError,
} from "./errors.ts";

/** True when another address of the same target may do better: unreachable, silent, or out of service (class 3). */
export function isPortalsFault(error: unknown): error is IscsiError {
  return (
    error instanceof TransportError ||
    error instanceof TimeoutError ||
    (error instanceof LoginError && error.statusClass === 3)
  );
}

function statusOf({ statusClass, statusDetail, redirectTo }: LoginError) {
  return statusClass === undefined || statusDetail === undefined
    ? undefined
    : { statusClass, statusDetail, redirectTo };
}

/** The same error, by type and numbers, with more in its reason. Errors that say nothing about an address stay as they are. */
export function withDetail(error: unknown, detail: string): unknown {
  if (error instanceof LoginError) return new LoginError(`${error.reason}; ${detail}`, error, statusOf(error));
  if (error instanceof TimeoutError) return new TimeoutError(error.deadlineMs, error, detail);
  if (error instanceof TransportError) return new TransportError(`${error.reason}; ${detail}`, error, error);
  if (error instanceof ProtocolError) return new ProtocolError(`${error.reason}; ${detail}`, error, error);
  return error;
}

/**
 * One error for a list of portals that all failed. A single one is passed on as it is; a TimeoutError when all were silent; the target's
 * status when it was the last to speak; else a TransportError.
 */
export function allPortalsFailed(failures: readonly IscsiError[], deadlineMs: number, context: ErrorContext): unknown {
  const last = failures.at(-1);
  if (last === undefined || failures.length === 1) return last ?? new TimeoutError(deadlineMs, context);
  const each = failures.map((error) => `${error.portal ?? "?"}: ${error.reason}`).join("; ");
  const detail = `none of ${failures.length} portals could be used (${each})`;
  if (failures.every((error) => error instanceof TimeoutError)) return new TimeoutError(deadlineMs, context, detail);
  if (last instanceof LoginError) return new LoginError(detail, last, statusOf(last));
  return new TransportError(detail, context, last);
}
