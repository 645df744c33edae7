// Which file system a partition image holds, its UUID and its size, read from its superblock (what blkid told the original).

export interface FilesystemIdentity {
  readonly type: "ext2" | "ext3" | "ext4" | "xfs" | "btrfs";
  /** Lower case, with dashes, as `root=UUID=` takes it. */
  readonly uuid: string;
  /** What the file system believes it has: an image that is shorter was cut off. */
  readonly sizeBytes: number;
}

/** Bytes from the start of a partition that `identifyFilesystem` looks at: the btrfs superblock ends there. */
export const FILESYSTEM_HEAD_BYTES = 128 * 1024;

const BTRFS_SUPERBLOCK = 64 * 1024;

/** Recognises ext2/3/4, xfs and btrfs; undefined for anything else, and for a superblock without a UUID. */
export function identifyFilesystem(head: Buffer): FilesystemIdentity | undefined {
  const found = ext(head) ?? xfs(head) ?? btrfs(head);
  return found === undefined || /^[0-]*$/.test(found.uuid) ? undefined : found;
}

function ext(head: Buffer): FilesystemIdentity | undefined {
  const at = 1024;
  if (head.length < at + 1024 || head.readUInt16LE(at + 0x38) !== 0xef53) return undefined;
  const logBlockSize = head.readUInt32LE(at + 0x18);
  if (logBlockSize > 6) return undefined;
  const compat = head.readUInt32LE(at + 0x5c);
  const incompat = head.readUInt32LE(at + 0x60);
  const readOnlyCompat = head.readUInt32LE(at + 0x64);
  // A journal alone makes ext3; extents, 64bit, flex_bg, huge_file and their like came with ext4.
  const isExt4 = (incompat & ~0x16) !== 0 || (readOnlyCompat & ~0x7) !== 0;
  const blocks = head.readUInt32LE(at + 0x04) + (incompat & 0x80 ? head.readUInt32LE(at + 0x150) * 2 ** 32 : 0);
  return {
    type: isExt4 ? "ext4" : compat & 0x4 ? "ext3" : "ext2",
    uuid: formatUuid(head.subarray(at + 0x68, at + 0x78)),
    sizeBytes: blocks * 1024 * 2 ** logBlockSize,
  };
}

function xfs(head: Buffer): FilesystemIdentity | undefined {
  if (head.length < 512 || head.toString("latin1", 0, 4) !== "XFSB") return undefined;
  return {
    type: "xfs",
    uuid: formatUuid(head.subarray(32, 48)),
    sizeBytes: head.readUInt32BE(4) * Number(head.readBigUInt64BE(8)),
  };
}

function btrfs(head: Buffer): FilesystemIdentity | undefined {
  const at = BTRFS_SUPERBLOCK;
  if (head.length < at + 4096 || head.toString("latin1", at + 0x40, at + 0x48) !== "_BHRfS_M") return undefined;
  return {
    type: "btrfs",
    uuid: formatUuid(head.subarray(at + 0x20, at + 0x30)),
    sizeBytes: Number(head.readBigUInt64LE(at + 0x70)),
  };
}

/** 16 bytes as 8-4-4-4-12 hex digits. */
export function formatUuid(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
