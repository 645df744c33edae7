// Everything the rack boots, built or taken from the cache: kernel, deploy ramdisk, tenant ramdisk and disk image.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Say } from "../say.ts";
import { ArtifactCache } from "./cache.ts";
import { type InitramfsOptions, initramfsInputs, writeInitramfs } from "./initramfs.ts";
import { fetchKernel, type Kernel } from "./kernel.ts";
import { buildTenantImage, type DiskImage, prepareForeignImage } from "./tenant.ts";

export interface Artifacts {
  /** The kernel of both the deploy ramdisk and the tenant. */
  readonly kernelImage: string;
  readonly kernelRelease: string;
  readonly deployRamdisk: string;
  readonly tenantRamdisk: string;
  readonly image: DiskImage;
}

const DEPLOY_MODULES = [
  "virtio_pci",
  "virtio_net",
  "virtio_blk",
  "configfs",
  "target_core_mod",
  "target_core_iblock",
  "iscsi_target_mod",
];
const TENANT_MODULES = ["virtio_pci", "virtio_net", "virtio_blk"];

/**
 * Builds what is not in the cache yet.
 * @param imagePath a partition image of the operator's instead of the lab's tenant
 */
export async function buildArtifacts(cacheRoot: string, imagePath: string | undefined, say: Say): Promise<Artifacts> {
  const cache = new ArtifactCache(cacheRoot);
  const kernel = await fetchKernel(cache, cacheRoot, say);
  const deployRamdisk = await initramfs(cache, "deploy-ramdisk", {
    kernel,
    modules: DEPLOY_MODULES,
    init: await script("../ramdisk/deploy-init.sh"),
  });
  const tenantRamdisk = await initramfs(cache, "tenant-ramdisk", {
    kernel,
    modules: TENANT_MODULES,
    init: await script("../tenant/initramfs-init.sh"),
  });
  const image = await diskImage(cache, kernel, imagePath, say);
  return { kernelImage: kernel.image, kernelRelease: kernel.release, deployRamdisk, tenantRamdisk, image };
}

async function diskImage(cache: ArtifactCache, kernel: Kernel, imagePath: string | undefined, say: Say) {
  if (imagePath !== undefined) return prepareForeignImage(cache, imagePath, say);
  return buildTenantImage(cache, kernel, await script("../tenant/init.sh"), say);
}

async function initramfs(cache: ArtifactCache, name: string, options: InitramfsOptions): Promise<string> {
  const build = (folder: string) => writeInitramfs(join(folder, "ramdisk"), options);
  return join(await cache.folder(name, await initramfsInputs(options), build), "ramdisk");
}

function script(path: string): Promise<string> {
  return readFile(fileURLToPath(new URL(path, import.meta.url)), "utf8");
}
