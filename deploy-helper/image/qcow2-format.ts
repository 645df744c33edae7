// qcow2 versions 2 and 3 as bytes: header and table entries (QEMU docs/interop/qcow2.txt). Bounds are checked, nothing is read.
import { unacceptable } from "./image-source.ts";

/** As much of the file as the header may need. */
export const QCOW2_HEADER_BYTES = 4096;
/** QEMU's own bounds. */
const MAX_L1_BYTES = 32 * 1024 * 1024;

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterBits: number;
  readonly clusterSize: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
}

const INCOMPATIBLE = { dirty: 1, corrupt: 2, externalData: 4, compression: 8, extendedL2: 16 } as const;

/**
 * Reads the header. Refcounts, snapshots and the lazy-refcount mark (dirty) do not matter to a reader and are ignored.
 * @throws BaremetalError `ImageUnacceptable` for all that we do not read: backing file, external data file, encryption...
 */
export function parseQcow2Header(bytes: Buffer, fileSize: number, path: string): Qcow2Header {
  const refuse = (reason: string) => unacceptable(path, reason);
  if (bytes.length < 72 || bytes.toString("latin1", 0, 4) !== "QFI\xfb") throw refuse("it is not a qcow2 file");
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuse(`its qcow version is ${version}; 2 and 3 can be read`);
  if (version === 3 && bytes.length < 104) throw refuse("its header is cut off");
  if (bytes.readBigUInt64BE(8) !== 0n || bytes.readUInt32BE(16) !== 0) {
    throw refuse("it has a backing file, so it is not whole: flatten it with qemu-img convert");
  }
  if (bytes.readUInt32BE(32) !== 0) throw refuse("it is encrypted");
  if (version === 3) refuseFeatures(bytes, refuse);
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw refuse(`its cluster size of 2^${clusterBits} bytes is out of range`);
  const clusterSize = 2 ** clusterBits;
  const size = bytes.readBigUInt64BE(24);
  if (size === 0n || size % 512n !== 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw refuse(`its virtual size of ${size} bytes is out of range`);
  }
  const virtualSizeBytes = Number(size);
  const l1Entries = bytes.readUInt32BE(36);
  const neededEntries = Math.ceil(virtualSizeBytes / (clusterSize * (clusterSize / 8)));
  if (l1Entries < neededEntries || l1Entries * 8 > MAX_L1_BYTES) {
    throw refuse(`its L1 table has ${l1Entries} entries, and ${neededEntries} are needed`);
  }
  const l1Offset = Number(bytes.readBigUInt64BE(40));
  if (l1Offset % clusterSize !== 0 || l1Offset + neededEntries * 8 > fileSize) {
    throw refuse("its L1 table lies outside of the file: the image was cut off or is corrupt");
  }
  return { version, virtualSizeBytes, clusterBits, clusterSize, l1Entries: neededEntries, l1Offset };
}

function refuseFeatures(bytes: Buffer, refuse: (reason: string) => Error): void {
  const features = bytes.readBigUInt64BE(72);
  const low = Number(features & 0xffffffffn);
  const known =
    INCOMPATIBLE.dirty |
    INCOMPATIBLE.corrupt |
    INCOMPATIBLE.externalData |
    INCOMPATIBLE.compression |
    INCOMPATIBLE.extendedL2;
  if (low & INCOMPATIBLE.externalData)
    throw refuse("its data is in an external file: flatten it with qemu-img convert");
  if (low & INCOMPATIBLE.corrupt) throw refuse("it is marked corrupt: repair it with qemu-img check -r all");
  if (low & INCOMPATIBLE.extendedL2) throw refuse("it has extended L2 entries: convert it with extended_l2=off");
  if (low & INCOMPATIBLE.compression)
    throw refuse("its compression is not zlib: convert it with compression_type=zlib");
  if (features >> 32n !== 0n || (low & ~known) !== 0) {
    throw refuse(`it needs features that are not known here (0x${features.toString(16)})`);
  }
  const headerLength = bytes.readUInt32BE(100);
  if (headerLength < 104 || headerLength > QCOW2_HEADER_BYTES)
    throw refuse(`its header length of ${headerLength} is out of range`);
}

/** One guest cluster. */
export type Cluster =
  | { readonly kind: "zero" }
  | { readonly kind: "data"; readonly fileOffset: number }
  | { readonly kind: "compressed"; readonly fileOffset: number; readonly fileBytes: number };

const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;

/** An L1 entry's L2 table; undefined: nothing of its range is allocated. */
export function parseL1Entry(entry: bigint, header: Qcow2Header, fileSize: number, path: string): number | undefined {
  const offset = Number(entry & OFFSET_MASK);
  if (offset === 0) return undefined;
  if (offset % header.clusterSize !== 0 || offset + header.clusterSize > fileSize) {
    throw unacceptable(path, "an L2 table lies outside of the file: the image was cut off or is corrupt");
  }
  return offset;
}

/** An L2 entry; without a backing file, what is not allocated is zeros. */
export function parseL2Entry(entry: bigint, header: Qcow2Header, fileSize: number, path: string): Cluster {
  if ((entry >> 62n) & 1n) return compressedCluster(entry, header, fileSize, path);
  // Bit 0: reads as zeros, whatever is allocated (version 3; reserved, and zero, in version 2).
  if (entry & 1n && header.version === 3) return { kind: "zero" };
  const fileOffset = Number(entry & OFFSET_MASK);
  if (fileOffset === 0) return { kind: "zero" };
  if (fileOffset % header.clusterSize !== 0 || fileOffset >= fileSize) {
    throw unacceptable(path, "a cluster lies outside of the file: the image was cut off or is corrupt");
  }
  return { kind: "data", fileOffset };
}

function compressedCluster(entry: bigint, header: Qcow2Header, fileSize: number, path: string): Cluster {
  const offsetBits = BigInt(62 - (header.clusterBits - 8));
  const fileOffset = Number(entry & ((1n << offsetBits) - 1n));
  const moreSectors = Number((entry & ((1n << 62n) - 1n)) >> offsetBits);
  // The data ends somewhere in its last sector, and the file may end there too.
  const fileBytes = Math.min((moreSectors + 1) * 512 - (fileOffset % 512), fileSize - fileOffset);
  if (fileBytes <= 0)
    throw unacceptable(path, "a compressed cluster lies outside of the file: the image was cut off or is corrupt");
  return { kind: "compressed", fileOffset, fileBytes };
}
