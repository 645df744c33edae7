// The figures of issue 4, in groups that share their runs. Each group gives its figures or throws.
import { fileURLToPath } from "node:url";
import { type Figure, figureOf, type Side } from "../figure.ts";
import { measureProcess } from "../measured-process.ts";
import type { Group } from "../program.ts";
import { alternate, best, type Contender } from "../rounds.ts";
import { type Course, ipmipower, ipmitool, ours, runClient } from "./contenders.ts";
import { Farm, type FarmPlan } from "./farm.ts";

export interface Setting extends Course {
  readonly rounds: number;
  /** BMCs of the figures with a peer: 1,000. */
  readonly count: number;
  /** BMCs of the figures without: 10,000. */
  readonly manyCount: number;
  readonly idleSeconds: number;
  readonly plan: Omit<FarmPlan, "count">;
}

const PARALLEL = 256;
const PASSES = 5;
/** More, for sessions whose code the compiler is busy with over the first thousands, of a daemon's millions. */
const COLD_PASSES = 10;
const RATE = "BMCs/s";
const FANOUTS = [64, 256, 1000];
const OURS = "ipmi-js";
const WATCH = { intervalMs: 15_000, intervals: 3, maxInFlight: 256, lookDeadlineMs: 5000 };
/** A round takes two minutes and a half. */
const WATCH_ROUNDS = 2;
const WATCHER = fileURLToPath(new URL("watch.mjs", import.meta.url));

interface WatchResult {
  readonly age99Ms: number;
  readonly healthy: number;
  readonly looks: number;
}

async function withFarm<T>(plan: FarmPlan, use: (farm: Farm) => Promise<T>): Promise<T> {
  const farm = await Farm.start(plan);
  try {
    return await use(farm);
  } finally {
    await farm.stop();
  }
}

function kept(setting: Setting): Promise<Figure[]> {
  const { count, rounds } = setting;
  return withFarm({ ...setting.plan, count }, async (farm) => {
    const job = { task: "kept", count, parallel: PARALLEL, passes: PASSES } as const;
    // Its rate does not depend on how many there are: a third is enough to see it.
    const some = Math.ceil(count / 3);
    const contenders = [ours(`${OURS}, kept sessions`, setting, farm, job), ipmitool(setting, farm, some)];
    const [mine, peer] = (await alternate(contenders, rounds, RATE)) as [Side, Side];
    const bar = { bar: 50, stretch: 200, barIs: "at least" } as const;
    return [figureOf(`power status of ${count} BMCs, sessions kept`, RATE, mine, peer, bar)];
  });
}

function cold(setting: Setting): Promise<Figure[]> {
  const { count, rounds } = setting;
  return withFarm({ ...setting.plan, count }, async (farm) => {
    const job = { task: "cold", count, parallel: PARALLEL, passes: COLD_PASSES } as const;
    const contenders = [
      ours(`${OURS}, new sessions`, setting, farm, job),
      ...FANOUTS.map((fanout) => ipmipower(setting, farm, count, Math.min(fanout, count))),
    ];
    const [mine, ...peers] = (await alternate(contenders, rounds, RATE)) as [Side, ...Side[]];
    const bar = { bar: 1.5, stretch: 3, barIs: "at least" } as const;
    return [figureOf(`power status of ${count} BMCs, a new session each`, RATE, mine, best(peers), bar)];
  });
}

/** The whole process, start and log-out of every session included. */
function once(setting: Setting): Promise<Figure[]> {
  const { manyCount: count, rounds } = setting;
  return withFarm({ ...setting.plan, count }, async (farm) => {
    const run = async () => {
      const measured = await runClient(setting, farm, { task: "once", count, parallel: PARALLEL });
      return { ...measured, value: measured.wallSeconds };
    };
    const [side] = (await alternate([{ name: `${OURS}, once`, run }], rounds, "s")) as [Side];
    const what = `${count} BMCs seen once by one process`;
    return [
      figureOf(what, "s", side, undefined, { bar: 15, stretch: 5, barIs: "at most" }),
      figureOf(`${what}, peak memory`, "MiB", { ...side, value: side.rssMiB }, undefined, {
        bar: 400,
        stretch: 200,
        barIs: "at most",
      }),
    ];
  });
}

