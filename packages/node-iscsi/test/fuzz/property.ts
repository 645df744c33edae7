// What a fuzz property is, so that the same ones run for seconds in the tests and for minutes from scripts/fuzz.mjs.
import fc from "fast-check";
import { IscsiError } from "node-iscsi";

/** One property; `run` throws with all that is needed to replay it. */
export interface Property {
  readonly name: string;
  /** `effort` that takes some tenths of a second. */
  readonly effort: number;
  /** Resolves with the number of executions. The same seed makes the same choices. */
  run(seed: number, effort: number): Promise<number>;
}

/** A property without I/O: `check` throws when it does not hold for a value. */
export function pureProperty<T>(name: string, values: fc.Arbitrary<T>, check: (value: T) => void): Property {
  return {
    name,
    effort: 200,
    async run(seed, effort) {
      fc.assert(fc.property(values, check), { seed, numRuns: effort });
      return effort;
    },
  };
}

/** Runs `decode`; an error of this package is as good as a result. @throws everything else */
export function typedOnly(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof IscsiError)) throw error;
  }
}

interface Settlements {
  resolved: number;
  rejected: number;
  slowestMs: number;
}

/** How awaited promises ended, by property: a property of which nothing resolves says nothing about data. */
class SettlementCounts {
  readonly #counts = new Map<string, Settlements>();

  note(name: string, isResolved: boolean, elapsedMs: number): void {
    const counts = this.#counts.get(name) ?? { resolved: 0, rejected: 0, slowestMs: 0 };
    this.#counts.set(name, counts);
    if (isResolved) counts.resolved += 1;
    else counts.rejected += 1;
    counts.slowestMs = Math.max(counts.slowestMs, elapsedMs);
  }

  /** `120 promises, 75 % resolved, slowest 250 ms`; empty when there were none. */
  describe(name: string): string {
    const counts = this.#counts.get(name);
    if (counts === undefined) return "";
    const { resolved, rejected, slowestMs } = counts;
    const share = Math.round((100 * resolved) / (resolved + rejected));
    return `; ${resolved + rejected} promises, ${share} % resolved, slowest ${slowestMs.toFixed(0)} ms`;
  }
}

export const settlements = new SettlementCounts();

/** How a promise ended. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: IscsiError };

/** Waits for `promise`, which must settle within `limitMs`, with a value or an IscsiError. */
export async function settled<T>(
  name: string,
  what: string,
  limitMs: number,
  promise: Promise<T>,
): Promise<Outcome<T>> {
  const startedAt = performance.now();
  let isResolved = false;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not settle within ${limitMs} ms`)), limitMs);
  });
  try {
    const value = await Promise.race([promise, late]);
    isResolved = true;
    return { value };
  } catch (error) {
    if (error instanceof IscsiError) return { error };
    throw new Error(`${what} threw something that is no IscsiError: ${String(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    settlements.note(name, isResolved, performance.now() - startedAt);
  }
}
