// Who takes part in the iSCSI figures: node-iscsi in a process of its own, qemu-img, and the C program over libiscsi.
import { fileURLToPath } from "node:url";
import { measureProcess } from "../measured-process.ts";
import type { Contender } from "../rounds.ts";
import { expectRandomWrites, expectSameContent, fillDisk } from "./content.ts";

/** What all runs share. */
export interface Course {
  /** On tmpfs. */
  readonly folder: string;
  readonly sourcePath: string;
  readonly sourceSampleSum: number;
  readonly sizeBytes: number;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** A disk behind iSCSI. `path` is the file that holds it; undefined when nothing does. */
export interface Disk {
  /** Before each run: a new target process, when what a contender leaves in the old one would be the next one's gift or burden. */
  readonly renew?: () => Promise<void>;
  readonly port: number;
  readonly targetName: string;
  readonly lun: number;
  readonly path: string | undefined;
}

/** How our side goes about it. */
export interface Shape {
  readonly sessions: number;
  /** Calls in flight per session. */
  readonly depth: number;
  readonly chunkBytes: number;
  readonly digests?: boolean;
}

export const RANDOM_WRITE_DEPTH = 32;
const MEGABYTE = 1e6;
const CLIENT = fileURLToPath(new URL("client.mjs", import.meta.url));

interface ClientResult {
  readonly seconds: number;
  readonly sampleSum?: number;
}

async function runClient(course: Course, disk: Disk, shape: Shape, job: Record<string, unknown>) {
  const whole = { address: "127.0.0.1", ...disk, path: undefined, ...shape, sizeBytes: course.sizeBytes, ...job };
  const measured = await measureProcess(process.execPath, [CLIENT, JSON.stringify(whole)], course);
  return { ...measured, result: JSON.parse(measured.stdout) as ClientResult };
}

function megabytesPerSecond(course: Course, wallSeconds: number): number {
  return course.sizeBytes / MEGABYTE / wallSeconds;
}

/** Makes a run of `work` that starts from a filled disk and ends in a check that the whole source is on it. */
function writing(course: Course, disk: Disk, work: () => ReturnType<typeof measureProcess>): Contender["run"] {
  return async () => {
    if (disk.path !== undefined) await fillDisk(disk.path, course.sizeBytes);
    await disk.renew?.();
    const measured = await work();
    if (disk.path !== undefined) await expectSameContent(disk.path, course.sourcePath, course.sizeBytes);
    return { ...measured, value: megabytesPerSecond(course, measured.wallSeconds) };
  };
}

/** node-iscsi writes the source file to the disk. */
export function ourWrite(name: string, course: Course, disk: Disk, shape: Shape): Contender {
  const job = { task: "write", source: course.sourcePath };
  return { name, run: writing(course, disk, () => runClient(course, disk, shape, job)) };
}

/** qemu-img writes the source file to the disk. */
export function qemuWrite(course: Course, disk: Disk, flags: readonly string[]): Contender {
  const args = ["convert", "-n", ...flags, "-O", "raw", course.sourcePath, urlOf(disk)];
  return {
    name: ["qemu-img convert", ...flags].join(" "),
    run: writing(course, disk, () => measureProcess("qemu-img", args, course)),
  };
}

/** node-iscsi reads the disk, which holds the source, to nowhere. */
export function ourRead(name: string, course: Course, disk: Disk, shape: Shape): Contender {
  return {
    name,
    run: async () => {
      await disk.renew?.();
      const measured = await runClient(course, disk, shape, { task: "read" });
      if (disk.path !== undefined && measured.result.sampleSum !== course.sourceSampleSum)
        throw new Error("what node-iscsi read is not what is on the disk");
      return { ...measured, value: megabytesPerSecond(course, measured.wallSeconds) };
    },
  };
}

/** Reads the disk as {@link ourRead} does, and compares every byte with the source: not timed. */
export async function checkOurRead(course: Course, disk: Disk, shape: Shape): Promise<void> {
  await runClient(course, disk, shape, { task: "read", source: course.sourcePath });
}

/** qemu-img reads the disk to its null device. */
export function qemuRead(course: Course, disk: Disk, flags: readonly string[]): Contender {
  const sink = `driver=null-co,size=${course.sizeBytes}`;
  const args = ["convert", "-n", ...flags, "-f", "raw", "--target-image-opts", urlOf(disk), sink];
  return reading(course, disk, ["qemu-img convert", ...flags].join(" "), args);
}

/** qemu-img's own benchmark reads the disk: nothing but reads, so many in flight. */
export function qemuBenchRead(course: Course, disk: Disk, depth: number, bytes: number): Contender {
  const count = Math.ceil(course.sizeBytes / bytes);
  const args = ["bench", "-f", "raw", "-c", `${count}`, "-d", `${depth}`, "-s", `${bytes}`, urlOf(disk)];
  return reading(course, disk, `qemu-img bench -d ${depth} -s ${bytes / 1024}K`, args);
}

function reading(course: Course, disk: Disk, name: string, args: readonly string[]): Contender {
  return {
    name,
    run: async () => {
      await disk.renew?.();
      const measured = await measureProcess("qemu-img", args, course);
      return { ...measured, value: megabytesPerSecond(course, measured.wallSeconds) };
    },
  };
}

/** Small writes all over the disk. Both sides count from the first command to the last answer, and write the same places. */
export function ourRandomWrite(course: Course, disk: Disk, count: number): Contender {
  return {
    name: "node-iscsi",
    run: randomWriting(course, disk, count, async (seed) => {
      const shape = { sessions: 1, depth: RANDOM_WRITE_DEPTH, chunkBytes: course.sizeBytes };
      return runClient(course, disk, shape, { task: "random-write", count, seed });
    }),
  };
}

export function libiscsiRandomWrite(course: Course, disk: Disk, count: number, program: string): Contender {
  return {
    name: "libiscsi, a C program",
    run: randomWriting(course, disk, count, async (seed) => {
      const numbers = [disk.lun, count, RANDOM_WRITE_DEPTH, seed].map(String);
      const measured = await measureProcess(program, [`127.0.0.1:${disk.port}`, disk.targetName, ...numbers], course);
      return { ...measured, result: JSON.parse(measured.stdout) as ClientResult };
    }),
  };
}

function randomWriting(
  course: Course,
  disk: Disk,
  count: number,
  work: (seed: number) => ReturnType<typeof runClient>,
): Contender["run"] {
  let seed = 0;
  return async () => {
    seed += 1;
    if (disk.path !== undefined) await fillDisk(disk.path, course.sizeBytes);
    await disk.renew?.();
    const measured = await work(seed);
    if (disk.path !== undefined) await expectRandomWrites(disk.path, course.sizeBytes, count, seed);
    return { ...measured, value: count / measured.result.seconds };
  };
}

function urlOf(disk: Disk): string {
  return `iscsi://127.0.0.1:${disk.port}/${disk.targetName}/${disk.lun}`;
}
