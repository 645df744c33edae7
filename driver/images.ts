// Images: the disk image in a cache by content, verified by checksum once; kernels and ramdisks under tftp_root.
import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { access, chmod, copyFile, link, mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ImageRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import { type PxePaths, TFTP_IMAGES, type TftpImage } from "./boot/pxelinux.ts";

/** Where images come from: the embedded store now, any Glance later. */
export interface ImageSource {
  get(id: string): Promise<ImageRecord | undefined>;
  /** A local file with the image's bytes, which is never changed in place; undefined if there is none. */
  path(id: string): string | undefined;
}

/** A disk image ready for the deploy helper. */
export interface CachedImage {
  readonly path: string;
  readonly format: "raw" | "qcow2";
  /** Of the file as stored, lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** The ids of the four boot images; a flavor's own deploy images come before the configured ones. */
export function bootImageIds(
  instance: {
    kernelId: string | null;
    ramdiskId: string | null;
    flavor: { extraSpecs: Readonly<Record<string, string>> };
  },
  defaults: { deployKernel: string | undefined; deployRamdisk: string | undefined },
): Record<TftpImage, string> {
  const specs = instance.flavor.extraSpecs;
  const ids: Record<TftpImage, string | null | undefined> = {
    kernel: instance.kernelId,
    ramdisk: instance.ramdiskId,
    deploy_kernel: specs["baremetal:deploy_kernel_id"] || defaults.deployKernel,
    deploy_ramdisk: specs["baremetal:deploy_ramdisk_id"] || defaults.deployRamdisk,
  };
  // Trap: an empty string is a missing id too (LP 1100589).
  const missing = TFTP_IMAGES.filter((name) => !ids[name]);
  if (missing.length > 0) {
    throw new BaremetalError(
      "BadInput",
      `the images ${missing.join(", ")} are not set: kernel_id and ramdisk_id are properties of the image, ` +
        "baremetal:deploy_kernel_id and baremetal:deploy_ramdisk_id are extra specs of the flavor (or deploy_kernel and deploy_ramdisk in nova.conf)",
      { data: { missing } },
    );
  }
  return ids as Record<TftpImage, string>;
}

/** The image cache of one compute host. */
export class ImageCache {
  readonly #root: string;
  readonly #source: ImageSource;
  readonly #inFlight = new Map<string, Promise<Omit<CachedImage, "format">>>();

  constructor(root: string, source: ImageSource) {
    this.#root = root;
    this.#source = source;
  }

  /** Brings a disk image into the cache; calls for one image share the work. @throws `NotFound`, `ImageUnacceptable` */
  async disk(id: string, signal?: AbortSignal): Promise<CachedImage> {
    const { record, file } = await this.#locate(id);
    if (record.diskFormat !== "raw" && record.diskFormat !== "qcow2" && record.diskFormat !== "ami") {
      throw unacceptable(
        id,
        `its disk_format is ${record.diskFormat ?? "not set"}; raw, ami and qcow2 can be deployed`,
      );
    }
    const format = record.diskFormat === "qcow2" ? "qcow2" : "raw";
    const key = record.sha256 ?? id;
    const running = this.#inFlight.get(key);
    if (running) {
      const shared = await running.catch(() => undefined);
      // The one who did the work may have called it off: that is no reason for this one to fail.
      return shared === undefined ? this.disk(id, signal) : { ...shared, format };
    }
    const work = this.#store(id, file, record, signal).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, work);
    return { ...(await work), format };
  }

  /** Copies the four boot images to their places under tftp_root, readable by any TFTP server. */
  async boot(ids: Record<TftpImage, string>, paths: PxePaths): Promise<void> {
    await mkdir(paths.directory, { recursive: true, mode: 0o755 });
    await Promise.all(
      TFTP_IMAGES.map(async (name) => {
        const { file } = await this.#locate(ids[name]);
        const part = `${paths.image[name]}.part`;
        await copyFile(file, part, constants.COPYFILE_FICLONE);
        await chmod(part, 0o644);
        await rename(part, paths.image[name]);
      }),
    );
  }

  /**
   * Removes images that nothing in `keep` (SHA-256) names and that nobody used since `before` (milliseconds since the epoch),
   * and what killed processes left half done. Returns how many files.
   */
  async prune(keep: ReadonlySet<string>, before: number): Promise<number> {
    let count = 0;
    for (const name of await readdir(this.#root).catch(() => [])) {
      const isOurs = /^[0-9a-f]{64}$|\.part$/.test(name);
      if (!isOurs || keep.has(name) || this.#inFlight.has(name)) continue;
      const path = join(this.#root, name);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined || found.ctimeMs > before) continue;
      await rm(path, { force: true });
      count += 1;
    }
    return count;
  }

  async #locate(id: string): Promise<{ record: ImageRecord; file: string }> {
    const record = await this.#source.get(id);
    if (!record)
      throw new BaremetalError("NotFound", `image ${id} could not be found`, { data: { kind: "image", id } });
    if (record.status !== "active")
      throw unacceptable(id, `its status is ${record.status}, not active: upload its data first`);
    const file = this.#source.path(id);
    if (file === undefined) throw unacceptable(id, "the image store has no data for it");
    await access(file, constants.R_OK).catch((cause: unknown) => {
      throw new BaremetalError("NotFound", `the data of image ${id} cannot be read`, {
        data: { kind: "image", id },
        cause,
      });
    });
    return { record, file };
  }

  async #store(
    id: string,
    file: string,
    record: ImageRecord,
    signal?: AbortSignal,
  ): Promise<Omit<CachedImage, "format">> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    if (record.sha256 !== null) {
      const path = join(this.#root, record.sha256);
      const known = await stat(path).catch(() => undefined);
      if (known) {
        await touch(path);
        return { path, sha256: record.sha256, sizeBytes: known.size };
      }
    }
    const part = join(this.#root, `${id}.${process.pid}.part`);
    await rm(part, { force: true });
    // A hard link costs nothing; on another file system it is a copy.
    await link(file, part).catch(() => copyFile(file, part, constants.COPYFILE_FICLONE));
    try {
      const hash = createHash("sha256");
      await pipeline(createReadStream(part, { highWaterMark: 1 << 20 }), hash, signal === undefined ? {} : { signal });
      const sha256 = hash.digest("hex");
      if (record.sha256 !== null && record.sha256 !== sha256) {
        throw unacceptable(
          id,
          `its data has SHA-256 ${sha256}, but ${record.sha256} was recorded at upload: upload it again`,
        );
      }
      const path = join(this.#root, sha256);
      await rename(part, path);
      return { path, sha256, sizeBytes: (await stat(path)).size };
    } finally {
      await rm(part, { force: true });
    }
  }
}

/** Notes a use: the time of the last change of the inode is what prune looks at. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}

function unacceptable(id: string, reason: string): BaremetalError {
  return new BaremetalError("ImageUnacceptable", `image ${id} cannot be deployed: ${reason}`, {
    data: { image: id, reason },
  });
}
