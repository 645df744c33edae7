// qcow2 images made by the real qemu-img, read by us, compared with what qemu-img itself reads out of them.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { ImageSource } from "../../deploy-helper/image/index.ts";
import { Qcow2Image } from "../../deploy-helper/image/qcow2.ts";

const MIB = 1024 * 1024;

describe("images from qemu-img", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "image-interop-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const at = (name: string) => join(folder, name);
  const qemuImg = (...args: string[]) => execFileSync("qemu-img", args, { stdio: "pipe" });
  const qemuIo = (...commands: string[]) =>
    execFileSync("qemu-io", ["-f", "qcow2", ...commands.flatMap((command) => ["-c", command]), at("i")], {
      stdio: "pipe",
    });

  /** 20 MiB and a bit: random data, holes, and a compressible part. */
  function makeRaw(): void {
    const file = openSync(at("raw"), "w");
    writeSync(file, randomBytes(3 * MIB), 0, 3 * MIB, 0);
    writeSync(file, randomBytes(70_000), 0, 70_000, 7 * MIB + 12_345);
    writeSync(file, Buffer.alloc(2 * MIB, "compressible "), 0, 2 * MIB, 12 * MIB - 512);
    writeSync(file, randomBytes(512), 0, 512, 20 * MIB);
    closeSync(file);
  }

  async function contentOf(source: ImageSource, step: number): Promise<{ sha256: string; dataBytes: number }> {
    const hash = createHash("sha256");
    let position = 0;
    let dataBytes = 0;
    for await (const extent of source.extents(step)) {
      expect(extent.offset).to.equal(position);
      const buffer = Buffer.alloc(extent.length);
      if (extent.kind === "data") {
        await extent.read(buffer);
        dataBytes += extent.length;
        expect(Math.floor(extent.offset / step)).to.equal(Math.floor((extent.offset + extent.length - 1) / step));
      }
      hash.update(buffer);
      position += extent.length;
    }
    expect(position).to.equal(source.virtualSizeBytes);
    return { sha256: hash.digest("hex"), dataBytes };
  }

  /** qemu-img's own reading of the image is the referee. */
  async function expectSame(): Promise<{ dataBytes: number }> {
    qemuImg("convert", "-f", "qcow2", "-O", "raw", at("i"), at("referee"));
    const referee = createHash("sha256")
      .update(readFileSync(at("referee")))
      .digest("hex");
    const source = await Qcow2Image.open(at("i"));
    try {
      const { sha256, dataBytes } = await contentOf(source, MIB);
      expect(sha256).to.equal(referee);
      expect((await contentOf(source, 64 * 1024)).sha256).to.equal(referee);
      expect(await source.measure()).to.equal(dataBytes);
      return { dataBytes };
    } finally {
      await source.close();
    }
  }

  const variants: [string, string[]][] = [
    ["version 3", []],
    ["version 2", ["-o", "compat=0.10"]],
    ["512-byte clusters", ["-o", "cluster_size=512"]],
    ["2 MiB clusters", ["-o", "cluster_size=2M"]],
    ["compressed", ["-c"]],
    ["compressed, version 2", ["-c", "-o", "compat=0.10"]],
    ["compressed, 2 MiB clusters", ["-c", "-o", "cluster_size=2M"]],
    ["compressed, 4 KiB clusters", ["-c", "-o", "cluster_size=4K"]],
    ["preallocated tables", ["-o", "preallocation=metadata"]],
    ["lazy refcounts", ["-o", "lazy_refcounts=on"]],
  ];
  for (const [name, options] of variants) {
    it(name, async () => {
      makeRaw();
      qemuImg("convert", "-O", "qcow2", ...options, at("raw"), at("i"));
      await expectSame();
    });
  }

  it("zero clusters, with and without data behind them, are holes", async () => {
    qemuImg("create", "-f", "qcow2", at("i"), "16M");
    qemuIo("write -P 17 0 4M", "write -z 1M 1M", "write -z -u 2M 512k", "write -P 34 10M 64k", "discard 3M 512k");
    const { dataBytes } = await expectSame();
    expect(dataBytes).to.be.lessThan(3 * MIB);
  });

  it("an image with a snapshot reads as its present state", async () => {
    qemuImg("create", "-f", "qcow2", at("i"), "8M");
    qemuIo("write -P 1 0 1M");
    qemuImg("snapshot", "-c", "old", at("i"));
    qemuIo("write -P 2 512k 1M");
    await expectSame();
  });

  it("a virtual size of 10 TB with little in it costs no time", async () => {
    qemuImg("create", "-f", "qcow2", at("i"), "10T");
    qemuIo("write -P 1 9T 64k");
    const source = await Qcow2Image.open(at("i"));
    expect(await source.measure()).to.equal(64 * 1024);
    await source.close();
  });

  async function expectRefused(reason: RegExp): Promise<void> {
    try {
      const source = await Qcow2Image.open(at("i"));
      try {
        await source.measure();
      } finally {
        await source.close();
      }
    } catch (error) {
      expect(error).to.include({ code: "ImageUnacceptable" });
      expect((error as Error).message).to.match(reason);
      return;
    }
    throw new Error("it was not refused");
  }

  it("refuses a backing file", async () => {
    qemuImg("create", "-f", "raw", at("base"), "8M");
    qemuImg("create", "-f", "qcow2", "-b", at("base"), "-F", "raw", at("i"));
    await expectRefused(/backing file/);
  });
  it("refuses an external data file", async () => {
    qemuImg("create", "-f", "qcow2", "-o", `data_file=${at("data")}`, at("i"), "8M");
    await expectRefused(/external file/);
  });
  it("refuses extended L2 entries", async () => {
    qemuImg("create", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", at("i"), "8M");
    await expectRefused(/extended L2/);
  });
  it("refuses zstd", async () => {
    makeRaw();
    qemuImg("convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", at("raw"), at("i"));
    await expectRefused(/compression/);
  });
  it("refuses encryption", async () => {
    qemuImg("create", "-f", "qcow2", at("i"), "8M");
    // crypt_method at 32: 2 is LUKS. qemu-img's own LUKS needs seconds of key stretching.
    const image = readFileSync(at("i"));
    image.writeUInt32BE(2, 32);
    writeFileSync(at("i"), image);
    await expectRefused(/encrypted/);
  });
  it("refuses an image that was cut off", async () => {
    makeRaw();
    qemuImg("convert", "-O", "qcow2", at("raw"), at("i"));
    truncateSync(at("i"), 2 * MIB);
    await expectRefused(/cut off/);
  });
});
