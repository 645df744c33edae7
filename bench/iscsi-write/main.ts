// `npm run bench -- iscsi-write`: node-iscsi beside what a user would pick instead, against tgtd over loopback with its disk in memory.
import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { Tgtd } from "../../packages/node-iscsi/test/interop/tgtd.ts";
import { ChildProgram } from "../child-program.ts";
import { pickGroups, readArguments, readCount, runGroups, runProgram, UsageError } from "../program.ts";
import type { Disk } from "./contenders.ts";
import { fillDisk, makeSource, sampleSumOf } from "./content.ts";
import { GROUPS } from "./groups.ts";

const SLOWEST_BYTES_PER_MS = 10_000;
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

function readOptions() {
  const { values } = readArguments(() =>
    parseArgs({
      options: {
        rounds: { type: "string", default: "5" },
        size: { type: "string", default: "2G" },
        only: { type: "string", default: GROUPS.map(({ name }) => name).join(",") },
        folder: { type: "string", default: "/dev/shm" },
      },
    }),
  );
  const rounds = readCount("--rounds", values.rounds);
  const size = /^(\d+)([MG])$/.exec(values.size);
  const sizeBytes = Number(size?.[1]) * (size?.[2] === "G" ? 1024 ** 3 : 1024 ** 2);
  if (size === null || sizeBytes < 64 * 1024 ** 2)
    throw new UsageError(`--size ${values.size}: say 64M or more, or 2G`);
  return { rounds, sizeBytes, groups: pickGroups(GROUPS, values.only), parent: values.folder };
}

/** Source and disk must fit in memory twice over: on a real disk the figures would be the disk's. */
async function expectRoom(folder: string, sizeBytes: number): Promise<void> {
  const TMPFS_MAGIC = 0x01021994;
  const { type, bavail, bsize } = await statfs(folder);
  if (type !== TMPFS_MAGIC) throw new UsageError(`--folder ${folder} is not on tmpfs: the figures would be a disk's`);
  const room = bavail * bsize;
  if (room < 2.1 * sizeBytes)
    throw new UsageError(
      `${folder} has room for ${(room / 1024 ** 2).toFixed(0)} MiB and this takes twice --size: mount a larger tmpfs and name it with --folder`,
    );
}

async function compileLibiscsiProgram(folder: string): Promise<string> {
  const program = join(folder, "libiscsi-write");
  await promisify(execFile)("gcc", ["-O2", "-Wall", "-o", program, here("libiscsi-write.c"), "-liscsi"]);
  return program;
}

/** Our own target as a process of its own. */
async function startOwnTarget(sizeBytes: number, path?: string): Promise<{ disk: Disk; stop(): Promise<void> }> {
  const plan = { sizeBytes, path };
  const { program, first } = await ChildProgram.start<{ port: number }>("our own target", here("own-target.mjs"), plan);
  return {
    disk: { port: first.port, targetName: "iqn.2026-11.test:own", lun: 1, path },
    stop: () => program.stop(),
  };
}

async function offerDigests(tgtd: Tgtd): Promise<void> {
  const update = ["--lld", "iscsi", "--op", "update", "--mode", "target", "--tid", "1"];
  for (const name of ["HeaderDigest", "DataDigest"])
    await tgtd.admin(...update, "--name", name, "--value", "None,CRC32C");
}

async function main(signal: AbortSignal): Promise<string[]> {
  const { rounds, sizeBytes, groups, parent } = readOptions();
  await expectRoom(parent, sizeBytes);
  const folder = await mkdtemp(join(parent, "bench-"));
  const toStop: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const tools = await mkdtemp(join(tmpdir(), "bench-"));
    toStop.push(() => rm(tools, { recursive: true, force: true }));
    const libiscsiProgram = await compileLibiscsiProgram(tools);
    const tgtd = await Tgtd.start({ sizeBytes, directory: folder });
    toStop.push(() => tgtd.stop());
    const nullTarget = await startOwnTarget(sizeBytes);
    toStop.push(() => nullTarget.stop());
    const ownTarget = await startOwnTarget(sizeBytes, tgtd.backingPath);
    toStop.push(() => ownTarget.stop());
    const disk = { port: tgtd.port, targetName: tgtd.targetName, lun: 1, path: tgtd.backingPath };
    const sourcePath = join(folder, "source");
    await makeSource(sourcePath, sizeBytes);
    await fillDisk(tgtd.backingPath, sizeBytes);
    return await runGroups(groups, {
      folder,
      sourcePath,
      sourceSampleSum: await sampleSumOf(sourcePath, sizeBytes),
      sizeBytes,
      rounds,
      deadlineMs: 60_000 + sizeBytes / SLOWEST_BYTES_PER_MS,
      signal,
      disk: { ...disk, renew: () => tgtd.restart() },
      oneTargetDisk: disk,
      digestingDisk: { ...disk, renew: () => tgtd.restart().then(() => offerDigests(tgtd)) },
      ownDisk: ownTarget.disk,
      nullDisk: nullTarget.disk,
      libiscsiProgram,
    });
  } finally {
    for (const stop of toStop.reverse()) await stop();
  }
}

await runProgram(main);
