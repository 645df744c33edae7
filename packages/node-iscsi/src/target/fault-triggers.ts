// Counts occasions for the target's faults and decides which of them strike; deterministic by seed.
import type { ByteCut, CommandTrigger, FaultTrigger } from "./faults.ts";

/** mulberry32: numbers in 0..1 (1 excluded), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Count {
  seen: number;
  struck: number;
  readonly random: () => number;
}

interface CutState {
  struck: number;
  readonly random: () => number;
  readonly passed: WeakMap<object, { seen: number; limit: number }>;
}

/** State of all faults of one target; keyed by the fault's object, so a new object starts afresh. */
export class FaultTriggers {
  readonly #counts = new WeakMap<object, WeakMap<object, Count>>();
  readonly #cuts = new WeakMap<object, CutState>();

  /** Counts one occasion and says whether the fault strikes at it. `connection` is any object that stands for the connection. */
  strikes(trigger: FaultTrigger | undefined, connection: object, defaultTimes = 1): boolean {
    if (trigger === undefined) return false;
    const count = this.#countOf(trigger, trigger.scope === "connection" ? connection : this);
    count.seen += 1;
    if (count.seen <= (trigger.after ?? 0) || count.struck >= (trigger.times ?? defaultTimes)) return false;
    if (trigger.chance !== undefined && count.random() >= trigger.chance) return false;
    count.struck += 1;
    return true;
  }

  /** {@link strikes} for a trigger that may be narrowed to one opcode: others are no occasions. */
  strikesOn(trigger: CommandTrigger | undefined, opcode: number | undefined, connection: object): boolean {
    if (trigger === undefined || (trigger.opcode !== undefined && trigger.opcode !== opcode)) return false;
    return this.strikes(trigger, connection);
  }

  /** How many of `bytes` pass; fewer than `bytes` means: cut there. `total` is what the connection has passed before. */
  passing(cut: number | ByteCut | undefined, bytes: number, connection: object, total: number): number {
    if (cut === undefined) return bytes;
    if (typeof cut === "number") return Math.max(0, Math.min(bytes, cut - total));
    const isEach = cut.scope === "connection";
    const state = this.#cutOf(cut);
    if (state.struck >= (cut.times ?? (isEach ? Number.POSITIVE_INFINITY : 1))) return bytes;
    const key = isEach ? connection : this;
    let passed = state.passed.get(key);
    if (passed === undefined) {
      passed = { seen: 0, limit: drawLimit(cut, state.random) };
      state.passed.set(key, passed);
    }
    const room = passed.limit - passed.seen;
    passed.seen += bytes;
    if (room >= bytes) return bytes;
    state.struck += 1;
    state.passed.delete(key);
    return Math.max(0, room);
  }

  #countOf(trigger: FaultTrigger, key: object): Count {
    let counts = this.#counts.get(trigger);
    if (counts === undefined) {
      counts = new WeakMap();
      this.#counts.set(trigger, counts);
    }
    let count = counts.get(key);
    if (count === undefined) {
      count = { seen: 0, struck: 0, random: seededRandom(trigger.seed ?? 1) };
      counts.set(key, count);
    }
    return count;
  }

  #cutOf(cut: ByteCut): CutState {
    let state = this.#cuts.get(cut);
    if (state === undefined) {
      const seed = typeof cut.after === "number" ? 1 : cut.after.seed;
      state = { struck: 0, random: seededRandom(seed), passed: new WeakMap() };
      this.#cuts.set(cut, state);
    }
    return state;
  }
}

function drawLimit(cut: ByteCut, random: () => number): number {
  if (typeof cut.after === "number") return cut.after;
  const { from, to } = cut.after;
  return from + Math.floor(random() * (to - from + 1));
}
