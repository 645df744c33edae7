// qcow2 headers and table entries: bytes from qemu-img 7.2 and from QEMU's docs/interop/qcow2.txt.
import { expect } from "chai";
import { parseL1Entry, parseL2Entry, parseQcow2Header } from "./qcow2-format.ts";

// qemu-img create -f qcow2 i 1M; with -o compat=0.10 the first 72 bytes of V2.
const V3 =
  "514649fb0000000300000000000000000000000000000010000000000010000000000000000000010000000000030000" +
  "000000000001000000000001000000000000000000000000000000000000000000000000000000000000000000000000" +
  "00000004000000700000000000000000";
const V2 =
  "514649fb0000000200000000000000000000000000000010000000000010000000000000000000010000000000030000" +
  "000000000001000000000001000000000000000000000000";
const FILE = 10 * 65536;

function header(hex: string, change?: (bytes: Buffer) => void) {
  const bytes = Buffer.from(hex, "hex");
  change?.(bytes);
  return parseQcow2Header(bytes, FILE, "i");
}

describe("parseQcow2Header", () => {
  const expected = { virtualSizeBytes: 1 << 20, clusterBits: 16, clusterSize: 65536, l1Entries: 1, l1Offset: 0x30000 };
  it("reads version 2 and 3", () => {
    expect(header(V3)).to.deep.equal({ version: 3, ...expected });
    expect(header(V2)).to.deep.equal({ version: 2, ...expected });
  });
  const refusals: [string, (bytes: Buffer) => void, RegExp][] = [
    ["another magic", (b) => b.write("XFI", 0), /not a qcow2/],
    ["version 1", (b) => b.writeUInt32BE(1, 4), /version is 1/],
    ["version 4", (b) => b.writeUInt32BE(4, 4), /version is 4/],
    ["a backing file", (b) => b.writeUInt32BE(200, 12), /backing file/],
    ["a backing file's length alone", (b) => b.writeUInt32BE(5, 16), /backing file/],
    ["encryption", (b) => b.writeUInt32BE(1, 32), /encrypted/],
    ["clusters of 256 bytes", (b) => b.writeUInt32BE(8, 20), /cluster size/],
    ["clusters of 4 MiB", (b) => b.writeUInt32BE(22, 20), /cluster size/],
    ["no size", (b) => b.writeBigUInt64BE(0n, 24), /virtual size/],
    ["an odd size", (b) => b.writeBigUInt64BE(513n, 24), /virtual size/],
    ["an endless size", (b) => b.writeBigUInt64BE(0xfffffffffffffe00n, 24), /virtual size/],
    ["an L1 table too small for the size", (b) => b.writeBigUInt64BE(1n << 40n, 24), /L1 table/],
    ["an L1 table too large", (b) => b.writeUInt32BE(0x400001, 36), /L1 table/],
    ["an L1 table outside of the file", (b) => b.writeBigUInt64BE(1n << 50n, 40), /cut off/],
    ["an L1 table that is not aligned", (b) => b.writeBigUInt64BE(0x30008n, 40), /cut off/],
    ["an external data file", (b) => b.writeUInt32BE(4, 76), /external file/],
    ["the corrupt mark", (b) => b.writeUInt32BE(2, 76), /corrupt/],
    ["another compression", (b) => b.writeUInt32BE(8, 76), /compression/],
    ["extended L2 entries", (b) => b.writeUInt32BE(16, 76), /extended L2/],
    ["an unknown feature", (b) => b.writeUInt32BE(32, 76), /not known/],
    ["an unknown high feature", (b) => b.writeUInt32BE(1, 72), /not known/],
    ["a wrong header length", (b) => b.writeUInt32BE(10_000, 100), /header length/],
  ];
  for (const [name, change, reason] of refusals) {
    it(`refuses ${name}`, () => {
      expect(() => header(V3, change))
        .to.throw(reason)
        .with.property("code", "ImageUnacceptable");
    });
  }
  it("does not mind the dirty mark: refcounts are not used", () => {
    expect(header(V3, (b) => b.writeUInt32BE(1, 76)).version).to.equal(3);
  });
});

describe("table entries", () => {
  const v3 = header(V3);
  it("L1: absent, present, outside", () => {
    expect(parseL1Entry(0n, v3, FILE, "i")).to.equal(undefined);
    expect(parseL1Entry(0x8000000000040000n, v3, FILE, "i")).to.equal(0x40000);
    expect(() => parseL1Entry(0x80000000000a0000n, v3, FILE, "i")).to.throw(/outside/);
    expect(() => parseL1Entry(0x8000000000040200n, v3, FILE, "i")).to.throw(/outside/);
  });
  it("L2: unallocated, zero, data, outside", () => {
    expect(parseL2Entry(0n, v3, FILE, "i")).to.deep.equal({ kind: "zero" });
    expect(parseL2Entry(1n, v3, FILE, "i")).to.deep.equal({ kind: "zero" });
    expect(parseL2Entry(0x8000000000050001n, v3, FILE, "i")).to.deep.equal({ kind: "zero" });
    expect(parseL2Entry(0x8000000000050000n, v3, FILE, "i")).to.deep.equal({ kind: "data", fileOffset: 0x50000 });
    expect(() => parseL2Entry(0x80000000000a0000n, v3, FILE, "i")).to.throw(/outside/);
  });
  it("L2: compressed; with 64 KiB clusters the offset has 54 bits (qcow2.txt, Compressed Clusters Descriptor)", () => {
    // x = 62 - (16 - 8) = 54: bits 54 to 61 count the sectors after the first.
    const entry = (1n << 62n) | (3n << 54n) | 0x50064n;
    expect(parseL2Entry(entry, v3, FILE, "i")).to.deep.equal({
      kind: "compressed",
      fileOffset: 0x50064,
      fileBytes: 4 * 512 - 0x64,
    });
    expect(() => parseL2Entry((1n << 62n) | 0xa0000n, v3, FILE, "i")).to.throw(/outside/);
  });
});
