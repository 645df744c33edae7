// Reading .modinfo, on an ELF64 object laid out by hand after the ELF specification (figures 1-3, 1-8).
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BaremetalError } from "../../lib/errors.ts";
import { modulesInLoadOrder, readModinfo } from "./kernel-modules.ts";

/** Header of 64 bytes, .modinfo, section names, then three section headers of 64 bytes: null, .modinfo, .shstrtab. */
function module(modinfo: string): Buffer {
  const header = Buffer.alloc(64);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header);
  const info = Buffer.from(modinfo);
  const names = Buffer.from("\0.modinfo\0.shstrtab\0");
  header.writeBigUInt64LE(BigInt(64 + info.length + names.length), 0x28);
  header.writeUInt16LE(64, 0x3a);
  header.writeUInt16LE(3, 0x3c);
  header.writeUInt16LE(2, 0x3e);
  const sections = Buffer.alloc(3 * 64);
  const section = (index: number, name: number, offset: number, size: number) => {
    sections.writeUInt32LE(name, index * 64);
    sections.writeBigUInt64LE(BigInt(offset), index * 64 + 24);
    sections.writeBigUInt64LE(BigInt(size), index * 64 + 32);
  };
  section(1, 1, 64, info.length);
  section(2, 10, 64 + info.length, names.length);
  return Buffer.concat([header, info, names, sections]);
}

describe("lab: kernel modules", () => {
  it("reads the key=value texts of .modinfo; the first of a repeated key counts", () => {
    const info = readModinfo(module("license=GPL\0alias=a\0alias=b\0depends=cdrom,nls-base\0vermagic=6.1 SMP\0"));
    expect([...info]).to.deep.equal([
      ["license", "GPL"],
      ["alias", "a"],
      ["depends", "cdrom,nls-base"],
      ["vermagic", "6.1 SMP"],
    ]);
  });

  it("refuses what is no ELF64 object, by a typed error", () => {
    const elf32 = module("license=GPL\0");
    elf32[4] = 1;
    for (const bytes of [Buffer.alloc(0), Buffer.from("#!/bin/sh\n".repeat(20)), elf32]) {
      expect(() => readModinfo(bytes))
        .to.throw(BaremetalError)
        .with.property("code", "BadInput");
    }
  });

  it("orders modules after what they depend on, each once, dashes and underscores alike; unknown ones are built in", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lab-modules-"));
    try {
      await writeFile(join(folder, "virtio-ring.ko"), module("depends=\0"));
      await writeFile(join(folder, "virtio.ko"), module("depends=virtio_ring\0"));
      await writeFile(join(folder, "virtio_pci.ko"), module("depends=virtio,virtio-ring\0"));
      await writeFile(join(folder, "other.ko"), module("depends=\0"));
      const order = await modulesInLoadOrder(folder, ["ext4", "virtio-pci", "virtio"]);
      expect(order.map(({ name }) => name)).to.deep.equal(["virtio_ring", "virtio", "virtio_pci"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
