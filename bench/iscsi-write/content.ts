// What the disks hold: the source, a fill between runs, and the checks that a run really moved the bytes it claims.
import { randomFillSync } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

const PIECE_BYTES = 8 * 1024 * 1024;
const BLOCK_BYTES = 4096;
const SAMPLE_EVERY_BYTES = 512 * 1024;
/** No 8 bytes of a stamp look like this: a block's number never has these bytes on a disk of this size. */
const FILL = 0xa5;

async function overPieces(sizeBytes: number, step: (offset: number, bytes: number) => Promise<void>): Promise<void> {
  for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES)
    await step(offset, Math.min(PIECE_BYTES, sizeBytes - offset));
}

async function readPiece(file: FileHandle, into: Buffer, offset: number): Promise<void> {
  const { bytesRead } = await file.read(into, 0, into.length, offset);
  if (bytesRead !== into.length) throw new Error(`a file of the benchmark ends at ${offset + bytesRead}`);
}

/** A file in which every byte is random: nothing to skip, nothing to compress. */
export async function makeSource(path: string, sizeBytes: number): Promise<void> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const file = await open(path, "w");
  await overPieces(sizeBytes, async (offset, bytes) => {
    await file.write(randomFillSync(piece), 0, bytes, offset);
  });
  await file.close();
}

/** Overwrites the whole disk: its pages exist before the clock runs, and what is found there afterwards came from the run. */
export async function fillDisk(path: string, sizeBytes: number): Promise<void> {
  const piece = Buffer.alloc(PIECE_BYTES, FILL);
  const file = await open(path, "r+");
  await overPieces(sizeBytes, async (offset, bytes) => {
    await file.write(piece, 0, bytes, offset);
  });
  await file.close();
}

/** The source onto the disk, in place: for reading it back. */
export async function copyToDisk(path: string, sourcePath: string, sizeBytes: number): Promise<void> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const [disk, source] = await Promise.all([open(path, "r+"), open(sourcePath, "r")]);
  await overPieces(sizeBytes, async (offset, bytes) => {
    await readPiece(source, piece.subarray(0, bytes), offset);
    await disk.write(piece, 0, bytes, offset);
  });
  await Promise.all([disk.close(), source.close()]);
}

/** @throws Error at the first piece in which the two files differ. */
export async function expectSameContent(path: string, sourcePath: string, sizeBytes: number): Promise<void> {
  const [a, b] = await Promise.all([open(path, "r"), open(sourcePath, "r")]);
  const [ofA, ofB] = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  try {
    await overPieces(sizeBytes, async (offset, bytes) => {
      const [pieceA, pieceB] = [ofA.subarray(0, bytes), ofB.subarray(0, bytes)];
      await Promise.all([readPiece(a, pieceA, offset), readPiece(b, pieceB, offset)]);
      if (!pieceA.equals(pieceB)) throw new Error(`wrong bytes on the disk between ${offset} and ${offset + bytes}`);
    });
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

/** The sum that client.mjs makes of what it reads. */
export async function sampleSumOf(path: string, sizeBytes: number): Promise<number> {
  const file = await open(path, "r");
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  let sum = 0;
  await overPieces(sizeBytes, async (offset, bytes) => {
    await readPiece(file, piece.subarray(0, bytes), offset);
    for (let at = 0; at < bytes; at += SAMPLE_EVERY_BYTES)
      sum = (sum + Math.imul(piece.readUInt32LE(at), (offset + at) / SAMPLE_EVERY_BYTES + 1)) >>> 0;
  });
  await file.close();
  return sum;
}

/** The blocks that `count` random writes with this seed touch. */
function expectedPlaces(sizeBytes: number, count: number, seed: number): Set<number> {
  const places = BigInt(sizeBytes / BLOCK_BYTES);
  const expected = new Set<number>();
  let random = BigInt(seed);
  for (let index = 0; index < count; index += 1) {
    random = (random * 1_664_525n + 1_013_904_223n) & 0xffff_ffffn;
    expected.add(Number((random * places) >> 32n));
  }
  return expected;
}

/** After {@link fillDisk} and a random-write run: its blocks carry their stamps at both ends, all others are as they were. */
export async function expectRandomWrites(path: string, sizeBytes: number, count: number, seed: number): Promise<void> {
  const expected = expectedPlaces(sizeBytes, count, seed);
  const file = await open(path, "r");
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const untouched = Buffer.alloc(BLOCK_BYTES, FILL);
  const stamp = Buffer.alloc(8);
  stamp.writeUInt32LE(seed, 4);
  try {
    await overPieces(sizeBytes, async (offset, bytes) => {
      await readPiece(file, piece.subarray(0, bytes), offset);
      for (let at = 0; at < bytes; at += BLOCK_BYTES) {
        const place = (offset + at) / BLOCK_BYTES;
        const block = piece.subarray(at, at + BLOCK_BYTES);
        stamp.writeUInt32LE(place, 0);
        const isRight = expected.has(place)
          ? block.subarray(0, 8).equals(stamp) && block.subarray(BLOCK_BYTES - 8).equals(stamp)
          : block.equals(untouched);
        if (!isRight) throw new Error(`wrong bytes on the disk in the 4 KiB at ${offset + at}`);
      }
    });
  } finally {
    await file.close();
  }
}
