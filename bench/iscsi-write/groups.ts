// The figures of issue 3, in groups that share their runs. Each group gives its figures or throws.

import { BULK_COMMANDS_IN_FLIGHT, MAX_COMMAND_BYTES } from "../../packages/node-iscsi/src/transfer-shape.ts";
import { type Figure, figureOf, type Side } from "../figure.ts";
import type { Group } from "../program.ts";
import { alternate, best } from "../rounds.ts";
import {
  type Course,
  checkOurRead,
  type Disk,
  libiscsiRandomWrite,
  ourRandomWrite,
  ourRead,
  ourWrite,
  qemuBenchRead,
  qemuRead,
  qemuWrite,
  type Shape,
} from "./contenders.ts";
import { copyToDisk } from "./content.ts";

interface Setting extends Course {
  readonly rounds: number;
  /** Behind a tgtd that is new for each run. */
  readonly disk: Disk;
  /** Behind the tgtd that is there, which keeps what the runs before have made of its heap. */
  readonly oneTargetDisk: Disk;
  /** As `disk`, behind a tgtd that agrees to digests: with them on offer qemu-img would take them too. */
  readonly digestingDisk: Disk;
  /** The same file behind our own target. */
  readonly ownDisk: Disk;
  /** Behind our own target too, which keeps nothing of it. */
  readonly nullDisk: Disk;
  readonly libiscsiProgram: string;
}

const MIB = 1024 * 1024;
/** The shape of the streams. qemu-img convert has 8 requests of up to 2 MiB in flight. */
const ONE: Shape = { sessions: 1, depth: BULK_COMMANDS_IN_FLIGHT, chunkBytes: MAX_COMMAND_BYTES };
/** Thirty-two nodes at once: together they keep the target busy with one write each. */
const MANY: Shape = { sessions: 32, depth: 1, chunkBytes: MAX_COMMAND_BYTES };
const SPEED = "MB/s";
const OURS = "node-iscsi";
/** One small write per 16 KiB of disk: 131,072 for 2 GiB. */
const BYTES_PER_RANDOM_WRITE = 16 * 1024;

async function sequentialWrite(setting: Setting): Promise<Figure[]> {
  const { disk, rounds } = setting;
  const contenders = [
    ourWrite(OURS, setting, disk, ONE),
    qemuWrite(setting, disk, []),
    qemuWrite(setting, disk, ["-W", "-m", "8"]),
  ];
  const [ours, plain, tuned] = (await alternate(contenders, rounds, SPEED)) as [Side, Side, Side];
  const byCpu = (side: Side): Side => ({ ...side, value: side.cpuSeconds });
  const frugal = best([byCpu(plain), byCpu(tuned)], (a, b) => a.value < b.value);
  const work = "dense sequential write";
  return [
    figureOf(work, SPEED, ours, plain, { bar: 2, stretch: 3, barIs: "at least" }),
    figureOf(`${work}, peer at its best`, SPEED, ours, tuned, { bar: 1.1, stretch: 1.5, barIs: "at least" }),
    figureOf(`${work}, CPU time`, "s", byCpu(ours), frugal, { bar: 0.7, stretch: 0.5, barIs: "at most" }),
  ];
}

async function sequentialRead(setting: Setting): Promise<Figure[]> {
  const { disk, oneTargetDisk, rounds } = setting;
  if (disk.path !== undefined) await copyToDisk(disk.path, setting.sourcePath, setting.sizeBytes);
  await checkOurRead(setting, disk, ONE);
  const contenders = (from: Disk) => [
    ourRead(OURS, setting, from, ONE),
    qemuRead(setting, from, []),
    qemuRead(setting, from, ["-W", "-m", "8"]),
    qemuBenchRead(setting, from, 8, MIB),
  ];
  type Sides = [ours: Side, plain: Side, tuned: Side, bench: Side];
  const [ours, plain, tuned, bench] = (await alternate(contenders(disk), rounds, SPEED)) as Sides;
  const shared = (await alternate(contenders(oneTargetDisk), rounds, SPEED)) as Sides;
  const work = "sequential read";
  const bar = { bar: 1.1, stretch: 2, barIs: "at least" } as const;
  return [
    figureOf(`${work}, peer converts to null`, SPEED, ours, best([plain, tuned]), bar),
    figureOf(`${work}, peer reads and does nothing else`, SPEED, ours, bench),
    // Here the peers read from a tgtd that node-iscsi has made twice as fast (block-limits.ts): the initiators alone, side by side.
    figureOf(`${work}, one target for all runs, peer converts to null`, SPEED, shared[0], best([shared[1], shared[2]])),
  ];
}

