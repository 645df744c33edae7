// Time, as an interface: tests drive a fake one, so that no test sleeps. Every wait ends in a typed error.
import { BaremetalError } from "./errors.ts";

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`, or rejects with `Cancelled` when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancelled(signal));
      const onAbort = () => {
        clearTimeout(timer);
        reject(cancelled(signal));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
};

function cancelled(signal?: AbortSignal): BaremetalError {
  const reason: unknown = signal?.reason;
  if (reason instanceof BaremetalError) return reason;
  return new BaremetalError("Cancelled", "the wait was cancelled", { cause: reason });
}

export interface PollOptions {
  readonly clock: Clock;
  /** What is waited for, for the error's text: `node 7 to power off`. */
  readonly step: string;
  readonly deadlineMs: number;
  readonly intervalMs: number;
  readonly signal?: AbortSignal;
}

/** Calls `probe` until it gives something other than undefined; `DeadlineExceeded` names the step. */
export async function poll<T>(probe: () => Promise<T | undefined>, options: PollOptions): Promise<T> {
  const end = options.clock.now() + options.deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (options.clock.now() >= end) {
      throw new BaremetalError(
        "DeadlineExceeded",
        `gave up waiting for ${options.step} after ${options.deadlineMs} ms`,
        {
          data: { step: options.step, deadlineMs: options.deadlineMs },
        },
      );
    }
    await options.clock.sleep(Math.min(options.intervalMs, Math.max(1, end - options.clock.now())), options.signal);
  }
}
