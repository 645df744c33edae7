// Sliding window over received session sequence numbers (IPMI 2.0, 6.12): each number counts once.

const SPAN = 32;
const LAST = 0xffffffff;

/**
 * Numbers ahead of the highest one seen are new, however far: a lossy network may swallow many packets, and the
 * number was signed. Numbers up to 31 behind are new once. All others are replays.
 */
export class SequenceWindow {
  #highest: number;
  /** Bit n: `highest - n` was seen. */
  #seen = 0xffffffff;

  /** All numbers up to `highest` count as seen. */
  constructor(highest = 0) {
    this.#highest = highest;
  }

  /** True if `sequence` was not seen before; it is then marked as seen. 0 is never valid inside a session. */
  accept(sequence: number): boolean {
    if (sequence === 0) return false;
    if (sequence > this.#highest) {
      const step = sequence - this.#highest;
      this.#seen = step >= SPAN ? 1 : ((this.#seen << step) | 1) >>> 0;
      this.#highest = sequence;
      return true;
    }
    const behind = this.#highest - sequence;
    if (behind >= SPAN) return false;
    const bit = (1 << behind) >>> 0;
    if ((this.#seen & bit) !== 0) return false;
    this.#seen = (this.#seen | bit) >>> 0;
    return true;
  }
}

/** The number after `sequence`: 0 is left out when the counter wraps (6.12). */
export function nextSequence(sequence: number): number {
  return sequence >= LAST ? 1 : sequence + 1;
}
