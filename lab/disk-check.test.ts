// The lab's own look at a disk: a partition table that util-linux's sfdisk wrote, and the hash of a root partition.
import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BaremetalError } from "../lib/errors.ts";
import { hashRootPartition, readMbr } from "./disk-check.ts";

// Bytes 446 to 511 of a 2 GiB file after: printf '1MiB,1024MiB,83\n,64MiB,82\n,1MiB,83\n' | sfdisk (util-linux 2.38.1)
const SFDISK =
  "0020210083aa2882000800000000200000aa298282d3098a000820000000020000d30a8a83f3298a00082200000800000000000000000000000000000000000055aa";

function sector(table: string): Buffer {
  return Buffer.concat([Buffer.alloc(446), Buffer.from(table, "hex")]);
}

describe("lab: disk check", () => {
  it("reads the partitions that sfdisk wrote", () => {
    const MIB = 2 ** 20;
    expect(readMbr(sector(SFDISK))).to.deep.equal([
      { number: 1, type: 0x83, startBytes: MIB, sizeBytes: 1024 * MIB },
      { number: 2, type: 0x82, startBytes: 1025 * MIB, sizeBytes: 64 * MIB },
      { number: 3, type: 0x83, startBytes: 1089 * MIB, sizeBytes: MIB },
    ]);
  });

  it("says that an empty disk has no partition table", () => {
    expect(() => readMbr(Buffer.alloc(512))).to.throw(BaremetalError, "no partition table");
  });

  it("hashes exactly the content's bytes of the first Linux partition", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lab-disk-"));
    const path = join(folder, "disk");
    const content = Buffer.alloc(5000, "tenant");
    const file = await open(path, "w");
    try {
      await file.write(sector(SFDISK), 0, 512, 0);
      await file.write(Buffer.concat([content, Buffer.from("after")]), 0, 5005, 2 ** 20);
      const expected = createHash("sha256").update(content).digest("hex");
      expect(await hashRootPartition(path, 5000)).to.equal(expected);
      expect(await hashRootPartition(path, 5001)).not.to.equal(expected);
      const tooLarge = await hashRootPartition(path, 1025 * 2 ** 20).catch((error: unknown) => error);
      expect(tooLarge).to.be.instanceOf(BaremetalError);
    } finally {
      await file.close();
      await rm(folder, { recursive: true });
    }
  });
});
