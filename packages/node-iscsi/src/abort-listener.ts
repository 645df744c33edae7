// Listening to a caller's AbortSignal, of which one may serve any number of commands at once.
import { setMaxListeners } from "node:events";

const known = new WeakSet<AbortSignal>();

/** Calls `onAbort` once when `signal` fires, also when it has fired already; returns the function that stops listening. */
export function listenForAbort(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (!known.has(signal)) {
    // A hundred reads under one signal are no leak; Node would warn from the eleventh on.
    setMaxListeners(0, signal);
    known.add(signal);
  }
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  return () => signal.removeEventListener("abort", onAbort);
}

/** Longest delay of a timer; Node takes more for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A deadline as a timer takes it: `Infinity` and what is above 24.8 days become 24.8 days. */
export function timerMs(deadlineMs: number): number {
  return Math.min(LONGEST_TIMER_MS, Math.max(0, deadlineMs));
}
