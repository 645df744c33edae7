// A figure: one JSON line on standard output. Everything for people goes to standard error.

/** Side by side: our value, the peer's, and the promise it is held against. */
export interface Figure {
  readonly figure: string;
  readonly unit: string;
  readonly ours: number;
  /** null when nothing else does the same. */
  readonly peer: number | null;
  readonly peerName: string | null;
  /** ours / peer. */
  readonly ratio: number | null;
  /** What the ratio, or `ours` where there is no peer, is held against; null: for information. */
  readonly bar: number | null;
  readonly stretch: number | null;
  readonly barIs: "at least" | "at most" | null;
  readonly met: boolean | null;
  readonly rssMiB: number;
  readonly cpuSeconds: number;
  readonly peerRssMiB: number | null;
  readonly peerCpuSeconds: number | null;
  readonly rounds: number;
}

/** One side of a figure over all rounds: a name, the value that is compared, and what it cost. */
export interface Side {
  readonly name: string;
  readonly value: number;
  readonly rssMiB: number;
  readonly cpuSeconds: number;
  readonly rounds: number;
}

export interface Bar {
  readonly bar: number;
  readonly stretch?: number;
  readonly barIs: "at least" | "at most";
}

/** @throws Error when a value is no number: such a figure would be a lie. */
export function figureOf(figure: string, unit: string, ours: Side, peer: Side | undefined, bar?: Bar): Figure {
  const ratio = peer === undefined ? null : ours.value / peer.value;
  for (const value of [ours.value, ours.rssMiB, ours.cpuSeconds, ratio ?? 0])
    if (!Number.isFinite(value)) throw new Error(`"${figure}" could not be measured: a value is ${value}`);
  const held = ratio ?? ours.value;
  return {
    figure,
    unit,
    ours: round(ours.value),
    peer: peer === undefined ? null : round(peer.value),
    peerName: peer?.name ?? null,
    ratio: ratio === null ? null : round(ratio),
    bar: bar?.bar ?? null,
    stretch: bar?.stretch ?? null,
    barIs: bar?.barIs ?? null,
    met: bar === undefined ? null : bar.barIs === "at least" ? held >= bar.bar : held <= bar.bar,
    rssMiB: round(ours.rssMiB),
    cpuSeconds: round(ours.cpuSeconds),
    peerRssMiB: peer === undefined ? null : round(peer.rssMiB),
    peerCpuSeconds: peer === undefined ? null : round(peer.cpuSeconds),
    rounds: ours.rounds,
  };
}

export function printFigure(figure: Figure): void {
  process.stdout.write(`${JSON.stringify(figure)}\n`);
}

/** Four significant digits: more would claim more than five rounds can know. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
