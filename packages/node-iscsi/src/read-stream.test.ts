// Read stream: the bytes in order, whatever order the answers have; read-ahead is bounded; errors come after the data before them.
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect } from "chai";
import fc from "fast-check";
import { FakeBlockDevice } from "../test/fakes/fake-block-device.ts";
import { InvalidArgumentError } from "./errors.ts";
import { createReadStream } from "./read-stream.ts";

const KIB = 1024;

function filled(sizeBytes: number, pick?: (count: number) => number): FakeBlockDevice {
  const device = new FakeBlockDevice(sizeBytes, 512, pick);
  for (let at = 0; at < sizeBytes; at++) device.content[at] = (at * 11 + (at >> 9)) & 0xff;
  return device;
}

describe("read stream", () => {
  it("hands out any range in order", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(64 * KIB),
        fc.nat(64 * KIB),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 8 }),
        fc.infiniteStream(fc.nat(100)),
        async (one, other, inFlight, blocksPerChunk, order) => {
          const device = filled(64 * KIB, () => order.next().value);
          const [start, end] = [Math.min(one, other), Math.max(one, other)];
          const stream = createReadStream(device, {
            start,
            end,
            inFlight,
            chunkBytes: blocksPerChunk * 512,
          });
          const parts: Buffer[] = [];
          for await (const part of stream) parts.push(part);
          expect(Buffer.concat(parts).equals(device.content.subarray(start, end))).to.equal(true);
          expect(device.mostPending).to.be.at.most(inFlight);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("reads no further ahead than its bound while nobody takes the data", async () => {
    const device = filled(64 * KIB);
    const stream = createReadStream(device, { chunkBytes: KIB, inFlight: 4 });
    stream.once("readable", () => {});
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(device.log.length).to.be.within(2, 5);
    stream.destroy();
    await new Promise((resolve) => stream.once("close", resolve));
  });

  it("hands out what came before an error, then ends in the device's error", async () => {
    const device = filled(64 * KIB);
    device.failAt = 10 * KIB;
    const parts: Buffer[] = [];
    const sink = new Writable({
      write(chunk, _encoding, done) {
        parts.push(chunk);
        setImmediate(done);
      },
    });
    const error = await pipeline(createReadStream(device, { chunkBytes: KIB, inFlight: 4 }), sink).catch(
      (cause) => cause,
    );
    expect(error.message).to.equal(`read of ${10 * KIB} failed`);
    expect(device.content.subarray(0, Buffer.concat(parts).length).equals(Buffer.concat(parts))).to.equal(true);
    expect(device.pending).to.equal(0);
  });

  it("aborts what is in flight when its signal fires, and closes when that has settled", async () => {
    const device = filled(64 * KIB);
    device.isHeld = true;
    const controller = new AbortController();
    const stream = createReadStream(device, { chunkBytes: KIB, inFlight: 2, signal: controller.signal });
    stream.resume();
    await new Promise((resolve) => setImmediate(resolve));
    expect(device.pending).to.equal(2);
    const failed = new Promise<Error>((resolve) => stream.once("error", resolve));
    controller.abort();
    expect((await failed).name).to.equal("AbortedError");
    expect(device.log).to.deep.equal([`read 0+${KIB} aborted`, `read ${KIB}+${KIB} aborted`]);
  });

  it("refuses options that do not fit the device", () => {
    const device = filled(8 * KIB);
    for (const options of [{ start: -1 }, { start: 2, end: 1 }, { end: 9 * KIB }, { chunkBytes: 100 }, { inFlight: 0 }])
      expect(() => createReadStream(device, options), JSON.stringify(options)).to.throw(InvalidArgumentError);
  });
});
