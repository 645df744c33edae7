// ISO 9660 (ECMA-119, interchange level 1) with Rock Ridge (RRIP 1.09), for config drives: small trees, real names, in memory.
import { BaremetalError } from "../../lib/errors.ts";
import { buildTree, type IsoDirectory, type IsoNode, walkDirectories } from "./iso-tree.ts";

export const ISO_SECTOR = 2048;
const DESCRIPTOR_SECTOR = 16;
const FIRST_FREE_SECTOR = 18;
/** A config drive is told, not shipped: anything larger is a mistake. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The file system's bytes, a whole number of 2048-byte sectors.
 * @param files path in the drive (`openstack/latest/meta_data.json`) to content
 * @param label volume identifier, at most 32 characters; cloud-init looks for `config-2`
 * @param createdAt milliseconds since the epoch, for all times in it
 * @throws BaremetalError `BadInput` for paths that cannot be, or too much content
 */
export function encodeIso(files: ReadonlyMap<string, Buffer>, label: string, createdAt: number): Buffer {
  if (label.length > 32) throw new BaremetalError("Internal", "an ISO 9660 label has at most 32 characters");
  const root = buildTree(files);
  const directories = walkDirectories(root);
  const total = allocate(directories);
  if (total * ISO_SECTOR > MAX_BYTES) {
    throw new BaremetalError(
      "BadInput",
      `the config drive would have ${total * ISO_SECTOR} bytes, more than ${MAX_BYTES}`,
    );
  }
  const image = Buffer.alloc(total * ISO_SECTOR);
  const pathTable = { little: encodePathTable(directories, "LE"), big: encodePathTable(directories, "BE") };
  const tableSectors = Math.ceil(pathTable.little.length / ISO_SECTOR);
  pathTable.little.copy(image, FIRST_FREE_SECTOR * ISO_SECTOR);
  pathTable.big.copy(image, (FIRST_FREE_SECTOR + tableSectors) * ISO_SECTOR);
  for (const directory of directories) {
    encodeDirectory(directory, createdAt).copy(image, directory.sector * ISO_SECTOR);
    for (const child of directory.children)
      if (child.kind === "file") child.content.copy(image, child.sector * ISO_SECTOR);
  }
  encodePrimaryDescriptor(root, label, total, pathTable.little.length, tableSectors, createdAt).copy(
    image,
    DESCRIPTOR_SECTOR * ISO_SECTOR,
  );
  Buffer.from("\xffCD001\x01", "latin1").copy(image, (DESCRIPTOR_SECTOR + 1) * ISO_SECTOR);
  return image;
}

/** Gives every directory and file its sector; returns the sectors of the whole image. */
function allocate(directories: readonly IsoDirectory[]): number {
  const tableSectors = Math.ceil(encodePathTable(directories, "LE").length / ISO_SECTOR);
  let next = FIRST_FREE_SECTOR + 2 * tableSectors;
  for (const directory of directories) {
    directory.sizeBytes = encodeDirectory(directory, 0).length;
    directory.sector = next;
    next += directory.sizeBytes / ISO_SECTOR;
  }
  for (const directory of directories) {
    for (const child of directory.children) {
      if (child.kind !== "file") continue;
      child.sector = next;
      next += Math.ceil(child.content.length / ISO_SECTOR);
    }
  }
  return next;
}

function encodePathTable(directories: readonly IsoDirectory[], order: "LE" | "BE"): Buffer {
  const entries = directories.map((directory) => {
    const name = directory.parent === directory ? Buffer.from([0]) : Buffer.from(directory.isoName, "latin1");
    const entry = Buffer.alloc(8 + name.length + (name.length % 2));
    entry[0] = name.length;
    const parent = directories.indexOf(directory.parent) + 1;
    if (order === "LE") {
      entry.writeUInt32LE(directory.sector, 2);
      entry.writeUInt16LE(parent, 6);
    } else {
      entry.writeUInt32BE(directory.sector, 2);
      entry.writeUInt16BE(parent, 6);
    }
    name.copy(entry, 8);
    return entry;
  });
  return Buffer.concat(entries);
}

/** A directory's extent: `.`, `..` and its children; no record crosses a sector's end. */
function encodeDirectory(directory: IsoDirectory, createdAt: number): Buffer {
  const isRoot = directory.parent === directory;
  const records = [
    encodeRecord(
      directory,
      Buffer.from([0]),
      createdAt,
      Buffer.concat([isRoot ? SHARING_PROTOCOL : NOTHING, posix(directory), isRoot ? EXTENSION : NOTHING]),
    ),
    encodeRecord(directory.parent, Buffer.from([1]), createdAt, posix(directory.parent)),
    ...directory.children.map((child) =>
      encodeRecord(
        child,
        Buffer.from(child.isoName, "latin1"),
        createdAt,
        Buffer.concat([posix(child), alternateName(child.name)]),
      ),
    ),
  ];
  const sectors: Buffer[] = [];
  let used = ISO_SECTOR;
  for (const record of records) {
    if (used + record.length > ISO_SECTOR) {
      sectors.push(Buffer.alloc(ISO_SECTOR));
      used = 0;
    }
    record.copy(sectors[sectors.length - 1] as Buffer, used);
    used += record.length;
  }
  return Buffer.concat(sectors);
}

