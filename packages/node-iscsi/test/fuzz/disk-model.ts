// What may be on a disk after operations of which some failed: for each block the contents it is allowed to have.
import { expect } from "chai";
import type { ByteRange, DiskState } from "node-iscsi";
import type { Backing } from "node-iscsi/target";

export const BLOCK_BYTES = 512;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Starts as zeros. Ranges are bytes, whole blocks. */
export class DiskModel {
  readonly #allowed: Buffer[][];
  /** Blocks of which a failed write said that nobody knows: it may land as long as its session lives. */
  readonly #uncertain = new Set<number>();

  constructor(sizeBytes: number) {
    this.#allowed = Array.from({ length: sizeBytes / BLOCK_BYTES }, () => [ZEROS]);
  }

  isCertain(offset: number, length: number): boolean {
    return blocksOf(offset, length).every((block) => !this.#uncertain.has(block));
  }

  /** The operation is acknowledged. */
  noteWritten(offset: number, data: Buffer): void {
    for (const [block, content] of contentsOf(offset, data)) this.#allowed[block] = [content];
  }

  /** The range was given up: zeros or what it was. */
  noteDiscarded(offset: number, length: number, isDone: boolean): void {
    for (const block of blocksOf(offset, length)) {
      this.#allowed[block]?.push(ZEROS);
      if (!isDone) this.#uncertain.add(block);
    }
  }

  /** A write of `data` failed and said what that means. @throws when what it said does not cover the range once and only once */
  noteFailed(offset: number, data: Buffer, state: DiskState | undefined): void {
    if (state === undefined) throw new Error("the error of a write does not say what is on the disk");
    const { written, unknown, untouched } = state;
    const claimed = [written, unknown, untouched].flatMap((ranges) => ranges.flatMap(blocksOfRange));
    expect([...claimed].sort((a, b) => a - b)).to.deep.equal(blocksOf(offset, data.length));
    const contents = new Map(contentsOf(offset, data));
    for (const block of written.flatMap(blocksOfRange)) this.#allowed[block] = [contents.get(block) ?? ZEROS];
    for (const block of unknown.flatMap(blocksOfRange)) {
      this.#allowed[block]?.push(contents.get(block) ?? ZEROS);
      this.#uncertain.add(block);
    }
  }

  /** @throws when a block of `data`, which is said to be at `offset`, cannot be there */
  check(
    what: string,
    offset: number,
    data: Buffer,
    lie: (at: number, byte: number) => number = (_at, byte) => byte,
  ): void {
    for (const [block, content] of contentsOf(offset, data)) {
      const at = block * BLOCK_BYTES;
      const isAllowed = (allowed: Buffer) => content.equals(allowed.map((byte, index) => lie(at + index, byte)));
      if (!(this.#allowed[block] ?? []).some(isAllowed))
        throw new Error(
          `${what}: block ${block} is ${head(content)}, allowed ${this.#allowed[block]?.map(head).join(" or ")}`,
        );
    }
  }

  /** @throws when the stored blocks of the range are not among those allowed */
  async checkStored(what: string, backing: Backing, offset: number, length: number): Promise<void> {
    const stored = Buffer.alloc(length);
    await backing.read(offset, stored);
    this.check(`${what}, on the disk`, offset, stored);
  }
}

const head = (content: Buffer) => `${content.toString("hex", 0, 8)}..${content.toString("hex", BLOCK_BYTES - 4)}`;

function blocksOf(offset: number, length: number): number[] {
  return Array.from({ length: length / BLOCK_BYTES }, (_, index) => offset / BLOCK_BYTES + index);
}

const blocksOfRange = ({ offsetBytes, lengthBytes }: ByteRange) => blocksOf(offsetBytes, lengthBytes);

function contentsOf(offset: number, data: Buffer): [block: number, content: Buffer][] {
  return blocksOf(offset, data.length).map((block, index) => [
    block,
    data.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES),
  ]);
}
