// Block arithmetic and netascii (RFC 1350 section 1; RFC 764 for CR).
import { expect } from "chai";
import { lastBlockOf, MemorySource, toNetascii } from "./block-source.ts";
import { backoffMs } from "./retry-timer.ts";

describe("tftp blocks", () => {
  it("ends with a short block, an empty one after an exact multiple", () => {
    const cases: [size: number, last: number][] = [
      [0, 1],
      [1, 1],
      [511, 1],
      [512, 2],
      [513, 2],
      [1024, 3],
    ];
    for (const [size, last] of cases) expect(lastBlockOf(size, 512), `${size}`).to.equal(last);
    expect(new MemorySource(Buffer.alloc(512)).read(2, 512)).to.have.length(0);
  });

  it("translates to netascii", () => {
    expect(toNetascii(Buffer.from("a\nb\rc\r\n")).toString("hex")).to.equal("610d0a620d00630d000d0a");
  });

  it("doubles the pause up to 8 s, or stays at a longer first one", () => {
    expect([0, 1, 2, 3, 4].map((attempt) => backoffMs(1000, attempt))).to.deep.equal([1000, 2000, 4000, 8000, 8000]);
    expect(backoffMs(30_000, 3)).to.equal(30_000);
  });
});
