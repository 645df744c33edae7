// The independent look at a machine's disk: its partition table and the bytes of its root partition, read from the disk file.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { BaremetalError } from "../lib/errors.ts";

export interface Partition {
  /** 1 to 4. */
  readonly number: number;
  /** 0x83 Linux, 0x82 swap. */
  readonly type: number;
  readonly startBytes: number;
  readonly sizeBytes: number;
}

const SECTOR_BYTES = 512;
const LINUX = 0x83;

/**
 * The used entries of a master boot record.
 * @throws BaremetalError `PeerMisbehaved` without the signature 55 AA
 */
export function readMbr(sector: Buffer): Partition[] {
  if (sector.length < SECTOR_BYTES || sector.readUInt16BE(510) !== 0x55aa) {
    throw new BaremetalError(
      "PeerMisbehaved",
      "the disk has no partition table: no 55 AA at the end of its first sector",
    );
  }
  const partitions: Partition[] = [];
  for (let index = 0; index < 4; index++) {
    const at = 446 + index * 16;
    const type = sector[at + 4] ?? 0;
    const sizeBytes = sector.readUInt32LE(at + 12) * SECTOR_BYTES;
    if (type !== 0 && sizeBytes > 0) {
      partitions.push({ number: index + 1, type, startBytes: sector.readUInt32LE(at + 8) * SECTOR_BYTES, sizeBytes });
    }
  }
  return partitions;
}

/** Partitions of a disk file. */
export async function readPartitions(diskFile: string): Promise<Partition[]> {
  const file = await open(diskFile, "r");
  try {
    const sector = Buffer.alloc(SECTOR_BYTES);
    await file.read(sector, 0, SECTOR_BYTES, 0);
    return readMbr(sector);
  } finally {
    await file.close();
  }
}

/** SHA-256 of the first `contentBytes` bytes of the root partition: the first of type Linux, as the flavor has no ephemeral disk. */
export async function hashRootPartition(diskFile: string, contentBytes: number): Promise<string> {
  const root = (await readPartitions(diskFile)).find(({ type }) => type === LINUX);
  if (root === undefined || root.sizeBytes < contentBytes) {
    throw new BaremetalError("PeerMisbehaved", `${diskFile} has no Linux partition of at least ${contentBytes} bytes`);
  }
  const hash = createHash("sha256");
  const range = { start: root.startBytes, end: root.startBytes + contentBytes - 1, highWaterMark: 1 << 20 };
  for await (const chunk of createReadStream(diskFile, range)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
