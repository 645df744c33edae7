// Runs the pieces of one block operation a few at a time, and keeps account of what is on the disk when one of them fails.
import { type ByteRange, type DiskState, IscsiError } from "./errors.ts";
import type { BlockRange } from "./zeroing.ts";

/** What is known about the range of a changing operation. */
export class WriteProgress {
  readonly #range: BlockRange;
  readonly #written: BlockRange[] = [];
  readonly #unknown: BlockRange[] = [];

  constructor(range: BlockRange) {
    this.#range = range;
  }

  get written(): readonly BlockRange[] {
    return this.#written;
  }

  noteWritten(piece: BlockRange): void {
    this.#written.push(piece);
  }

  noteFailed(piece: BlockRange, error: unknown): void {
    if (!(error instanceof IscsiError) || error.effect === "unknown") this.#unknown.push(piece);
  }

  /** The whole range, as three lists of bytes. What is unknown is not called written, whatever happened to it before. */
  state(blockSize: number): DiskState {
    const unknown = merge(this.#unknown);
    const written = subtract(merge(this.#written), unknown);
    const untouched = subtract([this.#range], merge([...written, ...unknown]));
    const bytes = (ranges: readonly BlockRange[]): ByteRange[] =>
      ranges.map(({ lba, blocks }) => ({ offsetBytes: lba * blockSize, lengthBytes: blocks * blockSize }));
    return { written: bytes(written), unknown: bytes(unknown), untouched: bytes(untouched) };
  }
}

/** Sorted, without overlaps, adjacent ones joined. */
function merge(ranges: readonly BlockRange[]): BlockRange[] {
  const merged: BlockRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.lba - b.lba)) {
    const last = merged.at(-1);
    if (last === undefined || range.lba > last.lba + last.blocks) merged.push(range);
    else {
      const end = Math.max(last.lba + last.blocks, range.lba + range.blocks);
      merged[merged.length - 1] = { lba: last.lba, blocks: end - last.lba };
    }
  }
  return merged;
}

/** What of `ranges` is not in `holes`; both merged. */
function subtract(ranges: readonly BlockRange[], holes: readonly BlockRange[]): BlockRange[] {
  const left: BlockRange[] = [];
  for (const range of ranges) {
    let at = range.lba;
    const end = range.lba + range.blocks;
    for (const hole of holes) {
      if (hole.lba + hole.blocks <= at || hole.lba >= end) continue;
      if (hole.lba > at) left.push({ lba: at, blocks: hole.lba - at });
      at = Math.max(at, hole.lba + hole.blocks);
    }
    if (at < end) left.push({ lba: at, blocks: end - at });
  }
  return left;
}

/**
 * Runs `task` over the pieces, `inFlight` at a time; after a failure starts no more, waits for the rest (the caller's buffer must not
 * be in use any more when we return), then throws the first error.
 */
export async function runPipelined(
  pieces: Iterable<BlockRange>,
  task: (piece: BlockRange) => Promise<void>,
  inFlight: number,
  progress?: WriteProgress,
): Promise<void> {
  const iterator = pieces[Symbol.iterator]();
  const failures: unknown[] = [];
  const worker = async () => {
    for (let next = iterator.next(); next.done !== true && failures.length === 0; next = iterator.next()) {
      try {
        await task(next.value);
        progress?.noteWritten(next.value);
      } catch (error) {
        progress?.noteFailed(next.value, error);
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  if (failures.length > 0) throw failures[0];
}
