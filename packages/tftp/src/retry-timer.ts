// The timer of one transfer: back-off that doubles (RFC 1123 4.2.3.2), an end to retries, and a deadline for everything.

export interface RetryTimerOptions {
  readonly intervalMs: number;
  /** How often in a row `onRetry` is called without progress before `onSilent`. */
  readonly retries: number;
  readonly deadlineMs: number;
  readonly onRetry: () => void;
  readonly onSilent: () => void;
  readonly onDeadline: () => void;
}

/** The pause never grows beyond this, or beyond the first interval if that is longer. */
const MAX_INTERVAL_MS = 8000;

/** Milliseconds to wait after the `attempt`-th silence (0: the first). */
export function backoffMs(intervalMs: number, attempt: number): number {
  return Math.min(intervalMs * 2 ** attempt, Math.max(intervalMs, MAX_INTERVAL_MS));
}

/** Call `progress` for each packet that moves the transfer on, and `stop` at its end. */
export class RetryTimer {
  readonly #options: RetryTimerOptions;
  readonly #deadline: NodeJS.Timeout;
  #timer: NodeJS.Timeout;
  #attempt = 0;
  #isStopped = false;

  constructor(options: RetryTimerOptions) {
    this.#options = options;
    this.#deadline = setTimeout(options.onDeadline, options.deadlineMs);
    this.#timer = this.#arm();
  }

  /** The peer answered: the first interval counts again. */
  progress(): void {
    if (this.#isStopped) return;
    if (this.#attempt === 0) {
      this.#timer.refresh();
      return;
    }
    this.#attempt = 0;
    clearTimeout(this.#timer);
    this.#timer = this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => this.#fire(), backoffMs(this.#options.intervalMs, this.#attempt));
  }

  #fire(): void {
    if (this.#attempt >= this.#options.retries) {
      this.#options.onSilent();
      return;
    }
    this.#attempt++;
    this.#timer = this.#arm();
    this.#options.onRetry();
  }
}
