// Ours and the peers by turns in the same run, so that a slow minute of the machine hits all of them; medians over the rounds.
import type { Side } from "./figure.ts";

/** What one run of one contender gave. */
export interface Sample {
  readonly value: number;
  readonly cpuSeconds: number;
  readonly rssMiB: number;
}

export interface Contender {
  readonly name: string;
  /** One complete run, checks included. @throws Error when it went wrong: then the whole benchmark is unsound. */
  run(): Promise<Sample>;
}

/** Runs every contender once a round, each round beginning with another one; resolves with their sides in the same order. */
export async function alternate(contenders: readonly Contender[], rounds: number, unit: string): Promise<Side[]> {
  const samples = contenders.map((): Sample[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const index = (turn + round) % contenders.length;
      const contender = contenders[index];
      if (contender === undefined) continue;
      const sample = await contender.run();
      samples[index]?.push(sample);
      process.stderr.write(
        `  round ${round + 1}: ${contender.name}: ${sample.value.toFixed(0)} ${unit}, ` +
          `${sample.cpuSeconds.toFixed(2)} CPU s, ${sample.rssMiB.toFixed(0)} MiB\n`,
      );
    }
  }
  return contenders.map(({ name }, index) => sideOf(name, samples[index] ?? []));
}

/** Medians; of the memory the highest, because a peak is a peak. */
function sideOf(name: string, samples: readonly Sample[]): Side {
  return {
    name,
    value: median(samples.map(({ value }) => value)),
    cpuSeconds: median(samples.map(({ cpuSeconds }) => cpuSeconds)),
    rssMiB: Math.max(...samples.map(({ rssMiB }) => rssMiB)),
    rounds: samples.length,
  };
}

/** The side that is best; the peer we have to beat is the strongest of the ways to use it. By default the highest value is. */
export function best(
  sides: readonly Side[],
  isBetter: (a: Side, b: Side) => boolean = (a, b) => a.value > b.value,
): Side {
  return sides.reduce((a, b) => (isBetter(b, a) ? b : a));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
}
