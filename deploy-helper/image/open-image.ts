// Opens a partition image for deployment, or refuses it with the reason, before anything is written to a disk (S5).
import { open } from "node:fs/promises";
import { FILESYSTEM_HEAD_BYTES, type FilesystemIdentity, identifyFilesystem } from "../disk/filesystem-uuid.ts";
import { FORMAT_HEAD_BYTES, hasPartitionTable, recogniseFormat } from "./format.ts";
import { type ImageSource, readHead, unacceptable } from "./image-source.ts";
import { Qcow2Image } from "./qcow2.ts";
import { RawImage } from "./raw.ts";

/** An image that may be deployed, and the root file system that it holds. */
export interface DeployableImage {
  readonly source: ImageSource;
  readonly filesystem: FilesystemIdentity;
}

/**
 * Opens `path` as what its owner said it is: formats are never guessed, only checked against the file's first bytes.
 * The caller closes `source`.
 * @throws BaremetalError `ImageUnacceptable` if it is another format, or holds no whole ext, xfs or btrfs file system
 */
export async function openImage(path: string, format: "raw" | "qcow2"): Promise<DeployableImage> {
  const head = await fileHead(path);
  if (head.length === 0) throw unacceptable(path, "it is empty");
  const recognised = recogniseFormat(head);
  if (format === "raw" && recognised !== undefined) {
    throw unacceptable(path, `it was declared raw, but it is ${recognised}: give the image its true disk_format`);
  }
  if (format === "qcow2" && recognised !== "a qcow2 image") {
    throw unacceptable(path, `it was declared qcow2, but it is ${recognised ?? "something else"}`);
  }
  const source = format === "qcow2" ? await Qcow2Image.open(path) : await RawImage.open(path);
  try {
    return { source, filesystem: await identifyRoot(source, path) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function identifyRoot(source: ImageSource, path: string): Promise<FilesystemIdentity> {
  const head = await readHead(source, FILESYSTEM_HEAD_BYTES);
  const filesystem = identifyFilesystem(head);
  if (filesystem === undefined) {
    const hint = hasPartitionTable(head)
      ? "it holds a partition table: this driver needs an image of the root partition alone, with its kernel and ramdisk as images of their own"
      : `it is ${recogniseFormat(head) ?? "nothing known"}, and must be a file system with a UUID: ext2, ext3, ext4, xfs or btrfs`;
    throw unacceptable(path, hint);
  }
  if (filesystem.sizeBytes > source.virtualSizeBytes) {
    throw unacceptable(
      path,
      `its ${filesystem.type} has ${filesystem.sizeBytes} bytes, but the image only ${source.virtualSizeBytes}: it was cut off`,
    );
  }
  return filesystem;
}

async function fileHead(path: string): Promise<Buffer> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw unacceptable(path, "it cannot be opened; it must lie where this helper can read it", cause);
  });
  try {
    const buffer = Buffer.alloc(FORMAT_HEAD_BYTES);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
