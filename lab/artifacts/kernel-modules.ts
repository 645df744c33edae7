// Which kernel modules a ramdisk needs and in which order to load them, from each module's own .modinfo section (ELF64).
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { BaremetalError } from "../../lib/errors.ts";

/** One module: its name with underscores, and the file. */
export interface KernelModule {
  readonly name: string;
  readonly path: string;
}

/**
 * The `key=value` texts of a module's .modinfo section; a key that repeats keeps its first value.
 * @throws BaremetalError `BadInput` if `elf` is not a little-endian ELF64 object
 */
export function readModinfo(elf: Buffer): Map<string, string> {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new BaremetalError("BadInput", "not a little-endian ELF64 file, so not a kernel module of this machine");
  }
  const sectionsAt = Number(elf.readBigUInt64LE(0x28));
  const sectionSize = elf.readUInt16LE(0x3a);
  const sectionCount = elf.readUInt16LE(0x3c);
  const namesIndex = elf.readUInt16LE(0x3e);
  const section = (index: number) => {
    const at = sectionsAt + index * sectionSize;
    return {
      name: elf.readUInt32LE(at),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
    };
  };
  const names = section(namesIndex).offset;
  for (let index = 0; index < sectionCount; index++) {
    const { name, offset, size } = section(index);
    if (textAt(elf, names + name) === ".modinfo") return parseModinfo(elf.subarray(offset, offset + size));
  }
  return new Map();
}

function textAt(bytes: Buffer, offset: number): string {
  return bytes.toString("latin1", offset, bytes.indexOf(0, offset));
}

function parseModinfo(section: Buffer): Map<string, string> {
  const values = new Map<string, string>();
  for (const text of section.toString("latin1").split("\0")) {
    const equals = text.indexOf("=");
    const key = text.slice(0, equals);
    if (equals > 0 && !values.has(key)) values.set(key, text.slice(equals + 1));
  }
  return values;
}

/**
 * The modules named in `wanted` and all they depend on, dependencies first. A name without a file is taken as built
 * into the kernel: the ramdisk finds out at boot.
 */
export async function modulesInLoadOrder(modulesFolder: string, wanted: readonly string[]): Promise<KernelModule[]> {
  const files = new Map<string, string>();
  for (const entry of await readdir(modulesFolder, { recursive: true })) {
    if (entry.endsWith(".ko")) files.set(moduleName(basename(entry, ".ko")), join(modulesFolder, entry));
  }
  const order: KernelModule[] = [];
  const seen = new Set<string>();
  const add = async (name: string): Promise<void> => {
    const path = files.get(name);
    if (path === undefined || seen.has(name)) return;
    seen.add(name);
    const depends = readModinfo(await readFile(path)).get("depends") ?? "";
    for (const dependency of depends.split(",")) await add(moduleName(dependency));
    order.push({ name, path });
  };
  for (const name of wanted) await add(moduleName(name));
  return order;
}

/** File names use dashes or underscores as it comes; the kernel treats both alike. */
function moduleName(name: string): string {
  return name.trim().replaceAll("-", "_");
}
