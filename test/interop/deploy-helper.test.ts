// A whole deployment against a real iSCSI session: the bytes on the disk, judged by sfdisk, e2fsck, blkid and qemu-img.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type BenchOptions, DeployBench, makeExt4, OLD_BYTE, post } from "../fakes/deploy-bench.ts";

const MIB = 1024 * 1024;

/** Cuts a partition out of the disk's file, for a tool to look at. */
function partitionFile(bench: DeployBench, number: number): string {
  const table = JSON.parse(execFileSync("sfdisk", ["-J", bench.diskPath], { stdio: "pipe" }).toString());
  const { start, size } = table.partitiontable.partitions[number - 1];
  const path = join(bench.folder, `part${number}`);
  writeFileSync(path, bench.readDisk(start * 512, size * 512));
  return path;
}

function isZero(bytes: Buffer): boolean {
  return bytes.equals(Buffer.alloc(bytes.length));
}

function blkid(path: string): Record<string, string> {
  const lines = execFileSync("blkid", ["-p", "-o", "export", path], { stdio: "pipe" }).toString().trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split("=") as [string, string]));
}

describe("deploy helper: a whole deployment", () => {
  let bench: DeployBench | undefined;
  afterEach(async () => {
    await bench?.close();
    bench = undefined;
  });

  async function deploy(options: BenchOptions): Promise<DeployBench> {
    bench = await DeployBench.open(options);
    const helper = await bench.startHelper();
    const answer = await post(helper.address.port, bench.call());
    expect(answer).to.include({ status: 200, text: "" });
    const row = await bench.until(["deploy complete", "failed"]);
    expect(row.error).to.equal(null);
    return bench;
  }

  it("writes ephemeral, swap, root and config drive of a raw image, and nothing of the last tenant survives", async () => {
    const drive = { "openstack/latest/meta_data.json": '{"uuid":"x"}', "openstack/latest/user_data": "#!/bin/sh\n" };
    const done = await deploy({ ephemeralMb: 8, ephemeralFormat: "ext4", configDrive: drive });
    const image = readFileSync(done.imagePath);
    const root = readFileSync(partitionFile(done, 3));
    expect(root.length).to.equal(24 * MIB);
    expect(root.subarray(0, image.length).equals(image)).to.equal(true);
    expect(isZero(root.subarray(image.length))).to.equal(true);

    expect(execFileSync("e2fsck", ["-fn", partitionFile(done, 1)], { stdio: "pipe" }).toString()).to.include(
      "ephemeral0",
    );
    expect(blkid(partitionFile(done, 1))).to.include({ TYPE: "ext4", LABEL: "ephemeral0" });
    expect(blkid(partitionFile(done, 2))).to.include({ TYPE: "swap", LABEL: "swap1" });
    expect(blkid(partitionFile(done, 4))).to.include({ TYPE: "iso9660", LABEL: "config-2" });
    expect(done.readDisk(0, statSync(done.diskPath).size).includes(Buffer.alloc(64, OLD_BYTE))).to.equal(false);

    const row = await done.row();
    expect(row.rootUuid).to.equal(blkid(partitionFile(done, 3)).UUID);
    expect(row.result.readBackSha256).to.equal(row.imageSha256);
    expect(row.leaseHolder).to.equal(null);
    const config = readFileSync(done.pxeConfigPath, "utf8");
    expect(config)
      .to.match(/^default boot\n/)
      .and.to.include(`root=UUID=${row.rootUuid} ro quiet`);
    expect(config).to.not.include("ROOT}");
    expect(statSync(done.pxeConfigPath).mode & 0o777).to.equal(0o644);
    expect(done.doneWords).to.deep.equal(["done"]);
  });

  it("tells each step with its start, end and duration", async () => {
    const done = await deploy({});
    const events = await done.events.list({ deploymentId: done.deployment.id });
    const ended = events.filter((event) => event.source === "deploy-helper" && event.kind === "end");
    expect(ended.map((event) => event.step)).to.deep.equal([
      "login",
      "read capacity",
      "check plan",
      "partition table",
      "write image",
      "swap",
      "erase the rest",
      "flush",
      "verify",
      "root uuid",
      "logout",
      "flip pxe config",
      "notify node",
    ]);
    for (const event of ended) expect(event.data.durationMs).to.be.a("number");
    const write = ended.find((event) => event.step === "write image");
    expect(write?.data.bytesWritten).to.be.greaterThan(MIB);
  });

  for (const [name, args] of [
    ["v3", ["-o", "compat=1.1"]],
    ["v2", ["-o", "compat=0.10"]],
    ["compressed v3", ["-c"]],
    ["v3 with 4 KiB clusters", ["-o", "cluster_size=4096"]],
  ] as const) {
    it(`streams a qcow2 image: ${name}`, async () => {
      const makeImage = (path: string) => {
        makeExt4(`${path}.raw`, 12);
        execFileSync("qemu-img", ["convert", "-O", "qcow2", ...args, `${path}.raw`, path], { stdio: "pipe" });
      };
      const done = await deploy({ imageFormat: "qcow2", makeImage });
      const raw = readFileSync(`${done.imagePath}.raw`);
      expect(done.readDisk(MIB, raw.length).equals(raw)).to.equal(true);
      expect(isZero(done.readDisk(MIB + raw.length, 12 * MIB))).to.equal(true);
    });
  }

  it("writes to a disk with 4 KiB blocks", async () => {
    const done = await deploy({ ephemeralMb: 8, target: { blockSize: 4096 } });
    const image = readFileSync(done.imagePath);
    expect(done.readDisk((1 + 8 + 2) * MIB, image.length).equals(image)).to.equal(true);
    const ephemeral = join(done.folder, "e");
    writeFileSync(ephemeral, done.readDisk(MIB, 8 * MIB));
    expect(execFileSync("e2fsck", ["-fn", ephemeral], { stdio: "pipe" }).toString()).to.include("ephemeral0");
    expect(blkid(ephemeral).TYPE).to.equal("ext3");
  });

  it("keeps an ephemeral partition that stays where it is", async () => {
    const first = await deploy({ ephemeralMb: 8 });
    const before = first.readDisk(0, 9 * MIB);
    const keep = before.subarray(MIB);
    const disk = first.diskPath;
    const second = await DeployBench.open({ ephemeralMb: 8, preserveEphemeral: true });
    try {
      writeFileSync(second.diskPath, readFileSync(disk));
      const helper = await second.startHelper();
      await post(helper.address.port, second.call());
      const row = await second.until(["deploy complete", "failed"]);
      expect(row.error).to.equal(null);
      expect(second.readDisk(MIB, 8 * MIB).equals(keep)).to.equal(true);
      expect(second.readDisk(440, 4).equals(before.subarray(440, 444))).to.equal(true);
    } finally {
      await second.close();
    }
  });

  it("makes the root as large as an image that is larger than the flavor's", async () => {
    const done = await deploy({ rootMb: 4 });
    const root = readFileSync(partitionFile(done, 1));
    expect(root.length).to.equal(12 * MIB);
  });
});

