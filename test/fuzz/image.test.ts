// Images under fuzz: any extents give the same disk; broken qcow2 files end in a typed refusal, never in anything else.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import type { BlockDevice } from "../../deploy-helper/disk/index.ts";
import type { ImageExtent, ImageSource } from "../../deploy-helper/image/index.ts";
import { Qcow2Image } from "../../deploy-helper/image/qcow2.ts";
import { writeImage } from "../../deploy-helper/write-image.ts";
import { isBaremetalError } from "../../lib/errors.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 60);

class MemoryDisk implements BlockDevice {
  readonly blockSize: number;
  readonly content: Buffer;
  inFlight = 0;
  maxInFlight = 0;
  readonly touched: number[];

  constructor(sizeBytes: number, blockSize: number) {
    this.content = Buffer.alloc(sizeBytes, 0xa5);
    this.blockSize = blockSize;
    this.touched = new Array(sizeBytes / blockSize).fill(0);
  }
  get sizeBytes(): number {
    return this.content.length;
  }
  async read(offset: number, length: number): Promise<Buffer> {
    return Buffer.from(this.content.subarray(offset, offset + length));
  }
  async write(offset: number, data: Buffer): Promise<void> {
    await this.#slowly(offset, data.length);
    data.copy(this.content, offset);
    this.inFlight--;
  }
  async writeZeroes(offset: number, length: number): Promise<void> {
    await this.#slowly(offset, length);
    this.content.fill(0, offset, offset + length);
    this.inFlight--;
  }
  async flush(): Promise<void> {}

  async #slowly(offset: number, length: number): Promise<void> {
    if (offset % this.blockSize || length % this.blockSize || offset + length > this.sizeBytes)
      throw new Error("bad range");
    for (let block = offset / this.blockSize; block < (offset + length) / this.blockSize; block++) {
      this.touched[block] = (this.touched[block] ?? 0) + 1;
    }
    this.maxInFlight = Math.max(this.maxInFlight, ++this.inFlight);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An image of runs: zero, or filled with a byte. */
function sourceOf(runs: readonly { length: number; byte: number }[]): { source: ImageSource; content: Buffer } {
  const content = Buffer.concat(runs.map(({ length, byte }) => Buffer.alloc(length, byte)));
  const extents = async function* (step: number): AsyncGenerator<ImageExtent> {
    let offset = 0;
    for (const { length, byte } of runs) {
      if (byte === 0) yield { kind: "zero", offset, length };
      else {
        for (let at = offset; at < offset + length; ) {
          const end = Math.min(offset + length, (Math.floor(at / step) + 1) * step);
          const from = at;
          const read = async (buffer: Buffer) => {
            await new Promise((resolve) => setImmediate(resolve));
            content.copy(buffer, 0, from);
          };
          yield { kind: "data", offset: at, length: end - at, read };
          at = end;
        }
      }
      offset += length;
    }
  };
  const source: ImageSource = {
    format: "raw",
    virtualSizeBytes: content.length,
    measure: async () => content.length,
    extents,
    close: async () => {},
  };
  return { source, content };
}

describe("fuzz: image", () => {
  it("whatever the extents, the disk holds the image and zeros, each block written once, few writes in flight", async () => {
    const run = fc.record({
      length: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 6000 })).map((units) => units * 512),
      // 0 is a hole; 256 is data that happens to be zeros.
      byte: fc.constantFrom(0, 0, 1, 2, 256),
    });
    const blockSize = fc.constantFrom(512, 4096);
    await fc.assert(
      fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 8 }), blockSize, async (runs, block) => {
        const { source, content } = sourceOf(runs);
        const size = Math.ceil(content.length / 4096) * 4096 + 1024 * 1024;
        const disk = new MemoryDisk(size, block);
        const result = await writeImage(source, disk, { signal: new AbortController().signal, wantsHash: true });
        expect(disk.content.subarray(0, content.length).equals(content)).to.equal(true);
        expect(disk.content.subarray(content.length).equals(Buffer.alloc(size - content.length))).to.equal(true);
        expect(result.sha256).to.equal(createHash("sha256").update(content).digest("hex"));
        expect(disk.touched.every((count) => count === 1)).to.equal(true);
        expect(disk.maxInFlight).to.be.at.most(8);
        expect(result.bytesWritten + result.bytesZeroed).to.equal(size);
      }),
      { numRuns: RUNS },
    );
  });

  it("an abort or a failing write ends the run, with nothing in flight", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 12 }), fc.boolean(), async (after, isAbort) => {
        const { source } = sourceOf([{ length: 24 * 1024 * 1024, byte: 7 }]);
        const disk = new MemoryDisk(25 * 1024 * 1024, 512);
        const controller = new AbortController();
        const write = disk.write.bind(disk);
        let count = 0;
        disk.write = async (offset, data) => {
          if (count++ === after) {
            if (!isAbort) throw new Error("medium error");
            controller.abort(new Error("stop"));
          }
          await write(offset, data);
        };
        let message = "";
        await writeImage(source, disk, { signal: controller.signal, wantsHash: false }).catch((error: Error) => {
          message = error.message;
        });
        expect(message).to.equal(isAbort ? "stop" : "medium error");
        expect(disk.inFlight).to.equal(0);
        expect(count).to.be.lessThan(after + 10);
      }),
      { numRuns: 20 },
    );
  });

  it("a qcow2 file with bytes changed anywhere is read or refused, in bounded time", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fuzz-image-"));
    const path = join(folder, "i");
    try {
      const change = fc.record({
        at: fc.integer({ min: 0, max: 4 * 4096 - 1 }),
        byte: fc.integer({ min: 0, max: 255 }),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(change, { maxLength: 6 }),
          fc.integer({ min: 0, max: 4 * 4096 }),
          async (changes, cut) => {
            const file = validQcow2();
            for (const { at, byte } of changes) file[at] = byte;
            writeFileSync(path, file.subarray(0, cut % 5 === 0 ? cut : file.length));
            await readAll(path);
          },
        ),
        { numRuns: RUNS * 3 },
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** 4 KiB clusters: header, L1 at 1, L2 at 2, data at 3; by hand from docs/interop/qcow2.txt. */
function validQcow2(): Buffer {
  const file = Buffer.alloc(4 * 4096);
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(12, 20);
  file.writeBigUInt64BE(64n * 4096n, 24);
  file.writeUInt32BE(1, 36);
  file.writeBigUInt64BE(4096n, 40);
  file.writeUInt32BE(4, 96);
  file.writeUInt32BE(104, 100);
  file.writeBigUInt64BE((1n << 63n) | 8192n, 4096);
  file.writeBigUInt64BE((1n << 63n) | 12288n, 8192);
  file.writeBigUInt64BE((1n << 62n) | 12288n, 8192 + 16);
  file.fill(0x77, 12288);
  return file;
}

async function readAll(path: string): Promise<void> {
  let source: Qcow2Image | undefined;
  try {
    source = await Qcow2Image.open(path);
    await source.measure();
    let extents = 0;
    for await (const extent of source.extents(64 * 1024)) {
      if (extent.kind === "data") await extent.read(Buffer.alloc(extent.length));
      // A forged size is bounded by the disk's before an image is read; here by the count.
      if (++extents > 200) break;
    }
  } catch (error) {
    expect(isBaremetalError(error, "ImageUnacceptable"), String(error)).to.equal(true);
  } finally {
    await source?.close();
  }
}