/** ECMA-119 9.1. */
function encodeRecord(node: IsoNode, identifier: Buffer, createdAt: number, systemUse: Buffer): Buffer {
  const padded = 33 + identifier.length + ((identifier.length + 1) % 2);
  const record = Buffer.alloc(padded + systemUse.length + (systemUse.length % 2));
  record[0] = record.length;
  both32(record, 2, node.sector);
  both32(record, 10, node.kind === "file" ? node.content.length : node.sizeBytes);
  const at = new Date(createdAt);
  record.set([at.getUTCFullYear() - 1900, at.getUTCMonth() + 1, at.getUTCDate()], 18);
  record.set([at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds(), 0], 21);
  record[25] = node.kind === "directory" ? 2 : 0;
  both16(record, 28, 1);
  record[32] = identifier.length;
  identifier.copy(record, 33);
  systemUse.copy(record, padded);
  return record;
}

const NOTHING = Buffer.alloc(0);
/** SUSP `SP`: the system use fields start here; without it Linux takes the tree for plain ISO 9660. */
const SHARING_PROTOCOL = Buffer.from([0x53, 0x50, 7, 1, 0xbe, 0xef, 0]);
/** SUSP `ER`: announces Rock Ridge, its descriptive texts left empty. */
const EXTENSION = Buffer.concat([Buffer.from([0x45, 0x52, 18, 1, 10, 0, 0, 1]), Buffer.from("RRIP_1991A", "latin1")]);

/** RRIP `PX`: mode, links, uid, gid. Root's, and nobody else's to write. */
function posix(node: IsoNode): Buffer {
  const field = Buffer.alloc(36);
  field.set([0x50, 0x58, 36, 1]);
  const subdirectories = node.kind === "directory" ? node.children.filter((c) => c.kind === "directory").length : 0;
  both32(field, 4, node.kind === "directory" ? 0o040555 : 0o100444);
  both32(field, 12, node.kind === "directory" ? 2 + subdirectories : 1);
  return field;
}

/** RRIP `NM`: the name as it was given. */
function alternateName(name: string): Buffer {
  const text = Buffer.from(name, "utf8");
  return Buffer.concat([Buffer.from([0x4e, 0x4d, 5 + text.length, 1, 0]), text]);
}

/** ECMA-119 8.4. */
function encodePrimaryDescriptor(
  root: IsoDirectory,
  label: string,
  totalSectors: number,
  pathTableBytes: number,
  pathTableSectors: number,
  createdAt: number,
): Buffer {
  const block = Buffer.alloc(ISO_SECTOR);
  const text = (offset: number, length: number, value: string) =>
    block.write(value.padEnd(length), offset, length, "latin1");
  block.write("\x01CD001\x01", 0, "latin1");
  text(8, 32, "LINUX");
  text(40, 32, label);
  both32(block, 80, totalSectors);
  both16(block, 120, 1);
  both16(block, 124, 1);
  both16(block, 128, ISO_SECTOR);
  both32(block, 132, pathTableBytes);
  block.writeUInt32LE(FIRST_FREE_SECTOR, 140);
  block.writeUInt32BE(FIRST_FREE_SECTOR + pathTableSectors, 148);
  encodeRecord(root, Buffer.from([0]), createdAt, NOTHING).copy(block, 156);
  for (const [offset, length] of [
    [190, 128],
    [318, 128],
    [446, 128],
    [574, 128],
    [702, 37],
    [739, 37],
    [776, 37],
  ] as const) {
    text(offset, length, offset === 574 ? "NOVA-BAREMETAL" : "");
  }
  const stamp = `${new Date(createdAt)
    .toISOString()
    .replace(/[^0-9]/g, "")
    .slice(0, 14)}00`;
  for (const offset of [813, 830, 864]) block.write(`${stamp}\0`, offset, "latin1");
  block.write(`${"0".repeat(16)}\0`, 847, "latin1");
  block[881] = 1;
  return block;
}

function both32(buffer: Buffer, offset: number, value: number): void {
  buffer.writeUInt32LE(value, offset);
  buffer.writeUInt32BE(value, offset + 4);
}

function both16(buffer: Buffer, offset: number, value: number): void {
  buffer.writeUInt16LE(value, offset);
  buffer.writeUInt16BE(value, offset + 2);
}
