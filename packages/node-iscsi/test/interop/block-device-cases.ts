// What every real target must do with the blocks we send it; the file behind it is the witness.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import type { IscsiSession } from "node-iscsi";
import { readFileRange } from "../fakes/file-range.ts";

const MIB = 1024 * 1024;

interface Unit {
  readonly session: IscsiSession;
  /** The file behind the unit, as long as the unit. */
  readonly backingPath: string;
}

/** Registers the cases; `unit` is asked when they run. The unit has 24 MiB at least. */
export function itKeepsItsData(blockSize: number, unit: () => Unit): void {
  it("writes many buffers at once and reads them back", async () => {
    const { session, backingPath } = unit();
    const device = await session.blockDevice();
    let offset = blockSize;
    const pieces = [1, 3, 16, 255, 512, 1500].map((blocks) => {
      const piece = { offset, data: randomBytes(blocks * blockSize) };
      offset += piece.data.length;
      return piece;
    });
    await Promise.all(pieces.map((piece) => device.write(piece.offset, piece.data)));
    await device.flush();
    const expected = Buffer.concat(pieces.map((piece) => piece.data));
    expect((await readFileRange(backingPath, blockSize, expected.length)).equals(expected)).to.equal(true);
    expect((await device.read(blockSize, expected.length)).equals(expected)).to.equal(true);
  });

  it("zeroes a range and nothing around it", async () => {
    const { session, backingPath } = unit();
    const device = await session.blockDevice();
    const data = randomBytes(8 * MIB);
    await device.write(16 * MIB, data);
    const from = 3 * blockSize;
    const length = 5 * MIB + blockSize;
    await device.writeZeroes(16 * MIB + from, length);
    await device.flush();
    data.fill(0, from, from + length);
    expect((await device.read(16 * MIB, data.length)).equals(data)).to.equal(true);
    expect((await readFileRange(backingPath, 16 * MIB, data.length)).equals(data)).to.equal(true);
  });
}
