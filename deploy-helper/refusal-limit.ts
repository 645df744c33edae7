// Which refused calls become events: anybody can make refused calls, and the history must not grow by them without bound.
import type { Clock } from "../lib/clock.ts";

/** One event for the same refusal in this time. */
const INTERVAL_MS = 10_000;
/** Different refusals that are remembered, and so the most events in one interval. */
const MAX_REFUSALS = 256;

export class RefusalLimit {
  readonly #clock: Clock;
  /** When each became an event; oldest first. */
  readonly #seen = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True if this refusal is to be kept as an event: at most once in 10 s for each node, peer and reason, 256 times in all. */
  isDue(nodeId: number, peer: string, reason: string): boolean {
    const now = this.#clock.now();
    for (const [key, at] of this.#seen) {
      if (now - at < INTERVAL_MS) break;
      this.#seen.delete(key);
    }
    const key = JSON.stringify([nodeId, peer, reason]);
    if (this.#seen.has(key) || this.#seen.size >= MAX_REFUSALS) return false;
    this.#seen.set(key, now);
    return true;
  }
}
