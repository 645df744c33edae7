// What was written and not flushed yet: a bounded list of block ranges.
import type { BlockRange } from "./zeroing.ts";

/** Above this many ranges only the first and the last block are remembered. */
const MAX_RANGES = 1024;

/** Ranges written since the last flush; never too small, perhaps too large. */
export class DirtyRanges {
  #ranges: BlockRange[] = [];

  note({ lba, blocks }: BlockRange): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && last.lba + last.blocks === lba)
      this.#ranges[this.#ranges.length - 1] = { lba: last.lba, blocks: last.blocks + blocks };
    else this.#ranges.push({ lba, blocks });
    if (this.#ranges.length > MAX_RANGES) this.#collapse();
  }

  /** All ranges, and forgets them. */
  take(): BlockRange[] {
    const ranges = this.#ranges;
    this.#ranges = [];
    return ranges;
  }

  #collapse(): void {
    let first = Number.POSITIVE_INFINITY;
    let end = 0;
    for (const { lba, blocks } of this.#ranges) {
      first = Math.min(first, lba);
      end = Math.max(end, lba + blocks);
    }
    this.#ranges = [{ lba: first, blocks: end - first }];
  }
}