async function randomWrite(setting: Setting): Promise<Figure[]> {
  const { disk, rounds, libiscsiProgram } = setting;
  const count = Math.max(1000, Math.floor(setting.sizeBytes / BYTES_PER_RANDOM_WRITE));
  const contenders = [ourRandomWrite(setting, disk, count), libiscsiRandomWrite(setting, disk, count, libiscsiProgram)];
  const [ours, peer] = (await alternate(contenders, rounds, "IOPS")) as [Side, Side];
  const bar = { bar: 0.5, stretch: 1, barIs: "at least" } as const;
  return [figureOf("4 KiB random write, queue depth 32", "IOPS", ours, peer, bar)];
}

/**
 * The bar is held against our own target. tgtd computes CRC32C byte by byte on its one network thread, so what it reaches with digests
 * is its own speed, whoever writes to it; that figure is for information.
 */
async function digests(setting: Setting): Promise<Figure[]> {
  const { digestingDisk, ownDisk, rounds } = setting;
  const digesting: Shape = { ...ONE, digests: true };
  const contenders = [
    ourWrite("our target, with digests", setting, ownDisk, digesting),
    ourWrite("our target, no digests", setting, ownDisk, ONE),
    ourWrite("tgtd, with digests", setting, digestingDisk, digesting),
    ourWrite("tgtd, no digests", setting, digestingDisk, ONE),
  ];
  const sides = await alternate(contenders, rounds, SPEED);
  const [own, ownWithout, tgtd, tgtdWithout] = sides as [Side, Side, Side, Side];
  const work = "dense sequential write with header and data digests";
  const bar = { bar: 0.6, stretch: 0.8, barIs: "at least" } as const;
  return [
    figureOf(`${work}, our own target`, SPEED, own, ownWithout, bar),
    figureOf(`${work}, tgtd`, SPEED, tgtd, tgtdWithout),
  ];
}

async function manySessions(setting: Setting): Promise<Figure[]> {
  const { disk, rounds } = setting;
  const contenders = [
    ourWrite(`${OURS}, ${MANY.sessions} sessions`, setting, disk, MANY),
    ourWrite(`${OURS}, one session`, setting, disk, ONE),
  ];
  const [many, one] = (await alternate(contenders, rounds, SPEED)) as [Side, Side];
  const what = `${MANY.sessions} sessions in one process`;
  return [
    figureOf(`${what}, sum of write speeds`, SPEED, many, one, { bar: 1, barIs: "at least" }),
    figureOf(`${what}, peak memory`, "MiB", { ...many, value: many.rssMiB }, undefined, { bar: 300, barIs: "at most" }),
  ];
}

async function ceiling(setting: Setting): Promise<Figure[]> {
  const { nullDisk, rounds } = setting;
  const contenders = [ourWrite("write", setting, nullDisk, ONE), ourRead("read", setting, nullDisk, ONE)];
  const [written, wasRead] = (await alternate(contenders, rounds, SPEED)) as [Side, Side];
  return [
    figureOf("ceiling: sequential write to a target that keeps nothing", SPEED, written, undefined),
    figureOf("ceiling: sequential read from a target that keeps nothing", SPEED, wasRead, undefined),
  ];
}

export const GROUPS: readonly Group<Setting>[] = [
  { name: "write", run: sequentialWrite },
  { name: "read", run: sequentialRead },
  { name: "random-write", run: randomWrite },
  { name: "digests", run: digests },
  { name: "sessions", run: manySessions },
  { name: "ceiling", run: ceiling },
];
