// The partition plan and the MBR's bytes (nova-baremetal.md 5.4; expected bytes from `sfdisk`, util-linux 2.38).
import { expect } from "chai";
import { decodeMbr, encodeMbr, MIB, planPartitions } from "./mbr.ts";

const request = {
  diskBytes: 2000 * MIB,
  blockSize: 512,
  rootMb: 1000,
  swapMb: 64,
  ephemeralMb: 0,
  configDriveBytes: 0,
};
const shape = (overrides: Partial<typeof request>) =>
  planPartitions({ ...request, ...overrides }).map(
    (p) => `${p.number} ${p.role} ${p.offsetBytes / MIB}+${p.sizeBytes / MIB}`,
  );

describe("planPartitions", () => {
  it("puts root before swap", () => {
    expect(shape({})).to.deep.equal(["1 root 1+1000", "2 swap 1001+64"]);
  });
  it("puts ephemeral first and root last", () => {
    expect(shape({ ephemeralMb: 100 })).to.deep.equal(["1 ephemeral 1+100", "2 swap 101+64", "3 root 165+1000"]);
  });
  it("always makes a swap partition", () => {
    expect(shape({ swapMb: 0 })).to.deep.equal(["1 root 1+1000", "2 swap 1001+1"]);
  });
  it("puts the config drive behind, in whole MiB", () => {
    expect(shape({ configDriveBytes: MIB + 1 })[2]).to.equal("3 config drive 1065+2");
  });
  it("fills the disk to its last byte, and not one more", () => {
    expect(shape({ diskBytes: 1065 * MIB })).to.have.length(2);
    expect(() => shape({ diskBytes: 1065 * MIB - 512 })).to.throw(
      /disk is too small: it has 1064 MiB.*1065 MiB are needed/,
    );
  });
  it("refuses what an MBR cannot hold", () => {
    const huge = { diskBytes: 2 ** 43, rootMb: 2 ** 21 };
    expect(() => shape(huge)).to.throw(/MBR partition table cannot hold/);
    expect(shape({ ...huge, blockSize: 4096 })).to.have.length(2);
  });
  it("refuses sizes that are no sizes", () => {
    expect(() => shape({ rootMb: 0 })).to.throw(/no size/);
    expect(() => shape({ swapMb: -1 })).to.throw(/swapMb/);
    expect(() => shape({ ephemeralMb: Number.NaN })).to.throw(/ephemeralMb/);
  });
});

describe("encodeMbr", () => {
  // `sfdisk` on a 2000 MiB file, fed with label-id: 0x12345678 and 2048,2048000,83 and 2050048,131072,82; bytes 440 to 511.
  const SFDISK = [
    "785634120000",
    "00202100839b1c7f0008000000401f00",
    "009b1d7f82c33c8700481f0000000200",
    "00".repeat(32),
    "55aa",
  ].join("");

  it("is what sfdisk writes", () => {
    const mbr = encodeMbr(planPartitions(request), 512, 0x12345678);
    expect(mbr.subarray(0, 440).every((byte) => byte === 0)).to.equal(true);
    expect(mbr.toString("hex", 440)).to.equal(SFDISK);
  });
  it("is read back, and other blocks are not taken for one", () => {
    const plan = planPartitions({ ...request, ephemeralMb: 10 });
    const read = decodeMbr(encodeMbr(plan, 512, 7), 512);
    expect(read?.diskSignature).to.equal(7);
    expect(read?.entries).to.deep.equal(plan.map(({ role: _, ...entry }) => entry));
    expect(decodeMbr(Buffer.alloc(512), 512)).to.equal(undefined);
    expect(decodeMbr(Buffer.alloc(10), 512)).to.equal(undefined);
  });
});
