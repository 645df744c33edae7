// mkfs for an empty ext2, ext3 or ext4: only the metadata is written, through the block device; no process is run.
import { randomBytes } from "node:crypto";
import { BaremetalError } from "../../lib/errors.ts";
import type { AbortableOptions, BlockDevice } from "./block-device.ts";
import { bitmapBlock, EXT_FORMATS, type ExtFormat, type ExtGeometry, groupStart, planExt } from "./ext-geometry.ts";
import {
  type ExtIdentity,
  encodeDescriptors,
  encodeDirectories,
  encodeFirstInodes,
  encodeGroupHead,
  encodeIndirectBlocks,
  encodeJournalHeader,
} from "./ext-metadata.ts";
import { formatUuid } from "./filesystem-uuid.ts";
import { WriteWindow } from "./write-window.ts";

const WRITES_IN_FLIGHT = 16;

export interface MakeExtOptions extends AbortableOptions {
  readonly format: ExtFormat;
  readonly label: string;
  /** True if the device reads as zeros already: inode tables and journal are then not written again. */
  readonly isZeroed: boolean;
  /** 16 bytes; random if absent. */
  readonly uuid?: Buffer;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** `ext4` and its like, as an operator or flavor names it. @throws BaremetalError `BadInput` for what we cannot make */
export function parseExtFormat(name: string | null): ExtFormat {
  // The original's default, when nothing else is configured, was ext3.
  const wanted = name === null || name === "" ? "ext3" : name.toLowerCase();
  const format = EXT_FORMATS.find((known) => known === wanted);
  if (format !== undefined) return format;
  throw new BaremetalError(
    "BadInput",
    `the ephemeral disk cannot be made as "${name}": set default_ephemeral_format to one of ${EXT_FORMATS.join(", ")}`,
    { data: { format: name } },
  );
}

/** Makes the file system over the whole device and returns its UUID. The caller flushes. */
export async function makeExt(
  device: BlockDevice,
  options: MakeExtOptions,
): Promise<{ uuid: string; bytesWritten: number }> {
  const geometry = planExt(options.format, device.sizeBytes, device.blockSize);
  const uuid = options.uuid ?? randomUuid();
  const identity: ExtIdentity = {
    uuid,
    label: options.label,
    hashSeed: randomUuid(),
    createdAt: Math.floor(options.now / 1000),
  };
  const { signal } = options;
  const window = new WriteWindow(WRITES_IN_FLIGHT);
  let bytesWritten = 0;
  const write = async (block: number, data: Buffer) => {
    if (data.length === 0) return;
    signal?.throwIfAborted();
    bytesWritten += data.length;
    await window.run(() => device.write(block * geometry.blockSize, data, signal ? { signal } : {}));
  };
  try {
    if (!options.isZeroed) await zeroTables(device, geometry, options);
    const descriptors = encodeDescriptors(geometry, identity);
    // Group 0 last: until then there is no valid superblock where anybody looks for one.
    for (let group = geometry.groups - 1; group > 0; group--) {
      await write(groupStart(geometry, group), encodeGroupHead(geometry, identity, descriptors, group));
    }
    await write(bitmapBlock(geometry, 0) + 2, encodeFirstInodes(geometry, identity));
    await write(geometry.rootDirectoryBlock, encodeDirectories(geometry));
    const { journal } = geometry;
    if (journal) {
      await write(journal.firstBlock - journal.indirectBlocks, encodeIndirectBlocks(geometry));
      await write(journal.firstBlock, encodeJournalHeader(geometry, identity));
    }
    await window.drain();
    await write(groupStart(geometry, 0), encodeGroupHead(geometry, identity, descriptors, 0));
    await window.drain();
  } finally {
    await window.settle();
  }
  return { uuid: formatUuid(uuid), bytesWritten };
}

async function zeroTables(device: BlockDevice, geometry: ExtGeometry, options: AbortableOptions): Promise<void> {
  const { blockSize, inodeTableBlocks, journal } = geometry;
  const pass = options.signal ? { signal: options.signal } : {};
  const edge = Math.min(64 * 1024, Math.floor(device.sizeBytes / device.blockSize) * device.blockSize);
  // Whatever another tool would recognise at either end of the old content.
  await device.writeZeroes(0, edge, pass);
  await device.writeZeroes(Math.floor((device.sizeBytes - edge) / device.blockSize) * device.blockSize, edge, pass);
  for (let group = 0; group < geometry.groups; group++) {
    await device.writeZeroes((bitmapBlock(geometry, group) + 2) * blockSize, inodeTableBlocks * blockSize, pass);
  }
  if (journal) await device.writeZeroes(journal.firstBlock * blockSize, journal.blocks * blockSize, pass);
}

/** A version 4 UUID, as bytes. */
export function randomUuid(): Buffer {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}
