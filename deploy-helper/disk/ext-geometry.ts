// Where everything lies in an empty ext2/3/4 file system (kernel: Documentation/filesystems/ext4). Pure arithmetic.
import { BaremetalError } from "../../lib/errors.ts";

export const EXT_FORMATS = ["ext2", "ext3", "ext4"] as const;
export type ExtFormat = (typeof EXT_FORMATS)[number];

export const INODE_BYTES = 256;
/** Inodes 1 to 10 are reserved; 11 is lost+found. */
export const FIRST_INODE = 11;
const DESCRIPTOR_BYTES = 32;
const SMALL_BYTES = 512 * 1024 * 1024;
/** As mke2fs makes it, but never more blocks than an inode points at directly. */
const LOST_AND_FOUND_BYTES = 16 * 1024;
const DIRECT_BLOCKS = 12;

export interface ExtGeometry {
  readonly format: ExtFormat;
  readonly blockSize: number;
  /** 1 when blocks are 1 KiB (block 0 is the boot block), else 0. */
  readonly firstDataBlock: number;
  readonly blocks: number;
  readonly blocksPerGroup: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly descriptorBlocks: number;
  readonly rootDirectoryBlock: number;
  readonly lostAndFound: { readonly firstBlock: number; readonly blocks: number };
  /** Data blocks and, without extents, the blocks that point at them; undefined: too small for a journal. */
  readonly journal:
    | { readonly firstBlock: number; readonly blocks: number; readonly indirectBlocks: number }
    | undefined;
}

/**
 * Lays out an empty file system: 4 KiB blocks (1 KiB below 512 MiB on disks that can), one inode per 16 KiB (4 KiB when
 * small), sparse superblocks, the journal in group 0. A last group too small for its tables is left unused.
 * @throws BaremetalError `BadInput` if `sizeBytes` is too small or beyond 16 TiB
 */
export function planExt(format: ExtFormat, sizeBytes: number, deviceBlockSize: number): ExtGeometry {
  const isSmall = sizeBytes < SMALL_BYTES;
  const blockSize = isSmall && deviceBlockSize <= 1024 ? 1024 : 4096;
  const firstDataBlock = blockSize === 1024 ? 1 : 0;
  const blocksPerGroup = blockSize * 8;
  const inodesPerBlock = blockSize / INODE_BYTES;
  let blocks = Math.floor(sizeBytes / blockSize);
  if (blocks > 0xffffffff)
    throw new BaremetalError("BadInput", `${format}: ${sizeBytes} bytes are more than the 16 TiB we can lay out`);
  if (blocks < 128) throw new BaremetalError("BadInput", `${format}: ${sizeBytes} bytes are too few for a file system`);
  for (;;) {
    const groups = Math.ceil((blocks - firstDataBlock) / blocksPerGroup);
    const wantedInodes = Math.ceil((blocks * blockSize) / (isSmall ? 4096 : 16384));
    const step = Math.max(inodesPerBlock, 8);
    const perGroup = Math.ceil(Math.max(16, wantedInodes / groups) / step) * step;
    const geometry = place(format, blockSize, blocks, groups, Math.min(perGroup, blockSize * 8));
    const last = blocksInGroup(geometry, groups - 1);
    if (groups > 1 && last < tableBlocks(geometry, groups - 1) + 50) {
      blocks -= last;
      continue;
    }
    if (usedBlocksInGroup(geometry, 0) > blocksInGroup(geometry, 0)) {
      throw new BaremetalError("BadInput", `${format}: ${sizeBytes} bytes are too few for its tables`, {
        data: { sizeBytes },
      });
    }
    return geometry;
  }
}

function place(
  format: ExtFormat,
  blockSize: number,
  blocks: number,
  groups: number,
  inodesPerGroup: number,
): ExtGeometry {
  const firstDataBlock = blockSize === 1024 ? 1 : 0;
  const inodeTableBlocks = (inodesPerGroup * INODE_BYTES) / blockSize;
  const descriptorBlocks = Math.ceil((groups * DESCRIPTOR_BYTES) / blockSize);
  const rootDirectoryBlock = firstDataBlock + 1 + descriptorBlocks + 2 + inodeTableBlocks;
  const lostAndFound = {
    firstBlock: rootDirectoryBlock + 1,
    blocks: Math.min(DIRECT_BLOCKS, LOST_AND_FOUND_BYTES / blockSize),
  };
  const journalBlocks = format === "ext2" ? 0 : journalLength(blocks, blockSize);
  const indirectBlocks = format === "ext4" ? 0 : indirectBlockCount(journalBlocks, blockSize);
  return {
    format,
    blockSize,
    firstDataBlock,
    blocks,
    blocksPerGroup: blockSize * 8,
    groups,
    inodesPerGroup,
    inodeTableBlocks,
    descriptorBlocks,
    rootDirectoryBlock,
    lostAndFound,
    journal:
      journalBlocks === 0
        ? undefined
        : {
            firstBlock: lostAndFound.firstBlock + lostAndFound.blocks + indirectBlocks,
            blocks: journalBlocks,
            indirectBlocks,
          },
  };
}

/** mke2fs' steps, capped so that the journal lies in group 0 in one piece. */
function journalLength(blocks: number, blockSize: number): number {
  if (blocks < 2048) return 0;
  if (blocks < 32768) return 1024;
  if (blocks < 262144 || blockSize === 1024) return 4096;
  return blocks < 1048576 ? 8192 : 16384;
}

/** Pointer blocks for a file of `length` blocks without extents: 12 direct, one indirect, then double indirect. */
export function indirectBlockCount(length: number, blockSize: number): number {
  const pointers = blockSize / 4;
  if (length <= DIRECT_BLOCKS) return 0;
  const rest = length - DIRECT_BLOCKS - pointers;
  return rest <= 0 ? 1 : 2 + Math.ceil(rest / pointers);
}

/** Copies of the superblock and descriptors: groups 0, 1 and the powers of 3, 5 and 7 (sparse_super). */
export function hasSuperblock(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

export function groupStart(geometry: ExtGeometry, group: number): number {
  return geometry.firstDataBlock + group * geometry.blocksPerGroup;
}

export function blocksInGroup(geometry: ExtGeometry, group: number): number {
  return Math.min(geometry.blocksPerGroup, geometry.blocks - groupStart(geometry, group));
}

/** First block of the group's block bitmap; its inode bitmap and inode table follow. */
export function bitmapBlock(geometry: ExtGeometry, group: number): number {
  return groupStart(geometry, group) + (hasSuperblock(group) ? 1 + geometry.descriptorBlocks : 0);
}

function tableBlocks(geometry: ExtGeometry, group: number): number {
  return bitmapBlock(geometry, group) - groupStart(geometry, group) + 2 + geometry.inodeTableBlocks;
}

/** Blocks in use, all of them at the group's start: tables everywhere, directories and journal in group 0. */
export function usedBlocksInGroup(geometry: ExtGeometry, group: number): number {
  if (group > 0) return tableBlocks(geometry, group);
  const { journal, lostAndFound } = geometry;
  const end = journal ? journal.firstBlock + journal.blocks : lostAndFound.firstBlock + lostAndFound.blocks;
  return end - geometry.firstDataBlock;
}

export function usedInodesInGroup(group: number): number {
  return group === 0 ? FIRST_INODE : 0;
}
