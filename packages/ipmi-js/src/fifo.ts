// First come, first served: one holder at a time; those who wait can give up without holding up the others.
import { type Budget, LONGEST_TIMER_MS, remainingMs } from "./budget.ts";

/** Why a wait for the turn ended without it. */
export type WaitEnd = "deadline" | "aborted";

/** A queue with one turn. `take` must be followed by `pass` if it gave the turn. */
export class Fifo {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** True if nobody holds the turn. */
  get isIdle(): boolean {
    return !this.#isTaken;
  }

  /** Resolves to undefined with the turn, or to the reason why there will be none. */
  take(budget: Budget): Promise<WaitEnd | undefined> {
    if (budget.signal?.aborted) return Promise.resolve("aborted");
    if (!this.#isTaken) {
      this.#isTaken = true;
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const settle = (end: WaitEnd | undefined): void => {
        clearTimeout(timer);
        budget.signal?.removeEventListener("abort", onAbort);
        resolve(end);
      };
      const leave = (end: WaitEnd): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        settle(end);
      };
      const turn = (): void => settle(undefined);
      const onAbort = (): void => leave("aborted");
      const timer = setTimeout(() => leave("deadline"), Math.min(remainingMs(budget), LONGEST_TIMER_MS));
      budget.signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(turn);
    });
  }

  /** Gives the turn to the next in line. */
  pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isTaken = false;
    else next();
  }
}
