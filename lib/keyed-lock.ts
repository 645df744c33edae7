// One piece of work at a time for each key, first come first served, within this process.

/** Runs work one after the other for equal keys; different keys do not wait for each other. */
export class KeyedLock<K> {
  readonly #tails = new Map<K, Promise<void>>();

  /** Runs `work` when all earlier work for `key` has settled. */
  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    let release = () => {};
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = before.then(() => mine);
    this.#tails.set(key, tail);
    await before;
    try {
      return await work();
    } finally {
      release();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }

  /** True while work for `key` runs or waits. */
  isHeld(key: K): boolean {
    return this.#tails.has(key);
  }
}
