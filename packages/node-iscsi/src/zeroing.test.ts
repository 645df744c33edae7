// Which command zeroes a range, and where it is cut.
import { expect } from "chai";
import { decodeBlockLimits, decodeLogicalBlockProvisioning, NO_BLOCK_LIMITS } from "./scsi/vpd-pages.ts";
import { firstZeroMethod, maxZeroBlocks, splitByGranularity, splitRange } from "./zeroing.ts";

function unit(limits = {}, provisioning = {}): Parameters<typeof firstZeroMethod>[0] {
  return {
    capacity: { blocks: 1000, blockSize: 512, isThin: true, readsZeroes: true, physicalBlockExponent: 0 },
    limits: { ...NO_BLOCK_LIMITS, ...limits },
    provisioning: { canUnmap: true, canWriteSameUnmap: true, readsZeroes: true, ...provisioning },
  };
}

describe("zeroing", () => {
  it("unmaps only when zeros are promised", () => {
    expect(firstZeroMethod(unit())).to.equal("write-same-unmap");
    expect(firstZeroMethod(unit({}, { readsZeroes: false }))).to.equal("write-same");
    expect(firstZeroMethod(unit({}, { canWriteSameUnmap: false }))).to.equal("write-same");
  });

  it("respects MAXIMUM WRITE SAME LENGTH and stays sane without one", () => {
    expect(maxZeroBlocks(unit({ maximumWriteSameLength: 100 }), "write-same", 8)).to.equal(100);
    expect(maxZeroBlocks(unit(), "write-same-unmap", 8)).to.equal(2 ** 30 / 512);
    expect(maxZeroBlocks(unit(), "write", 8)).to.equal(8);
    expect([...splitRange({ lba: 5, blocks: 7 }, 3)]).to.deep.equal([
      { lba: 5, blocks: 3 },
      { lba: 8, blocks: 3 },
      { lba: 11, blocks: 1 },
    ]);
  });

  it("unmaps whole granules only, with the alignment the unit declares, at the unit's end too", () => {
    const coarse = unit({ optimalUnmapGranularity: 64, unmapGranularityAlignment: 1 });
    expect(splitByGranularity({ lba: 10, blocks: 200 }, coarse)).to.deep.equal({
      head: { lba: 10, blocks: 55 },
      middle: { lba: 65, blocks: 128 },
      tail: { lba: 193, blocks: 17 },
    });
    expect(splitByGranularity({ lba: 10, blocks: 20 }, coarse).middle).to.equal(undefined);
    expect(splitByGranularity({ lba: 65, blocks: 935 }, coarse)).to.deep.equal({
      head: undefined,
      middle: { lba: 65, blocks: 896 },
      tail: { lba: 961, blocks: 39 },
    });
  });
});

describe("VPD pages", () => {
  it("B0h: limits, in the long and the short form", () => {
    const page = Buffer.alloc(60);
    page.writeUInt32BE(128, 4);
    page.writeUInt32BE(0x80000007, 28);
    page.writeBigUInt64BE(0x200000000n, 32);
    expect(decodeBlockLimits(page)).to.include({
      maximumTransferLength: 128,
      unmapGranularityAlignment: 7,
      maximumWriteSameLength: 0xffffffff,
    });
    expect(decodeBlockLimits(page.subarray(0, 12))).to.include({
      maximumTransferLength: 128,
      maximumWriteSameLength: 0,
    });
  });

  it("B2h: only LBPRZ xx1 promises zeros", () => {
    expect(decodeLogicalBlockProvisioning(Buffer.from([0, 0xc4]))).to.include({
      canUnmap: true,
      canWriteSameUnmap: true,
      readsZeroes: true,
    });
    expect(decodeLogicalBlockProvisioning(Buffer.from([0, 0xc8])).readsZeroes).to.equal(false);
  });
});
