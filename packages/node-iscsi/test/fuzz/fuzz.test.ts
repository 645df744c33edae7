// Every fuzz property once, for a moment each; FUZZ_SEED replays one seed, FUZZ_RUNS changes the number of runs (default 200).
// For minutes instead of seconds: `npm run fuzz`.
import { PROPERTIES } from "./round-robin.ts";

const share = Number(process.env.FUZZ_RUNS ?? 200) / 200;
const seed = process.env.FUZZ_SEED === undefined ? Date.now() & 0x7fffffff : Number(process.env.FUZZ_SEED);

describe(`fuzz with seed ${seed}`, () => {
  for (const property of PROPERTIES)
    it(property.name, async () => {
      await property.run(seed, Math.ceil(property.effort * share));
    });
});
