// What is due next: a binary heap by time. Entries are not removed from its middle; their owner knows which are stale.

/** Something that is due at a time, in milliseconds. */
export interface Due {
  readonly dueAt: number;
}

/** Gives what is due first, first; of equal times in no order. */
export class DueQueue<T extends Due> {
  #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** What is due first, still in the queue. */
  peek(): T | undefined {
    return this.#heap[0];
  }

  push(entry: T): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as T;
      if (above.dueAt <= entry.dueAt) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  pop(): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as T).dueAt < (heap[child] as T).dueAt) child += 1;
      const below = heap[child] as T;
      if (below.dueAt >= last.dueAt) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  clear(): void {
    this.#heap = [];
  }
}
