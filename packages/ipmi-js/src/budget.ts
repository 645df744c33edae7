// How long an operation may take and who may stop it: the end of time and the signal travel together.

/** A monotonic end of time, in `performance.now()` milliseconds, and the caller's signal. */
export interface Budget {
  readonly endsAt: number;
  /** The whole time the operation was given, for its timeout text. */
  readonly totalMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What every call of the package accepts. */
export interface OperationOptions {
  /** Milliseconds until the call fails with `Timeout`. */
  readonly deadlineMs?: number;
  /** Ends the call with `Aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** What a timer of Node can wait; it fires at once for more. */
export const LONGEST_TIMER_MS = 0x7fffffff;

/** A budget of `totalMs` from now on. */
export function startBudget(totalMs: number, signal?: AbortSignal): Budget {
  return { endsAt: performance.now() + totalMs, totalMs, signal };
}

/** Milliseconds left; 0 when it is over. */
export function remainingMs(budget: Budget): number {
  return Math.max(0, budget.endsAt - performance.now());
}

/**
 * What `work` gives, or undefined if the budget ends or its signal fires before. For what cannot be interrupted: it is left behind
 * then. Rejects as `work` does.
 */
export function within<T>(work: Promise<T>, budget: Budget): Promise<T | undefined> {
  const { signal } = budget;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve(undefined);
    };
    const timer = setTimeout(end, Math.min(remainingMs(budget), LONGEST_TIMER_MS));
    signal?.addEventListener("abort", end, { once: true });
    // Before all else: what it rejects with later is nobody else's to hear.
    work.then(resolve, reject).finally(end);
    if (signal?.aborted) end();
  });
}

/** Waits `ms`, or until the budget ends or its signal fires, whichever is first. Never throws. */
export function pause(ms: number, budget: Budget): Promise<void> {
  if (ms <= 0 || budget.signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      budget.signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, remainingMs(budget), LONGEST_TIMER_MS));
    budget.signal?.addEventListener("abort", done, { once: true });
  });
}
