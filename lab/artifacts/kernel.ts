// Debian's cloud kernel for the machines: downloaded and unpacked, never installed on this host.
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { BaremetalError } from "../../lib/errors.ts";
import { run } from "../command.ts";
import type { Say } from "../say.ts";
import type { ArtifactCache } from "./cache.ts";

export interface Kernel {
  /** `6.1.0-56-cloud-amd64`. */
  readonly release: string;
  readonly image: string;
  /** `lib/modules/<release>/kernel`. */
  readonly modulesFolder: string;
}

const META_PACKAGE = "linux-image-cloud-amd64";

/** The newest cloud kernel that apt knows; the cached one if apt cannot be asked (no network, no lists). */
export async function fetchKernel(cache: ArtifactCache, cacheRoot: string, say: Say): Promise<Kernel> {
  let folder: string;
  try {
    const { name, version } = await newestPackage(say);
    folder = await cache.folder("kernel", ["v1", name, version], async (target) => {
      say.line(`kernel: downloading ${name} ${version} and unpacking it (it is not installed)`);
      await unpack(`${name}=${version}`, target);
    });
  } catch (error) {
    const cached = (await readdir(cacheRoot).catch(() => [])).filter((entry) => entry.startsWith("kernel-")).sort();
    const last = cached.at(-1);
    if (last === undefined) throw error;
    say.line(`kernel: apt cannot be asked (${error instanceof Error ? error.message : String(error)}); using ${last}`);
    folder = join(cacheRoot, last);
  }
  const release = (await readdir(join(folder, "lib/modules")))[0];
  if (release === undefined) throw new BaremetalError("Internal", `${folder} holds no kernel modules: delete it`);
  return {
    release,
    image: join(folder, `boot/vmlinuz-${release}`),
    modulesFolder: join(folder, "lib/modules", release, "kernel"),
  };
}

async function newestPackage(say: Say): Promise<{ name: string; version: string }> {
  const known = await lookUp();
  if (known) return known;
  say.line("kernel: apt has no package lists; running apt-get update once");
  await run("apt-get", ["update", "-q"], { deadlineMs: 180_000 });
  const now = await lookUp();
  if (now) return now;
  throw new BaremetalError(
    "NotFound",
    `apt knows no ${META_PACKAGE}: the lab needs Debian 12 (or newer) sources in apt`,
    {
      data: { kind: "package", id: META_PACKAGE },
    },
  );
}

/** The package that the meta package depends on today, and its candidate version. */
async function lookUp(): Promise<{ name: string; version: string } | undefined> {
  const depends = await run("apt-cache", ["depends", META_PACKAGE]).catch(() => "");
  const name = /Depends: (linux-image-\S+-cloud-amd64)/.exec(depends)?.[1];
  if (name === undefined) return undefined;
  const version = /Candidate: (\S+)/.exec(await run("apt-cache", ["policy", name]))?.[1];
  return version === undefined || version === "(none)" ? undefined : { name, version };
}

async function unpack(packageAndVersion: string, target: string): Promise<void> {
  const download = join(target, "download");
  await mkdir(download);
  const asWhoever = ["-o", "APT::Sandbox::User="];
  await run("apt-get", [...asWhoever, "download", "-q", packageAndVersion], { cwd: download, deadlineMs: 300_000 });
  const file = (await readdir(download)).find((entry) => entry.endsWith(".deb"));
  if (file === undefined)
    throw new BaremetalError("Internal", `apt-get download ${packageAndVersion} left no .deb file`);
  await run("dpkg-deb", ["-x", join(download, file), join(target, "root")]);
  for (const entry of ["boot", "lib"]) await rename(join(target, "root", entry), join(target, entry));
  for (const entry of ["root", "download"]) await rm(join(target, entry), { recursive: true });
}
