// Recognition by signature: what a "raw" image must not be.
import { expect } from "chai";
import { hasPartitionTable, recogniseFormat } from "./format.ts";

const at = (offset: number, text: string) => {
  const head = Buffer.alloc(40 * 1024, 0x01);
  head.write(text, offset, "latin1");
  return head;
};

describe("recogniseFormat", () => {
  // Signatures as file(1) lists them.
  const known: [string, Buffer][] = [
    ["a qcow2 image", at(0, "QFI\xfb\0\0\0\x03")],
    ["a qcow image", at(0, "QFI\xfb\0\0\0\x01")],
    ["a VMDK image", at(0, "KDMV")],
    ["a VMDK descriptor", at(0, "# Disk DescriptorFile\n")],
    ["a VDI image", at(64, "\x7f\x10\xda\xbe")],
    ["a VHD image", at(0, "conectix")],
    ["a VHDX image", at(0, "vhdxfile")],
    ["a LUKS volume", at(0, "LUKS\xba\xbe")],
    ["gzip data", at(0, "\x1f\x8b")],
    ["xz data", at(0, "\xfd7zXZ\0")],
    ["an ISO 9660 image", at(32769, "CD001")],
    ["a tar archive", at(257, "ustar")],
  ];
  for (const [name, head] of known) it(name, () => expect(recogniseFormat(head)).to.equal(name));
  it("web pages and error messages", () => {
    expect(recogniseFormat(Buffer.from("\n <!DOCTYPE html><title>502"))).to.match(/web page/);
    expect(recogniseFormat(Buffer.from('{"error": "not found"}'))).to.match(/^text/);
  });
  it("leaves file systems and unknown bytes alone", () => {
    expect(recogniseFormat(at(1080, "\x53\xef"))).to.equal(undefined);
    expect(recogniseFormat(Buffer.alloc(40 * 1024))).to.equal(undefined);
    expect(recogniseFormat(Buffer.alloc(0))).to.equal(undefined);
  });
});

describe("hasPartitionTable", () => {
  it("needs the mark and an entry", () => {
    const head = Buffer.alloc(512);
    head.writeUInt16LE(0xaa55, 510);
    expect(hasPartitionTable(head)).to.equal(false);
    head[446 + 4] = 0x83;
    head.writeUInt32LE(2048, 446 + 12);
    expect(hasPartitionTable(head)).to.equal(true);
    expect(hasPartitionTable(head.subarray(0, 511))).to.equal(false);
  });
});
