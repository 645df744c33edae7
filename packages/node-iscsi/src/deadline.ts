// Deadlines: moments in `performance.now()` milliseconds, and what is left until them as timers and commands take it.

/** Longest delay of a timer; Node takes more for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A duration as a timer takes it: `Infinity` and what is above 24.8 days become 24.8 days. */
export function timerMs(deadlineMs: number): number {
  return Math.min(LONGEST_TIMER_MS, Math.max(0, deadlineMs));
}

/** Milliseconds until `deadlineAt`, rounded up. At least 1, also when it has passed: what is begun late ends by its own timer. */
export function remainingMs(deadlineAt: number): number {
  return Math.max(1, Math.ceil(deadlineAt - performance.now()));
}

/** The options of each command of an operation that begins now: what is left of the operation's deadline, if it has one. */
export function withinDeadline<Options extends { readonly deadlineMs?: number | undefined }>(
  options: Options,
): () => Options {
  const { deadlineMs } = options;
  if (deadlineMs === undefined) return () => options;
  const deadlineAt = performance.now() + deadlineMs;
  return () => ({ ...options, deadlineMs: remainingMs(deadlineAt) });
}
