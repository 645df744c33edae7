// The partition table of a deployed disk: MBR, 1 MiB aligned, in the original's order (nova-baremetal.md 5.4).
import { BaremetalError } from "../../lib/errors.ts";

export const MIB = 1024 * 1024;
/** Left free before the first partition, for a boot loader and for alignment. */
const FIRST_PARTITION_BYTES = 1024 * 1024;

export type PartitionRole = "ephemeral" | "swap" | "root" | "config drive";

export interface Partition {
  /** 1 to 4, as in /dev/sda1. */
  readonly number: number;
  readonly role: PartitionRole;
  /** MBR system id. */
  readonly type: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface PartitionRequest {
  readonly diskBytes: number;
  /** The disk's logical block: MBR counts in it. */
  readonly blockSize: number;
  readonly rootMb: number;
  /** At least 1 is used: a swap partition is always made. */
  readonly swapMb: number;
  /** 0: no ephemeral partition. */
  readonly ephemeralMb: number;
  /** Bytes of the config drive's file system; 0: none. */
  readonly configDriveBytes: number;
}

const LINUX = 0x83;
const LINUX_SWAP = 0x82;

/**
 * With an ephemeral: ephemeral, swap, root; without: root, swap. A config drive comes last.
 * Ephemeral first and root last, so that a root of another size does not move the ephemeral that a rebuild keeps.
 * The config drive has type 0x83: Linux finds it by its label (config-2) and ignores the type, and a type that a tool
 * does not know, or takes for a boot partition, gains nothing.
 * @throws BaremetalError `BadInput` if the partitions do not fit, naming what is needed and what is there
 */
export function planPartitions(request: PartitionRequest): Partition[] {
  const { diskBytes, blockSize, ephemeralMb, configDriveBytes } = request;
  for (const [name, value] of Object.entries(request)) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new BaremetalError("BadInput", `${name} must be a whole number, 0 or more, but is ${value}`, {
        data: { name },
      });
    }
  }
  if (request.rootMb === 0)
    throw new BaremetalError("BadInput", "the root partition has no size: give the flavor a disk");
  const swap = { role: "swap", type: LINUX_SWAP, sizeBytes: Math.max(1, request.swapMb) * MIB } as const;
  const root = { role: "root", type: LINUX, sizeBytes: request.rootMb * MIB } as const;
  const wanted: Pick<Partition, "role" | "type" | "sizeBytes">[] =
    ephemeralMb > 0 ? [{ role: "ephemeral", type: LINUX, sizeBytes: ephemeralMb * MIB }, swap, root] : [root, swap];
  if (configDriveBytes > 0) {
    wanted.push({ role: "config drive", type: LINUX, sizeBytes: Math.ceil(configDriveBytes / MIB) * MIB });
  }
  let offsetBytes = FIRST_PARTITION_BYTES;
  const partitions = wanted.map((partition, index) => {
    const placed = { number: index + 1, ...partition, offsetBytes };
    offsetBytes += partition.sizeBytes;
    return placed;
  });
  const list = partitions.map((p) => `${p.role} ${p.sizeBytes / MIB} MiB`).join(" + ");
  if (offsetBytes > diskBytes) {
    throw new BaremetalError(
      "BadInput",
      `the disk is too small: it has ${Math.floor(diskBytes / MIB)} MiB, and 1 MiB + ${list} = ${offsetBytes / MIB} MiB are needed;` +
        " use a smaller flavor or image, or a node with a larger disk",
      { data: { diskBytes, neededBytes: offsetBytes } },
    );
  }
  if (partitions.some((p) => p.offsetBytes / blockSize > 0xffffffff || p.sizeBytes / blockSize > 0xffffffff)) {
    throw new BaremetalError(
      "BadInput",
      `an MBR partition table cannot hold ${list} with blocks of ${blockSize} bytes: it ends at 2^32 blocks; use a smaller flavor`,
      { data: { blockSize } },
    );
  }
  return partitions;
}

/**
 * The first logical block of the disk: partition entries at 446, 0x55AA at 510, zeros elsewhere (no boot code: the node
 * always boots from the network). `diskSignature` (offset 440) gives PARTUUIDs; 1 to 2^32-1.
 */
export function encodeMbr(partitions: readonly Partition[], blockSize: number, diskSignature: number): Buffer {
  if (partitions.length > 4) throw new BaremetalError("Internal", "an MBR holds four partitions");
  const sector = Buffer.alloc(blockSize);
  sector.writeUInt32LE(diskSignature >>> 0, 440);
  for (const partition of partitions) {
    const at = 446 + (partition.number - 1) * 16;
    const first = partition.offsetBytes / blockSize;
    const count = partition.sizeBytes / blockSize;
    chs(first).copy(sector, at + 1);
    sector[at + 4] = partition.type;
    chs(first + count - 1).copy(sector, at + 5);
    sector.writeUInt32LE(first, at + 8);
    sector.writeUInt32LE(count, at + 12);
  }
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** An entry of a table that is on a disk already. */
export interface MbrEntry {
  readonly number: number;
  readonly type: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** Reads the four primary entries; undefined if the block is no MBR. Empty entries are left out. */
export function decodeMbr(
  sector: Buffer,
  blockSize: number,
): { diskSignature: number; entries: MbrEntry[] } | undefined {
  if (sector.length < 512 || sector.readUInt16LE(510) !== 0xaa55) return undefined;
  const entries: MbrEntry[] = [];
  for (let index = 0; index < 4; index++) {
    const at = 446 + index * 16;
    const type = sector[at + 4] ?? 0;
    const count = sector.readUInt32LE(at + 12);
    if (type === 0 || count === 0) continue;
    entries.push({
      number: index + 1,
      type,
      offsetBytes: sector.readUInt32LE(at + 8) * blockSize,
      sizeBytes: count * blockSize,
    });
  }
  return { diskSignature: sector.readUInt32LE(440), entries };
}

/** The obsolete cylinder/head/sector form, for 255 heads and 63 sectors, as fdisk writes it; FE FF FF when out of range. */
function chs(block: number): Buffer {
  const cylinder = Math.floor(block / (255 * 63));
  if (cylinder > 1023) return Buffer.from([0xfe, 0xff, 0xff]);
  const head = Math.floor(block / 63) % 255;
  const sector = (block % 63) + 1;
  return Buffer.from([head, sector | ((cylinder >> 2) & 0xc0), cylinder & 0xff]);
}
