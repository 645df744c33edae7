// Bounds of the config drive's file system (ECMA-119); that others can read it is test/interop/disk.test.ts's matter.
import { expect } from "chai";
import { encodeIso } from "./iso.ts";

const drive = (...paths: string[]) => encodeIso(new Map(paths.map((path) => [path, Buffer.from("x")])), "config-2", 0);

describe("encodeIso", () => {
  it("starts with 16 empty sectors and a primary volume descriptor (ECMA-119 6.2.1, 8.4)", () => {
    const image = drive("a/b");
    expect(image.length % 2048).to.equal(0);
    expect(image.subarray(0, 32768).equals(Buffer.alloc(32768))).to.equal(true);
    expect(image.toString("latin1", 32768, 32775)).to.equal("\x01CD001\x01");
    expect(image.toString("latin1", 32808, 32816)).to.equal("config-2");
    expect(image.toString("latin1", 34816, 34823)).to.equal("\xffCD001\x01");
    // 8.4.8: the number of sectors, in both byte orders.
    expect(image.readUInt32LE(32848)).to.equal(image.length / 2048);
    expect(image.readUInt32BE(32852)).to.equal(image.length / 2048);
  });
  for (const path of ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "x".repeat(161), "1/2/3/4/5/6/7/8"]) {
    it(`refuses the path ${JSON.stringify(path).slice(0, 20)}`, () => {
      expect(() => drive(path)).to.throw(/cannot be a path/);
    });
  }
  it("refuses a file that is a folder too", () => {
    expect(() => drive("a", "a/b")).to.throw(/"a" is a file/);
    expect(() => drive("a/b", "a")).to.throw(/twice/);
  });
  it("refuses content beyond its bound", () => {
    expect(() => encodeIso(new Map([["a", Buffer.alloc(65 * 1024 * 1024)]]), "config-2", 0)).to.throw(/more than/);
  });
});
