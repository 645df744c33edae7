// The blocks of an empty ext2/3/4 file system: superblock, descriptors, bitmaps, inodes, directories, journal header.
import {
  bitmapBlock,
  blocksInGroup,
  type ExtGeometry,
  FIRST_INODE,
  hasSuperblock,
  INODE_BYTES,
  usedBlocksInGroup,
  usedInodesInGroup,
} from "./ext-geometry.ts";

export interface ExtIdentity {
  /** 16 bytes. */
  readonly uuid: Buffer;
  /** At most 16 bytes. */
  readonly label: string;
  /** 16 random bytes, for dir_index. */
  readonly hashSeed: Buffer;
  /** Seconds since the epoch. */
  readonly createdAt: number;
}

const GROUP_INODE_UNINIT = 0x1;
const GROUP_INODE_ZEROED = 0x4;
const EXTENTS_FLAG = 0x80000;
const EXTRA_INODE_BYTES = 32;
export const SUPERBLOCK_BYTES = 1024;

/** The superblock as group `group` keeps it. */
export function encodeSuperblock(geometry: ExtGeometry, identity: ExtIdentity, group: number): Buffer {
  const { blocks, blockSize, groups, inodesPerGroup, format } = geometry;
  const isExt4 = format === "ext4";
  const block = Buffer.alloc(SUPERBLOCK_BYTES);
  const u32 = (offset: number, value: number) => block.writeUInt32LE(value >>> 0, offset);
  const u16 = (offset: number, value: number) => block.writeUInt16LE(value, offset);
  let freeBlocks = 0;
  for (let g = 0; g < groups; g++) freeBlocks += blocksInGroup(geometry, g) - usedBlocksInGroup(geometry, g);
  u32(0x00, inodesPerGroup * groups);
  u32(0x04, blocks);
  u32(0x08, Math.floor(blocks / 20)); // reserved for root, as mke2fs does: 5%
  u32(0x0c, freeBlocks);
  u32(0x10, inodesPerGroup * groups - FIRST_INODE);
  u32(0x14, geometry.firstDataBlock);
  u32(0x18, Math.log2(blockSize / 1024));
  u32(0x1c, Math.log2(blockSize / 1024));
  u32(0x20, geometry.blocksPerGroup);
  u32(0x24, geometry.blocksPerGroup);
  u32(0x28, inodesPerGroup);
  u32(0x30, identity.createdAt);
  u16(0x36, 0xffff); // no check by mount count
  u16(0x38, 0xef53);
  u16(0x3a, 1); // clean
  u16(0x3c, 1); // on errors: continue
  u32(0x40, identity.createdAt);
  u32(0x4c, 1); // dynamic revision
  u32(0x54, FIRST_INODE);
  u16(0x58, INODE_BYTES);
  u16(0x5a, group);
  // ext_attr, dir_index, and has_journal where there is room for one.
  u32(0x5c, 0x8 | 0x20 | (geometry.journal ? 0x4 : 0));
  u32(0x60, 0x2 | (isExt4 ? 0x40 : 0)); // filetype, extents
  // sparse_super, large_file; huge_file, gdt_csum, dir_nlink, extra_isize
  u32(0x64, 0x3 | (isExt4 ? 0x8 | 0x10 | 0x20 | 0x40 : 0));
  identity.uuid.copy(block, 0x68);
  block.write(identity.label, 0x78, 16, "utf8");
  if (geometry.journal) {
    u32(0xe0, 8);
    // A second copy of the journal inode's pointers and size, which e2fsck insists on.
    block[0xfd] = 1;
    encodeBlockMap(geometry, geometry.journal).copy(block, 0x10c);
    u32(0x10c + 64, geometry.journal.blocks * blockSize);
  }
  identity.hashSeed.copy(block, 0xec);
  block[0xfc] = 1; // half MD4
  u32(0x100, 0x0c); // default mount options: user_xattr, acl
  u32(0x108, identity.createdAt);
  u16(0x15c, EXTRA_INODE_BYTES);
  u16(0x15e, EXTRA_INODE_BYTES);
  u32(0x160, 1); // directory hashes are signed, as on x86
  return block;
}

