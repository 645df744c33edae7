// An initramfs from busybox, kernel modules and one init script, gzipped.
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { CpioWriter } from "./cpio.ts";
import type { Kernel } from "./kernel.ts";
import { modulesInLoadOrder } from "./kernel-modules.ts";

/** Debian's busybox-static. */
export const BUSYBOX = "/bin/busybox";

const FOLDERS = ["bin", "dev", "etc", "lib", "lib/modules", "mnt", "proc", "run", "sys", "tmp"];

/** Every busybox command that the scripts use. A command that is not listed does not exist in the ramdisk. */
const APPLETS =
  "awk cat chmod chroot cut date dmesg echo findfs grep head hostname insmod ip ln ls mkdir mkfifo mount nc od poweroff printf reboot rm sed seq setsid sh sleep sync tail test tr udhcpc umount uname wget switch_root".split(
    " ",
  );

export interface InitramfsOptions {
  readonly kernel: Kernel;
  /** Modules to load at boot; what they depend on is found. */
  readonly modules: readonly string[];
  /** Text of /init. */
  readonly init: string;
  /** More executable scripts: path in the ramdisk -> text. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Everything that makes one initramfs differ from another, for the cache's key. */
export async function initramfsInputs(options: InitramfsOptions): Promise<(string | Buffer)[]> {
  const scripts = Object.entries(options.scripts ?? {}).flat();
  const own = [...FOLDERS, ...APPLETS, ...options.modules, options.init, ...scripts];
  return ["initramfs v1", options.kernel.image, ...own, await readFile(BUSYBOX)];
}

/** Builds the archive and writes it to `path`, gzip level 9. */
export async function writeInitramfs(path: string, options: InitramfsOptions): Promise<void> {
  const archive = new CpioWriter();
  for (const folder of FOLDERS) archive.folder(folder);
  // The kernel opens /dev/console before anything can mount devtmpfs: without it init would have no output.
  archive.characterDevice("dev/console", 5, 1);
  archive.file("bin/busybox", await readFile(BUSYBOX), 0o755);
  for (const applet of APPLETS) archive.link(`bin/${applet}`, "busybox");
  const modules = await modulesInLoadOrder(options.kernel.modulesFolder, options.modules);
  for (const module of modules) archive.file(`lib/modules/${module.name}.ko`, await readFile(module.path));
  archive.file("lib/modules/order", modules.map((module) => `${module.name}\n`).join(""));
  for (const [name, text] of Object.entries(options.scripts ?? {})) archive.file(name, text, 0o755);
  archive.file("init", options.init, 0o755);
  await writeFile(path, await promisify(gzip)(archive.toBuffer(), { level: 9 }));
}
