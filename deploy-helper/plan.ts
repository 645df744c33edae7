// What a deployment will do to a disk, decided from its row, its image and the disk's size before a byte is written.
import { readFile } from "node:fs/promises";
import type { DeploymentRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import {
  type BlockDevice,
  decodeMbr,
  encodeIso,
  MIB,
  type Partition,
  parseExtFormat,
  planPartitions,
} from "./disk/index.ts";
import { type DeployableImage, openImage, unacceptable } from "./image/index.ts";

/** All that is read or decided before the first write. The caller closes `image.source`. */
export interface Plan {
  readonly image: DeployableImage;
  /** Bytes of the image that are not known to be zero. */
  readonly imageDataBytes: number;
  readonly partitions: readonly Partition[];
  /** The config drive's file system. */
  readonly configDrive: Buffer | undefined;
  readonly ephemeralFormat: "ext2" | "ext3" | "ext4";
  /** Kept when the ephemeral partition is kept: PARTUUIDs hang on it. */
  readonly diskSignature: number | undefined;
}

export interface PlanOptions {
  readonly defaultEphemeralFormat: string | null;
  /** Milliseconds since the epoch: the time in the config drive. */
  readonly now: number;
  readonly signal: AbortSignal;
}

/** @throws BaremetalError `ImageUnacceptable`, or `BadInput` if the disk is too small or the row says what cannot be */
export async function makePlan(row: DeploymentRecord, disk: BlockDevice, options: PlanOptions): Promise<Plan> {
  const { imagePath, imageFormat } = row;
  if (imagePath === null || imageFormat === null) {
    throw new BaremetalError("Internal", `deployment ${row.id} was queued without an image`, { data: { id: row.id } });
  }
  const ephemeralFormat = parseExtFormat(row.ephemeralFormat ?? options.defaultEphemeralFormat);
  const configDrive =
    row.configDrivePath === null ? undefined : await buildConfigDrive(row.configDrivePath, options.now);
  const image = await openImage(imagePath, imageFormat);
  try {
    const partitions = partition(row, image, disk, configDrive?.length ?? 0);
    const diskSignature = row.preserveEphemeral
      ? await checkEphemeralStays(disk, partitions, options.signal)
      : undefined;
    const imageDataBytes = await image.source.measure(options.signal);
    return { image, imageDataBytes, partitions, configDrive, ephemeralFormat, diskSignature };
  } catch (error) {
    await image.source.close();
    throw error;
  }
}

function partition(
  row: DeploymentRecord,
  image: DeployableImage,
  disk: BlockDevice,
  configDriveBytes: number,
): Partition[] {
  // As in the original: an image larger than the flavor's root makes the root larger, as long as the disk has room.
  const imageMb = Math.ceil(image.source.virtualSizeBytes / MIB);
  const sizes = { swapMb: row.swapMb, ephemeralMb: row.ephemeralMb, configDriveBytes };
  try {
    return planPartitions({
      diskBytes: disk.sizeBytes,
      blockSize: disk.blockSize,
      rootMb: Math.max(row.rootMb, imageMb),
      ...sizes,
    });
  } catch (cause) {
    if (imageMb <= row.rootMb || row.imagePath === null) throw cause;
    throw unacceptable(row.imagePath, `it has ${imageMb} MiB, more than the flavor's ${row.rootMb} MiB root`, cause);
  }
}

/** A rebuild that keeps the ephemeral partition keeps its content only if it stays where it is. */
async function checkEphemeralStays(
  disk: BlockDevice,
  partitions: readonly Partition[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const wanted = partitions.find((candidate) => candidate.role === "ephemeral");
  if (wanted === undefined) return undefined;
  const table = decodeMbr(await disk.read(0, disk.blockSize, { signal }), disk.blockSize);
  const found = table?.entries.find((entry) => entry.number === wanted.number);
  if (table !== undefined && found?.offsetBytes === wanted.offsetBytes && found.sizeBytes === wanted.sizeBytes) {
    return table.diskSignature;
  }
  const there =
    found === undefined ? "no such partition" : `${found.sizeBytes / MIB} MiB at ${found.offsetBytes / MIB} MiB`;
  throw new BaremetalError(
    "BadInput",
    `the ephemeral disk cannot be kept: it would be ${wanted.sizeBytes / MIB} MiB at ${wanted.offsetBytes / MIB} MiB, and the disk has ${there};` +
      " rebuild with a flavor of the same ephemeral size, or without keeping it",
    { data: { wanted: wanted.sizeBytes, found: found?.sizeBytes ?? null } },
  );
}

async function buildConfigDrive(path: string, now: number): Promise<Buffer> {
  const refuse = (why: string, cause?: unknown) =>
    new BaremetalError("BadInput", `the config drive's content ${path} ${why}`, { data: { path }, cause });
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw refuse("cannot be read; it must lie where this helper can read it", cause);
  });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // Trap: the parser's message quotes the text, and the text holds the tenant's secrets.
    throw refuse("is not JSON");
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) throw refuse("is not a JSON object");
  const files = new Map<string, Buffer>();
  for (const [name, data] of Object.entries(content)) {
    if (typeof data !== "string") throw refuse(`has no text for ${name}`);
    files.set(name, Buffer.from(data, "base64"));
  }
  return encodeIso(files, "config-2", now);
}
