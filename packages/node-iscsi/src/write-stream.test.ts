// Write stream: every chunk shape arrives, memory is bounded, errors tell how far it came.
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect } from "chai";
import fc from "fast-check";
import { FakeBlockDevice } from "../test/fakes/fake-block-device.ts";
import { InvalidArgumentError } from "./errors.ts";
import { createWriteStream, type WriteStreamFailure } from "./write-stream.ts";

const KIB = 1024;

/** Bytes that differ from their neighbours in any block. */
function pattern(length: number): Buffer {
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; at++) data[at] = (at * 7 + (at >> 8) * 13 + 1) & 0xff;
  return data;
}

function cut(data: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (let turn = 0; at < data.length; turn++) {
    const size = sizes[turn % sizes.length] ?? data.length;
    pieces.push(data.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

async function failureOf(work: Promise<unknown>): Promise<WriteStreamFailure> {
  return work.then(
    () => expect.fail("it should have failed"),
    (error) => error,
  );
}

describe("write stream", () => {
  it("writes chunks of any shape, in any order of answers, and then flushes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 40_000 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(fc.nat(100)),
        async (sizes, length, inFlight, blocksPerChunk, order) => {
          const device = new FakeBlockDevice(64 * KIB, 512, () => order.next().value);
          const chunkBytes = blocksPerChunk * 512;
          const data = pattern(length);
          const stream = createWriteStream(device, { start: 1024, chunkBytes, inFlight, padTail: "zero" });
          await pipeline(Readable.from(cut(data, sizes)), stream);
          expect(device.content.subarray(1024, 1024 + length).equals(data)).to.equal(true);
          const padded = Math.ceil(length / 512) * 512;
          expect(device.content.subarray(0, 1024).every((byte) => byte === 0)).to.equal(true);
          expect(device.content.subarray(1024 + length).every((byte) => byte === 0)).to.equal(true);
          expect(stream.acknowledgedBytes).to.equal(padded);
          expect(device.log.at(-1)).to.equal("flush");
          expect(device.log.length - 1).to.equal(Math.ceil(length / chunkBytes));
          expect(device.mostPending).to.be.at.most(inFlight);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("stops taking data when the target stops answering", async () => {
    const device = new FakeBlockDevice(1024 * KIB, 512);
    device.isHeld = true;
    const chunkBytes = 4 * KIB;
    const stream = createWriteStream(device, { chunkBytes, inFlight: 3 });
    const piece = pattern(KIB);
    let written = 0;
    // A well-behaved producer: one more only after write() said true or "drain" came.
    while (stream.write(piece) || (await drains(stream))) written += piece.length;
    expect(device.pending).to.equal(3);
    expect(written + piece.length).to.be.at.most((3 + 1) * chunkBytes);
    device.release();
    await new Promise<void>((resolve) => stream.end(resolve));
    expect(device.mostPendingBytes).to.equal(3 * chunkBytes);
    expect(stream.acknowledgedBytes).to.equal(written + piece.length);
  });

  it("sends a large chunk as it is, without a copy", async () => {
    const device = new FakeBlockDevice(64 * KIB, 512);
    const seen: ArrayBufferLike[] = [];
    const write = device.write.bind(device);
    device.write = (offset, data, options) => {
      seen.push(data.buffer);
      return write(offset, data, options);
    };
    const data = pattern(10 * KIB);
    await pipeline(Readable.from([data]), createWriteStream(device, { chunkBytes: 4 * KIB }));
    expect(seen.map((buffer) => buffer === data.buffer)).to.deep.equal([true, true, false]);
    expect(device.content.subarray(0, data.length).equals(data)).to.equal(true);
  });

  it("ends in the device's error after the others have settled, and says how far it came without a gap", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(39), fc.infiniteStream(fc.nat(100)), async (failingChunk, order) => {
        const device = new FakeBlockDevice(64 * KIB, 512, () => order.next().value);
        device.failAt = failingChunk * KIB + 512;
        const data = pattern(40 * KIB);
        const stream = createWriteStream(device, { chunkBytes: KIB, inFlight: 4 });
        const error = await failureOf(pipeline(Readable.from(cut(data, [700])), stream));
        expect(error.message).to.equal(`write of ${failingChunk * KIB} failed`);
        expect(device.pending).to.equal(0);
        expect(error.acknowledgedBytes).to.equal(failingChunk * KIB);
        expect(device.content.subarray(0, error.acknowledgedBytes)).to.deep.equal(
          data.subarray(0, error.acknowledgedBytes),
        );
        expect(device.log).not.to.include("flush");
      }),
      { numRuns: 60 },
    );
  });

  it("reports a failure also when the producer is idle", async () => {
    const device = new FakeBlockDevice(64 * KIB, 512);
    device.failAt = 0;
    const stream = createWriteStream(device, { chunkBytes: 512 });
    stream.write(pattern(512));
    const error = await new Promise<WriteStreamFailure>((resolve) => stream.once("error", resolve as () => void));
    expect([error.message, error.acknowledgedBytes]).to.deep.equal(["write of 0 failed", 0]);
  });

  it("does not finish when the flush fails, and does not flush when told so", async () => {
    const device = new FakeBlockDevice(64 * KIB, 512);
    device.failFlush = true;
    const error = await failureOf(pipeline(Readable.from([pattern(KIB)]), createWriteStream(device)));
    expect([error.message, error.acknowledgedBytes]).to.deep.equal(["no flush today", KIB]);
    await pipeline(Readable.from([pattern(KIB)]), createWriteStream(device, { flush: false }));
    expect(device.log).to.deep.equal([`write 0+${KIB}`, "flush", `write 0+${KIB}`]);
  });

  it("refuses an unaligned end unless told to pad, and data beyond the end, after writing what fits", async () => {
    const device = new FakeBlockDevice(8 * KIB, 512);
    const unaligned = await failureOf(pipeline(Readable.from([pattern(1000)]), createWriteStream(device)));
    expect(unaligned).to.be.instanceOf(InvalidArgumentError);
    expect(unaligned.message).to.contain("488 bytes into a block of 512").and.contain("padTail");
    expect(unaligned.acknowledgedBytes).to.equal(512);
    const long = createWriteStream(device, { start: 512, end: 2048, chunkBytes: 512 });
    const tooLong = await failureOf(pipeline(Readable.from(cut(pattern(2048), [512])), long));
    expect(tooLong.message).to.contain("does not end before 2048");
    expect(tooLong.acknowledgedBytes).to.equal(1536);
  });

  it("aborts what is in flight when it is destroyed or its signal fires, and closes when that has settled", async () => {
    for (const way of ["destroy", "signal"] as const) {
      const device = new FakeBlockDevice(64 * KIB, 512);
      device.isHeld = true;
      const controller = new AbortController();
      const stream = createWriteStream(device, { chunkBytes: 512, inFlight: 2, signal: controller.signal });
      const closed = new Promise<WriteStreamFailure | undefined>((resolve) => {
        let error: WriteStreamFailure | undefined;
        stream.once("error", (cause) => {
          error = cause as WriteStreamFailure;
        });
        stream.once("close", () => resolve(error));
      });
      stream.write(pattern(4 * KIB));
      expect(device.pending, "pending").to.equal(0);
      await new Promise((resolve) => setImmediate(resolve));
      expect(device.pending, "pending later").to.equal(2);
      if (way === "destroy") stream.destroy();
      else controller.abort(new Error("enough"));
      const error = await closed;
      expect(device.pending).to.equal(0);
      expect(device.log).to.deep.equal(["write 0+512 aborted", "write 512+512 aborted"]);
      if (way === "signal") expect([error?.name, error?.acknowledgedBytes]).to.deep.equal(["AbortedError", 0]);
      else expect(error).to.equal(undefined);
    }
  });

  it("refuses options that do not fit the device", () => {
    const device = new FakeBlockDevice(8 * KIB, 512);
    for (const options of [
      { start: 100 },
      { start: 1024, end: 512 },
      { end: 9 * KIB },
      { chunkBytes: 0 },
      { chunkBytes: 700 },
      { inFlight: 0 },
    ])
      expect(() => createWriteStream(device, options), JSON.stringify(options)).to.throw(InvalidArgumentError);
  });
});

/** False when no "drain" came after everything that could happen has happened. */
async function drains(stream: NodeJS.WritableStream): Promise<boolean> {
  let hasDrained = false;
  stream.once("drain", () => {
    hasDrained = true;
  });
  for (let turn = 0; turn < 10 && !hasDrained; turn++) await new Promise((resolve) => setImmediate(resolve));
  return hasDrained;
}