/** The descriptors of all groups, padded to whole blocks. */
export function encodeDescriptors(geometry: ExtGeometry, identity: ExtIdentity): Buffer {
  const table = Buffer.alloc(geometry.descriptorBlocks * geometry.blockSize);
  for (let group = 0; group < geometry.groups; group++) {
    const entry = table.subarray(group * 32, group * 32 + 32);
    const bitmaps = bitmapBlock(geometry, group);
    const freeInodes = geometry.inodesPerGroup - usedInodesInGroup(group);
    entry.writeUInt32LE(bitmaps, 0);
    entry.writeUInt32LE(bitmaps + 1, 4);
    entry.writeUInt32LE(bitmaps + 2, 8);
    entry.writeUInt16LE(blocksInGroup(geometry, group) - usedBlocksInGroup(geometry, group), 12);
    entry.writeUInt16LE(freeInodes, 14);
    entry.writeUInt16LE(group === 0 ? 2 : 0, 16);
    if (geometry.format === "ext4") {
      entry.writeUInt16LE(GROUP_INODE_ZEROED | (group === 0 ? 0 : GROUP_INODE_UNINIT), 18);
      entry.writeUInt16LE(freeInodes, 28);
      entry.writeUInt16LE(descriptorChecksum(identity.uuid, group, entry), 30);
    }
  }
  return table;
}

/** gdt_csum: CRC-16 (polynomial 0x8005, reflected, from 0xffff) of uuid, group number and the descriptor before it. */
function descriptorChecksum(uuid: Buffer, group: number, entry: Buffer): number {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(group);
  let crc = 0xffff;
  for (const part of [uuid, number, entry.subarray(0, 30)]) {
    for (const byte of part) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
    }
  }
  return crc;
}

/** Block bitmap and inode bitmap, two blocks. What lies beyond the end of either counts as used. */
export function encodeBitmaps(geometry: ExtGeometry, group: number): Buffer {
  const { blockSize } = geometry;
  const both = Buffer.alloc(blockSize * 2);
  const bits = blockSize * 8;
  fillBits(both.subarray(0, blockSize), 0, usedBlocksInGroup(geometry, group));
  fillBits(both.subarray(0, blockSize), blocksInGroup(geometry, group), bits);
  fillBits(both.subarray(blockSize), 0, usedInodesInGroup(group));
  fillBits(both.subarray(blockSize), geometry.inodesPerGroup, bits);
  return both;
}

function fillBits(bitmap: Buffer, from: number, to: number): void {
  let bit = from;
  for (; bit < to && bit % 8 !== 0; bit++) bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
  const wholeEnd = to - (to % 8);
  if (wholeEnd > bit) {
    bitmap.fill(0xff, bit / 8, wholeEnd / 8);
    bit = wholeEnd;
  }
  for (; bit < to; bit++) bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
}

/** The start of group 0's inode table, whole blocks: root (2), journal (8), lost+found (11). */
export function encodeFirstInodes(geometry: ExtGeometry, identity: ExtIdentity): Buffer {
  const { blockSize, journal, lostAndFound } = geometry;
  const table = Buffer.alloc(Math.ceil((FIRST_INODE * INODE_BYTES) / blockSize) * blockSize);
  const inode = (number: number, mode: number, links: number, run: BlockRun) => {
    const at = (number - 1) * INODE_BYTES;
    table.writeUInt16LE(mode, at);
    table.writeUInt32LE(run.blocks * blockSize, at + 4);
    for (const offset of [8, 12, 16]) table.writeUInt32LE(identity.createdAt, at + offset);
    table.writeUInt16LE(links, at + 26);
    table.writeUInt32LE(((run.blocks + (run.indirectBlocks ?? 0)) * blockSize) / 512, at + 28);
    table.writeUInt32LE(geometry.format === "ext4" ? EXTENTS_FLAG : 0, at + 32);
    encodeBlockMap(geometry, run).copy(table, at + 40);
    table.writeUInt16LE(EXTRA_INODE_BYTES, at + 128);
  };
  inode(2, 0o040755, 3, { firstBlock: geometry.rootDirectoryBlock, blocks: 1 });
  if (journal) inode(8, 0o100600, 1, journal);
  inode(11, 0o040700, 2, lostAndFound);
  return table;
}

interface BlockRun {
  readonly firstBlock: number;
  readonly blocks: number;
  readonly indirectBlocks?: number;
}

