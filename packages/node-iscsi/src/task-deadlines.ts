// The deadlines of all commands of a connection, on one timer: commands come by the thousand, and hardly one gets near its own.
import { timerMs } from "./deadline.ts";
import type { ScsiTask } from "./task.ts";

/** Calls `expire` for every task of `open()`, a snapshot, whose deadline has passed, until {@link stop}. Those it aborts are left alone. */
export class TaskDeadlines {
  readonly #open: () => readonly ScsiTask[];
  readonly #expire: (task: ScsiTask) => void;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer goes off, in `performance.now()` milliseconds: never after the first deadline. */
  #firesAt = Number.POSITIVE_INFINITY;

  constructor(open: () => readonly ScsiTask[], expire: (task: ScsiTask) => void) {
    this.#open = open;
    this.#expire = expire;
  }

  /** Called for each new task; those that settle in time need not be called off. */
  watch(task: ScsiTask): void {
    if (!(task.deadlineAt >= this.#firesAt)) this.#arm(task.deadlineAt);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#firesAt = Number.POSITIVE_INFINITY;
  }

  #arm(deadlineAt: number): void {
    clearTimeout(this.#timer);
    this.#firesAt = deadlineAt;
    // The connection keeps the process alive; the timer need not.
    this.#timer = setTimeout(() => this.#sweep(), timerMs(Math.ceil(deadlineAt - performance.now()))).unref();
  }

  #sweep(): void {
    this.stop();
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    // Hundreds of thousands may wait, when a caller starts all of its work at once.
    for (const task of this.#open()) {
      if (task.abortReason !== undefined) continue;
      if (task.deadlineAt <= now) this.#expire(task);
      else next = Math.min(next, task.deadlineAt);
    }
    // Expiring a task may have let others in, and armed the timer for them.
    if (next < this.#firesAt) this.#arm(next);
  }
}
