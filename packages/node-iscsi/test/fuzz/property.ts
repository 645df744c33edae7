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

/** Durations from call to settlement, by property. */
export class SettleTimes {
  readonly #slowest = new Map<string, number>();
  #count = 0;

  note(name: string, elapsedMs: number): void {
    this.#count += 1;
    this.#slowest.set(name, Math.max(elapsedMs, this.#slowest.get(name) ?? 0));
  }

  get count(): number {
    return this.#count;
  }

  get slowest(): ReadonlyMap<string, number> {
    return this.#slowest;
  }
}

export const settleTimes = new SettleTimes();

/** How a promise ended. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: IscsiError };

/** Waits for `promise`, which must settle within `limitMs`, with a value or an IscsiError. */
export async function settled<T>(name: string, what: string, limitMs: number, promise: Promise<T>): Promise<Outcome<T>> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not settle within ${limitMs} ms`)), limitMs);
  });
  try {
    return { value: await Promise.race([promise, late]) };
  } catch (error) {
    if (error instanceof IscsiError) return { error };
    throw new Error(`${what} threw something that is no IscsiError: ${String(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    settleTimes.note(name, performance.now() - startedAt);
  }
}