describe("deploy helper: refused before a byte is written", () => {
  const refusals: [string, BenchOptions, RegExp][] = [
    ["an image larger than the disk", { diskMb: 10 }, /too small/],
    ["partitions larger than the disk", { rootMb: 1000 }, /disk is too small/],
    ["an empty image", { makeImage: (path) => writeFileSync(path, "") }, /is empty/],
    ["an error page", { makeImage: (path) => writeFileSync(path, "<html>404</html>".padEnd(5000)) }, /web page/],
    ["random bytes", { makeImage: (path) => writeFileSync(path, Buffer.alloc(MIB, 7)) }, /must be a file system/],
    [
      "a whole-disk image",
      {
        makeImage: (path) => {
          writeFileSync(path, Buffer.alloc(4 * MIB));
          execFileSync("sfdisk", ["-q", path], { input: "2048,,83\n", stdio: "pipe" });
        },
      },
      /partition table/,
    ],
    [
      "a qcow2 image declared raw",
      { makeImage: (path) => execFileSync("qemu-img", ["create", "-f", "qcow2", path, "8M"], { stdio: "pipe" }) },
      /declared raw, but it is a qcow2 image/,
    ],
    [
      "a qcow2 image with a backing file",
      {
        imageFormat: "qcow2",
        makeImage: (path) => {
          makeExt4(`${path}.base`, 8);
          const args = ["create", "-f", "qcow2", "-b", `${path}.base`, "-F", "raw", path];
          execFileSync("qemu-img", args, { stdio: "pipe" });
        },
      },
      /backing file/,
    ],
    [
      "a qcow2 image with an external data file",
      {
        imageFormat: "qcow2",
        makeImage: (path) => {
          const args = ["create", "-f", "qcow2", "-o", `data_file=${path}.data`, path, "8M"];
          execFileSync("qemu-img", args, { stdio: "pipe" });
        },
      },
      /external file/,
    ],
    [
      "an image that was cut off",
      {
        makeImage: (path) => {
          makeExt4(path, 12);
          execFileSync("truncate", ["-s", "9M", path]);
        },
      },
      /cut off/,
    ],
    [
      "an ephemeral format that we cannot make",
      { ephemeralMb: 4, ephemeralFormat: "ntfs" },
      /default_ephemeral_format/,
    ],
    ["an ephemeral partition that would move", { ephemeralMb: 4, preserveEphemeral: true }, /cannot be kept/],
  ];
  for (const [name, options, cause] of refusals) {
    it(name, async () => {
      const bench = await DeployBench.open(options);
      try {
        const helper = await bench.startHelper();
        expect((await post(helper.address.port, bench.call())).status).to.equal(200);
        const row = await bench.until(["deploy complete", "failed"]);
        expect(row.state).to.equal("failed");
        expect(row.error).to.match(cause);
        const size = (options.diskMb ?? 48) * MIB;
        expect(bench.readDisk(0, size).equals(Buffer.alloc(size, OLD_BYTE))).to.equal(true);
        expect(readFileSync(bench.pxeConfigPath, "utf8")).to.match(/^default deploy\n/);
        expect(bench.doneWords).to.deep.equal([]);
      } finally {
        await bench.close();
        rmSync(bench.folder, { recursive: true, force: true });
      }
    });
  }
});