function idle(setting: Setting): Promise<Figure[]> {
  const { manyCount: count, idleSeconds } = setting;
  return withFarm({ ...setting.plan, count }, async (farm) => {
    const run = async () => {
      const before = await farm.counts();
      const job = { task: "idle", count, parallel: PARALLEL, idleSeconds } as const;
      const measured = await runClient(setting, farm, job);
      const after = await farm.counts();
      if (after.sessionsOpened - before.sessionsOpened !== count)
        throw new Error(
          `${after.sessionsOpened - before.sessionsOpened} sessions were opened for ${count} BMCs: some were not kept`,
        );
      const { cpuSeconds = Number.NaN, seconds } = measured.result;
      return { ...measured, cpuSeconds, value: (100 * cpuSeconds) / seconds };
    };
    const [side] = (await alternate([{ name: `${OURS}, idle`, run }], 1, "% of a core")) as [Side];
    const bar = { bar: 5, stretch: 1, barIs: "at most" } as const;
    return [figureOf(`${count} sessions kept and not used, CPU`, "% of a core", side, undefined, bar)];
  });
}

/**
 * The real schedule, with an interval so short that there is something to measure in a minute. Ages of a BMC that is well: 99% of the time it
 * was seen later than so long ago.
 */
async function ages(setting: Setting): Promise<Figure[]> {
  const { manyCount: count, plan } = setting;
  const faulty = { deadEvery: 20, lossyEvery: 20, dropRate: 0.3 };
  const contenderOf = (name: string, faults: typeof faulty | undefined): Contender => ({
    name,
    run: () =>
      withFarm({ ...plan, ...faults, count }, async () => {
        const job = { ...plan, ...faults, count, ...WATCH };
        const measured = await measureProcess(process.execPath, [WATCHER, JSON.stringify(job)], setting);
        const { age99Ms, healthy, looks } = JSON.parse(measured.stdout) as WatchResult;
        const expected = healthy * (WATCH.intervals - 1);
        if (looks < expected / 2)
          throw new Error(`only ${looks} looks at ${healthy} healthy BMCs: no ages can be told`);
        return { ...measured, value: age99Ms / 1000 };
      }),
  });
  const contenders = [contenderOf("5% dead, 5% lossy", faulty), contenderOf("all well", undefined)];
  const [mine, clean] = (await alternate(contenders, Math.min(setting.rounds, WATCH_ROUNDS), "s")) as [Side, Side];
  const what = `99th percentile age of the healthy of ${count} BMCs, seen every ${WATCH.intervalMs / 1000} s; 5% dead, 5% drop 30%`;
  return [figureOf(what, "s", mine, clean, { bar: 2, barIs: "at most" })];
}

/** How many commands the simulated rack answers in a second of its own CPU time: it must be able to do more than is asked of it. */
function simulator(setting: Setting): Promise<Figure[]> {
  const { count, rounds } = setting;
  return withFarm({ ...setting.plan, count }, async (farm) => {
    const run = async () => {
      const before = await farm.counts();
      await runClient(setting, farm, { task: "kept", count, parallel: PARALLEL, passes: PASSES });
      const after = await farm.counts();
      const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
      return { cpuSeconds, rssMiB: 0, value: (after.commands - before.commands) / cpuSeconds };
    };
    const [side] = (await alternate([{ name: "the simulated rack", run }], rounds, "commands/CPU s")) as [Side];
    return [
      figureOf("the simulated rack alone, sessions opened on the way", "commands per CPU second", side, undefined),
    ];
  });
}

export const GROUPS: readonly Group<Setting>[] = [
  { name: "kept", run: kept },
  { name: "cold", run: cold },
  { name: "once", run: once },
  { name: "idle", run: idle },
  { name: "ages", run: ages },
  { name: "simulator", run: simulator },
];
