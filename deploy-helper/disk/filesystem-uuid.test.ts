// Superblocks of the real mke2fs 1.47, mkfs.xfs 6.1 and mkfs.btrfs 6.2.
import { expect } from "chai";
import { FILESYSTEM_HEAD_BYTES, identifyFilesystem } from "./filesystem-uuid.ts";

function headWith(offset: number, hex: string): Buffer {
  const head = Buffer.alloc(FILESYSTEM_HEAD_BYTES);
  Buffer.from(hex, "hex").copy(head, offset);
  return head;
}

const UUID = "0123456789ab4def8123456789abcdef";
/** mke2fs -t TYPE -U ... on 8 MiB: bytes 1024 to 1143; free counts and features differ by type. */
const ext = (freeBlocks: string, features: string) =>
  `000800000020000099010000${freeBlocks}0000f507000001000000000000000000000000200000002000000008000000000000b130016b0000` +
  `ffff53ef010001000000b130016b000000000000000001000000000000000b00000000010000${features}${UUID}`;
/** On 400 MiB. */
const XFS =
  "584653420000100000000000000190000000000000000000000000000000" +
  "00007928d0027d2a495bb722790d45f9a52800000000000100060000000000000080";
const BTRFS =
  "d80c5520000000000000000000000000000000000000000000000000000000007" +
  "7443d69163b43b68db8421ff13251800000010000000000010000000000000" +
  "05f42485266535f4d060000000000000000c0d201000000000040500100000000000000000000000000000000000000000000001900000000";

describe("identifyFilesystem", () => {
  const uuid = "01234567-89ab-4def-8123-456789abcdef";
  const sizeBytes = 8 * 1024 * 1024;
  it("knows ext2, ext3 and ext4 apart", () => {
    expect(identifyFilesystem(headWith(1024, ext("ce1d", "3800000002000000" + "03000000")))).to.deep.equal({
      type: "ext2",
      uuid,
      sizeBytes,
    });
    expect(identifyFilesystem(headWith(1024, ext("c919", "3c00000002000000" + "03000000")))).to.deep.equal({
      type: "ext3",
      uuid,
      sizeBytes,
    });
    expect(identifyFilesystem(headWith(1024, ext("ae19", "3c000000c2020000" + "6b040000")))).to.deep.equal({
      type: "ext4",
      uuid,
      sizeBytes,
    });
  });
  it("knows xfs", () => {
    expect(identifyFilesystem(headWith(0, XFS))).to.deep.equal({
      type: "xfs",
      uuid: "7928d002-7d2a-495b-b722-790d45f9a528",
      sizeBytes: 400 * 1024 * 1024,
    });
  });
  it("knows btrfs", () => {
    expect(identifyFilesystem(headWith(65536, BTRFS))).to.deep.equal({
      type: "btrfs",
      uuid: "77443d69-163b-43b6-8db8-421ff1325180",
      sizeBytes: 400 * 1024 * 1024,
    });
  });
  it("knows nothing else, nor a superblock that was cut off, nor one without a UUID", () => {
    expect(identifyFilesystem(Buffer.alloc(FILESYSTEM_HEAD_BYTES))).to.equal(undefined);
    expect(identifyFilesystem(Buffer.alloc(0))).to.equal(undefined);
    expect(identifyFilesystem(headWith(0, XFS).subarray(0, 100))).to.equal(undefined);
    expect(
      identifyFilesystem(
        headWith(1024, ext("ce1d", "38000000" + "02000000" + "03000000").replace(UUID, "00".repeat(16))),
      ),
    ).to.equal(undefined);
  });
});
