// Listening to a caller's AbortSignal, of which one may serve any number of commands at once.
import { setMaxListeners } from "node:events";

const known = new WeakSet<AbortSignal>();

/** Calls `onAbort` once when `signal` fires, also when it has fired already; returns the function that stops listening. */
export function listenForAbort(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    onAbort();
    return () => undefined;
  }
  if (!known.has(signal)) {
    // A hundred reads under one signal are no leak; Node would warn from the eleventh on.
    setMaxListeners(0, signal);
    known.add(signal);
  }
  signal.addEventListener("abort", onAbort, { once: true });
  return () => signal.removeEventListener("abort", onAbort);
}
