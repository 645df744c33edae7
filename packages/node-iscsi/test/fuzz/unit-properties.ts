// What a unit says about itself is not always sensible (SBC-4 6.6.4): ranges are still cut so that every block is covered once.
import { expect } from "chai";
import fc from "fast-check";
import { decodeBlockLimits } from "node-iscsi";
import { NO_PROVISIONING } from "../../src/scsi/vpd-pages.ts";
import { type BlockRange, maxZeroBlocks, splitByGranularity, splitRange } from "../../src/zeroing.ts";
import { type Property, pureProperty } from "./property.ts";

const page = fc.uint8Array({ minLength: 12, maxLength: 60 }).map((bytes) => decodeBlockLimits(Buffer.from(bytes)));
const small = fc.nat(40);
const limits = fc
  .tuple(page, fc.option(small), fc.option(small), fc.option(small))
  .map(([stated, granularity, alignment, writeSame]) => ({
    ...stated,
    optimalUnmapGranularity: granularity ?? stated.optimalUnmapGranularity,
    unmapGranularityAlignment: alignment ?? stated.unmapGranularityAlignment,
    maximumWriteSameLength: writeSame ?? stated.maximumWriteSameLength,
  }));
const range = fc.record({ lba: fc.oneof(small, fc.nat(2 ** 31)), blocks: fc.integer({ min: 1, max: 200 }) });
const blockSize = fc.constantFrom(512, 4096, 65_536);

function expectCover(pieces: readonly BlockRange[], whole: BlockRange): void {
  let next = whole.lba;
  for (const { lba, blocks } of pieces) {
    expect(lba).to.equal(next);
    expect(blocks).to.be.above(0);
    next += blocks;
  }
  expect(next).to.equal(whole.lba + whole.blocks);
}

const cuts = pureProperty(
  "limits of a unit: any cut covers the range once",
  fc.tuple(limits, range, blockSize),
  (given) => {
    const [stated, whole, bytes] = given;
    const capacity = { blocks: 2 ** 32, blockSize: bytes, isThin: true, readsZeroes: true, physicalBlockExponent: 0 };
    const unit = { capacity, limits: stated, provisioning: NO_PROVISIONING };
    const { head, middle, tail } = splitByGranularity(whole, unit);
    expectCover(
      [head, middle, tail].filter((part) => part !== undefined),
      whole,
    );
    if (middle !== undefined) {
      const granule = Math.max(1, stated.optimalUnmapGranularity);
      expect((middle.lba - stated.unmapGranularityAlignment) % granule).to.be.oneOf([0, -0]);
      expect(middle.blocks % granule).to.equal(0);
    }
    for (const method of ["write-same-unmap", "write-same", "write"] as const) {
      const most = maxZeroBlocks(unit, method, 16);
      const pieces = [...splitRange(whole, most)];
      expectCover(pieces, whole);
      for (const { blocks } of pieces) expect(blocks).to.be.at.most(most);
    }
  },
);

export const UNIT_PROPERTIES: readonly Property[] = [cuts];
