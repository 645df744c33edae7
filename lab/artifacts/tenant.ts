// The tenant: a small ext4 root with busybox as a qcow2 partition image, plus the kernel and ramdisk that boot it.
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, mkdir, open, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command.ts";
import { formatBytes, type Say } from "../say.ts";
import type { ArtifactCache } from "./cache.ts";
import { BUSYBOX } from "./initramfs.ts";
import type { Kernel } from "./kernel.ts";
import { modulesInLoadOrder } from "./kernel-modules.ts";

/** A disk image ready for upload, with what its bytes must be on the node's root partition. */
export interface DiskImage {
  readonly path: string;
  readonly format: "qcow2" | "raw";
  readonly sizeBytes: number;
  /** Length of the raw content. */
  readonly contentBytes: number;
  /** SHA-256 of the raw content. */
  readonly contentSha256: string;
  /** True for an image that --image gave: its init is not the lab's. */
  readonly isForeign: boolean;
}

const APPLETS =
  "cat chmod cut echo findfs head hostname insmod ip mkdir mount sed seq sh sha256sum sleep tail tr udhcpc".split(" ");
const FOLDERS = ["bin", "dev", "etc", "lib/modules", "proc", "root", "run", "sbin", "sys", "tmp"];
/** isofs reads the config drive; cdrom is what it depends on. */
const MODULES = ["isofs"];
const ROOT_MB = 200;
/** Random, so that neither qcow2 nor zero detection can spare the writing of it. */
const FILLER_MB = 150;

/** Builds the tenant's qcow2, about 160 MB, or takes it from the cache. */
export async function buildTenantImage(
  cache: ArtifactCache,
  kernel: Kernel,
  init: string,
  say: Say,
): Promise<DiskImage> {
  const busybox = await readFile(BUSYBOX);
  const inputs = ["tenant v1", String(ROOT_MB), String(FILLER_MB), kernel.image, init, ...APPLETS, busybox];
  const folder = await cache.folder("tenant", inputs, async (target) => {
    say.line(`tenant: building a ${ROOT_MB} MiB root file system with ${FILLER_MB} MiB of random data`);
    const root = join(target, "root");
    await fillRoot(root, kernel, init);
    const raw = join(target, "tenant.raw");
    // No journal: a read-only mount then has nothing to replay, and the partition stays as it was written.
    const features = ["-O", "^has_journal", "-m", "0", "-L", "tenant", "-E", "root_owner=0:0,lazy_itable_init=1"];
    await run("mke2fs", ["-q", "-t", "ext4", ...features, "-d", root, raw, `${ROOT_MB}M`]);
    await run("qemu-img", ["convert", "-O", "qcow2", raw, join(target, "tenant.qcow2")]);
    await writeFile(join(target, "content.json"), JSON.stringify(await contentOf(raw)));
    await rm(raw);
    await rm(root, { recursive: true });
  });
  return describe(join(folder, "tenant.qcow2"), join(folder, "content.json"), false);
}

/** An operator's own partition image: any file that `qemu-img` knows as qcow2 or raw. */
export async function prepareForeignImage(cache: ArtifactCache, path: string, say: Say): Promise<DiskImage> {
  const info = JSON.parse(await run("qemu-img", ["info", "--output=json", path])) as { format: string };
  const format = info.format === "qcow2" ? "qcow2" : "raw";
  const { size, mtimeMs, ino } = await stat(path);
  const folder = await cache.folder(
    "image",
    ["v1", path, String(size), String(mtimeMs), String(ino)],
    async (target) => {
      say.line(`image: hashing the raw content of ${path}`);
      const raw = join(target, "content.raw");
      await run("qemu-img", ["convert", "-f", format, "-O", "raw", path, raw], { deadlineMs: 600_000 });
      await writeFile(join(target, "content.json"), JSON.stringify(await contentOf(raw)));
      await rm(raw);
    },
  );
  return { ...(await describe(path, join(folder, "content.json"), true)), format };
}

async function describe(path: string, contentFile: string, isForeign: boolean): Promise<DiskImage> {
  const content = JSON.parse(await readFile(contentFile, "utf8")) as { contentBytes: number; contentSha256: string };
  return { path, format: "qcow2", sizeBytes: (await stat(path)).size, ...content, isForeign };
}

async function contentOf(raw: string): Promise<{ contentBytes: number; contentSha256: string }> {
  const hash = createHash("sha256");
  let contentBytes = 0;
  for await (const chunk of createReadStream(raw, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    contentBytes += (chunk as Buffer).length;
  }
  return { contentBytes, contentSha256: hash.digest("hex") };
}

async function fillRoot(root: string, kernel: Kernel, init: string): Promise<void> {
  for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true });
  await copyFile(BUSYBOX, join(root, "bin/busybox"));
  await chmod(join(root, "bin/busybox"), 0o755);
  for (const applet of APPLETS) await symlink("busybox", join(root, "bin", applet));
  await writeFile(join(root, "sbin/init"), init, { mode: 0o755 });
  await writeFile(join(root, "etc/lab-tenant"), "This root file system was built by the lab of nova-baremetal.\n");
  const modules = await modulesInLoadOrder(kernel.modulesFolder, MODULES);
  for (const module of modules) await copyFile(module.path, join(root, `lib/modules/${module.name}.ko`));
  await writeFile(join(root, "lib/modules/order"), modules.map((module) => `${module.name}\n`).join(""));
  const filler = await open(join(root, "filler"), "w");
  try {
    for (let mb = 0; mb < FILLER_MB; mb++) await filler.write(randomBytes(1 << 20));
  } finally {
    await filler.close();
  }
}

/** For the steps' words: name and size. */
export function describeImage(image: DiskImage): string {
  return `${formatBytes(image.sizeBytes)} ${image.format}, ${formatBytes(image.contentBytes)} of content`;
}
