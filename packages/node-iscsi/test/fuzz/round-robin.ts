// All fuzz properties, and their long form: round and round with fresh seeds until the time is over (scripts/fuzz.mjs).
import { FRAMER_PROPERTIES } from "./framer-properties.ts";
import { LOGIN_PROPERTIES } from "./login-properties.ts";
import { PDU_PROPERTIES } from "./pdu-properties.ts";
import { type Property, settlements } from "./property.ts";
import { SCSI_PROPERTIES } from "./scsi-properties.ts";
import { SESSION_PROPERTIES } from "./session-properties.ts";
import { TEXT_PROPERTIES } from "./text-properties.ts";
import { UNIT_PROPERTIES } from "./unit-properties.ts";

export const PROPERTIES: readonly Property[] = [
  ...PDU_PROPERTIES,
  ...SCSI_PROPERTIES,
  ...TEXT_PROPERTIES,
  ...UNIT_PROPERTIES,
  ...FRAMER_PROPERTIES,
  ...LOGIN_PROPERTIES,
  ...SESSION_PROPERTIES,
];

/** Live memory may differ by this much between the first minute and the end. */
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;
const WARM_UP_MS = 60_000;

/** What to run and whom to tell. */
export interface RoundRobinOptions {
  readonly minutes: number;
  readonly firstSeed: number;
  /** Only properties whose name includes this. */
  readonly only: string | undefined;
  /** Called before each property: who hears nothing for long knows what hangs. */
  onStart(name: string, seed: number): void;
  say(line: string): void;
}

/** Bytes in use after a garbage collection; node must run with --expose-gc. */
function liveBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Collects what escapes into the event loop, where no promise of ours sees it. */
class Escapes {
  readonly #caught: unknown[] = [];
  readonly #note = (error: unknown) => {
    this.#caught.push(error);
  };

  constructor() {
    process.on("uncaughtException", this.#note);
    process.on("unhandledRejection", this.#note);
  }

  /** Errors since the last call. */
  take(): unknown[] {
    return this.#caught.splice(0);
  }
}

/** Resolves with the number of failures. Every failure is told with the seed that repeats it. */
export async function roundRobin({ minutes, firstSeed, only, onStart, say }: RoundRobinOptions): Promise<number> {
  const properties = PROPERTIES.filter(({ name }) => only === undefined || name.includes(only));
  const escapes = new Escapes();
  const executions = new Map<string, number>();
  const startedAt = performance.now();
  const endsAt = startedAt + minutes * 60_000;
  let failures = 0;
  let warmBytes: number | undefined;
  const fail = (name: string, seed: number, error: unknown) => {
    failures += 1;
    say(`FAILED ${name}\n  repeat: FUZZ_SEED=${seed} FUZZ_ONLY='${name}' npm run fuzz\n  ${text(error)}`);
  };
  for (let seed = firstSeed; seed === firstSeed || performance.now() < endsAt; seed += 1000) {
    for (const property of properties) {
      if (seed > firstSeed && performance.now() >= endsAt) break;
      onStart(property.name, seed);
      try {
        const count = await property.run(seed, property.effort);
        executions.set(property.name, count + (executions.get(property.name) ?? 0));
      } catch (error) {
        fail(property.name, seed, error);
      }
      for (const error of escapes.take()) fail(property.name, seed, error);
    }
    if (warmBytes === undefined && performance.now() - startedAt > WARM_UP_MS) warmBytes = liveBytes();
  }
  const grownBytes = warmBytes === undefined ? 0 : liveBytes() - warmBytes;
  if (grownBytes > MAX_GROWTH_BYTES)
    fail("memory", firstSeed, new Error(`${grownBytes} bytes more than after a minute`));
  for (const [name, count] of executions) say(`${String(count).padStart(9)}  ${name}${settlements.describe(name)}`);
  const total = [...executions.values()].reduce((sum, count) => sum + count, 0);
  say(`${total} executions, ${failures} failures, ${(grownBytes / 1024 ** 2).toFixed(1)} MiB grown`);
  return failures;
}

function text(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\n  caused by ${text(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
