// What we write to disks, judged by the tools that others use: sfdisk, blkid, e2fsck, dumpe2fs, debugfs, and bsdtar.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  type BlockDevice,
  encodeIso,
  encodeMbr,
  encodeSwapHeader,
  identifyFilesystem,
  makeExt,
  planPartitions,
} from "../../deploy-helper/disk/index.ts";

const MIB = 1024 * 1024;
const UUID = Buffer.from("0123456789ab4def8123456789abcdef", "hex");
const UUID_TEXT = "01234567-89ab-4def-8123-456789abcdef";

describe("disk structures and their referees", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "disk-interop-"));
    path = join(folder, "disk");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const run = (tool: string, ...args: string[]) => execFileSync(tool, args, { stdio: "pipe" }).toString();
  const blkid = () =>
    Object.fromEntries(
      run("blkid", "-p", "-o", "export", path)
        .trim()
        .split("\n")
        .map((line) => line.split("=") as [string, string]),
    );

  describe("MBR by sfdisk", () => {
    for (const [name, ephemeralMb, expected] of [
      ["with ephemeral", 100, ["83 2048 204800", "82 206848 2048", "83 208896 614400", "83 823296 2048"]],
      ["without", 0, ["83 2048 614400", "82 616448 2048", "83 618496 2048"]],
    ] as const) {
      it(name, () => {
        const diskBytes = 1000 * MIB;
        const plan = planPartitions({
          diskBytes,
          blockSize: 512,
          rootMb: 300,
          swapMb: 0,
          ephemeralMb,
          configDriveBytes: 5000,
        });
        writeFileSync(path, encodeMbr(plan, 512, 0xcafe0001));
        truncateSync(path, diskBytes);
        const table = JSON.parse(run("sfdisk", "-J", path)).partitiontable;
        expect(table).to.include({ label: "dos", id: "0xcafe0001" });
        const found = table.partitions.map(
          (p: { type: string; start: number; size: number }) => `${p.type} ${p.start} ${p.size}`,
        );
        expect(found).to.deep.equal(expected);
        expect(run("sfdisk", "-V", path)).to.include("No errors detected");
      });
    }
  });

  it("swap by blkid", () => {
    writeFileSync(path, encodeSwapHeader(5 * MIB, UUID, "swap1"));
    truncateSync(path, 5 * MIB);
    expect(blkid()).to.include({ TYPE: "swap", LABEL: "swap1", UUID: UUID_TEXT, VERSION: "1" });
  });

  describe("ext by e2fsck, dumpe2fs, debugfs, blkid", () => {
    for (const format of ["ext2", "ext3", "ext4"] as const) {
      for (const [sizeMb, blockSize, isZeroed] of [
        [1, 512, false],
        [2, 512, false],
        [9.5, 512, false],
        [16, 4096, true],
        [64, 512, true],
        [511, 512, true],
        [512, 512, true],
        [1153, 512, true],
        [20_000, 4096, true],
      ] as const) {
        it(`${format} of ${sizeMb} MiB on ${blockSize}-byte blocks${isZeroed ? "" : " full of old data"}`, async () => {
          const sizeBytes = Math.floor((sizeMb * MIB) / blockSize) * blockSize;
          if (isZeroed) writeFileSync(path, "");
          else writeFileSync(path, Buffer.alloc(sizeBytes, 0xa5));
          truncateSync(path, sizeBytes);
          const device = await FileDevice.open(path, sizeBytes, blockSize);
          const made = await makeExt(device, { format, label: "ephemeral0", isZeroed, uuid: UUID, now: Date.now() });
          await device.close();
          expect(made.uuid).to.equal(UUID_TEXT);
          // Exit status 0: e2fsck found nothing that it would change.
          expect(run("e2fsck", "-fn", path)).to.match(/ephemeral0: 11\/\d+ files/);
          const hasJournal = format === "ext4" || (format === "ext3" && sizeMb >= 2);
          const type = format === "ext3" && !hasJournal ? "ext2" : format;
          expect(blkid()).to.include({ TYPE: type, LABEL: "ephemeral0", UUID: UUID_TEXT });
          expect(run("dumpe2fs", "-h", path)).to.match(/Filesystem state:\s+clean/);
          expect(run("debugfs", "-R", "ls -p /", path)).to.match(/\/11\/040700\/0\/0\/lost\+found\/\//);
          const file = await open(path, "r");
          const head = Buffer.alloc(128 * 1024);
          await file.read(head, 0, head.length, 0);
          await file.close();
          expect(identifyFilesystem(head)).to.include({ type, uuid: UUID_TEXT });
        });
      }
    }

    it("takes files: debugfs writes into it, and e2fsck still agrees", async () => {
      writeFileSync(path, "");
      truncateSync(path, 64 * MIB);
      const device = await FileDevice.open(path, 64 * MIB, 512);
      await makeExt(device, { format: "ext4", label: "ephemeral0", isZeroed: true, now: Date.now() });
      await device.close();
      const content = Buffer.alloc(3 * MIB, "content");
      writeFileSync(join(folder, "in"), content);
      run("debugfs", "-w", "-R", `write ${join(folder, "in")} file`, path);
      run("e2fsck", "-fn", path);
      run("debugfs", "-R", `dump file ${join(folder, "out")}`, path);
      expect(readFileSync(join(folder, "out")).equals(content)).to.equal(true);
    });
  });

  describe("config drive by blkid and libarchive", () => {
    it("has its label, its long lower-case names and its contents", () => {
      const files = new Map([
        ["openstack/latest/meta_data.json", Buffer.from('{"uuid":"x"}')],
        ["openstack/latest/user_data", Buffer.alloc(5000, "u")],
        ["openstack/latest/empty", Buffer.alloc(0)],
        ["ec2/latest/Name With Spaces, and more than 31 characters.json", Buffer.from("{}")],
      ]);
      // More than one sector of directory records.
      for (let i = 0; i < 60; i++)
        files.set(`openstack/content/file-number-${i}-of-sixty`, Buffer.from(`content ${i}`));
      writeFileSync(path, encodeIso(files, "config-2", Date.UTC(2026, 0, 2, 3, 4, 5)));
      expect(blkid()).to.include({ TYPE: "iso9660", LABEL: "config-2" });
      execFileSync("bsdtar", ["-xf", path], { cwd: folder, stdio: "pipe" });
      for (const [name, content] of files) {
        expect(sha256(readFileSync(join(folder, name))), name).to.equal(sha256(content));
      }
    });
  });
});

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

class FileDevice implements BlockDevice {
  readonly #file: number;
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly close: () => Promise<void>;

  private constructor(handle: { fd: number; close(): Promise<void> }, sizeBytes: number, blockSize: number) {
    this.#file = handle.fd;
    this.close = () => handle.close();
    this.sizeBytes = sizeBytes;
    this.blockSize = blockSize;
  }

  static async open(path: string, sizeBytes: number, blockSize: number): Promise<FileDevice> {
    return new FileDevice(await open(path, "r+"), sizeBytes, blockSize);
  }

  async read(): Promise<Buffer> {
    throw new Error("mkfs reads nothing");
  }

  async write(offset: number, data: Buffer): Promise<void> {
    expect(offset % this.blockSize, "offset").to.equal(0);
    expect(data.length % this.blockSize, "length").to.equal(0);
    expect(offset + data.length).to.be.at.most(this.sizeBytes);
    writeSync(this.#file, data, 0, data.length, offset);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    await this.write(offset, Buffer.alloc(length));
  }

  async flush(): Promise<void> {}
}
