// The reason an AbortSignal carries when the process ends, told apart from a user's cancellation.
import { BaremetalError, isBaremetalError } from "./errors.ts";

/** The reason given to a signal when the process ends and nobody asked for the work to be undone. */
export function shutdownReason(): BaremetalError {
  return new BaremetalError("Cancelled", "the compute service is stopping", { data: { isShutdown: true } });
}

/** True if `signal` was aborted by the end of the process, not by a user: the work is left as it stands, for the next start. */
export function isShutdown(signal: AbortSignal): boolean {
  return signal.aborted && isBaremetalError(signal.reason, "Cancelled") && signal.reason.data.isShutdown === true;
}