/** i_block of a file in one piece: an extent for ext4; else direct and indirect pointers, the pointer blocks lying before it. */
function encodeBlockMap(geometry: ExtGeometry, run: BlockRun): Buffer {
  const map = Buffer.alloc(60);
  if (geometry.format === "ext4") {
    map.writeUInt16LE(0xf30a, 0);
    map.writeUInt16LE(1, 2);
    map.writeUInt16LE(4, 4);
    map.writeUInt16LE(run.blocks, 16);
    map.writeUInt32LE(run.firstBlock, 20);
    return map;
  }
  for (let i = 0; i < Math.min(12, run.blocks); i++) map.writeUInt32LE(run.firstBlock + i, i * 4);
  const indirect = run.indirectBlocks ?? 0;
  if (indirect > 0) map.writeUInt32LE(run.firstBlock - indirect, 48);
  if (indirect > 1) map.writeUInt32LE(run.firstBlock - indirect + 1, 52);
  return map;
}

/** The pointer blocks of the journal (ext3): the indirect one, the double indirect one, then those it points at. */
export function encodeIndirectBlocks(geometry: ExtGeometry): Buffer {
  const { journal, blockSize } = geometry;
  if (!journal || journal.indirectBlocks === 0) return Buffer.alloc(0);
  const pointers = blockSize / 4;
  const first = journal.firstBlock - journal.indirectBlocks;
  const out = Buffer.alloc(journal.indirectBlocks * blockSize);
  for (let leaf = 2; leaf < journal.indirectBlocks; leaf++) out.writeUInt32LE(first + leaf, blockSize + (leaf - 2) * 4);
  for (let index = 12; index < journal.blocks; index++) {
    const rest = index - 12;
    const leaf = rest < pointers ? 0 : 2 + Math.floor((rest - pointers) / pointers);
    out.writeUInt32LE(journal.firstBlock + index, leaf * blockSize + (rest % pointers) * 4);
  }
  return out;
}

/** The root directory's block followed by those of lost+found. */
export function encodeDirectories(geometry: ExtGeometry): Buffer {
  const { blockSize, lostAndFound } = geometry;
  const out = Buffer.alloc((1 + lostAndFound.blocks) * blockSize);
  const entry = (at: number, inode: number, length: number, name: string) => {
    out.writeUInt32LE(inode, at);
    out.writeUInt16LE(length, at + 4);
    out[at + 6] = name.length;
    out[at + 7] = inode === 0 ? 0 : 2;
    out.write(name, at + 8, "latin1");
  };
  entry(0, 2, 12, ".");
  entry(12, 2, 12, "..");
  entry(24, FIRST_INODE, blockSize - 24, "lost+found");
  entry(blockSize, FIRST_INODE, 12, ".");
  entry(blockSize + 12, 2, blockSize - 12, "..");
  for (let block = 1; block < lostAndFound.blocks; block++) entry((1 + block) * blockSize, 0, blockSize, "");
  return out;
}

/** The journal's first block (JBD2 superblock version 2, big-endian): empty, nothing to replay. */
export function encodeJournalHeader(geometry: ExtGeometry, identity: ExtIdentity): Buffer {
  const block = Buffer.alloc(geometry.blockSize);
  const words = [0xc03b3998, 4, 0, geometry.blockSize, geometry.journal?.blocks ?? 0, 1, 1, 0];
  for (const [index, word] of words.entries()) block.writeUInt32BE(word, index * 4);
  identity.uuid.copy(block, 0x30);
  block.writeUInt32BE(1, 0x40);
  return block;
}

/** Superblock, descriptors (where the group has them) and bitmaps: the group's first blocks, in one piece. */
export function encodeGroupHead(
  geometry: ExtGeometry,
  identity: ExtIdentity,
  descriptors: Buffer,
  group: number,
): Buffer {
  const bitmaps = encodeBitmaps(geometry, group);
  if (!hasSuperblock(group)) return bitmaps;
  const superblock = Buffer.alloc(geometry.blockSize);
  // With blocks over 1 KiB the boot block and the first superblock share block 0.
  encodeSuperblock(geometry, identity, group).copy(superblock, group === 0 && geometry.firstDataBlock === 0 ? 1024 : 0);
  return Buffer.concat([superblock, descriptors, bitmaps]);
}
