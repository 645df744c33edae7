// Bounded parallelism for writes: at most N in flight, the first failure stops the rest, nothing is left unawaited.

/** Runs writes, `limit` at a time. After a failure every later `run` and `drain` throws that failure. */
export class WriteWindow {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for a free place, then starts `write` and returns without awaiting it. */
  async run(write: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit && this.#failure === undefined) await Promise.race(this.#running);
    this.#throwFailure();
    const running: Promise<void> = write()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Waits until nothing is in flight. */
  async drain(): Promise<void> {
    await this.settle();
    this.#throwFailure();
  }

  /** Like drain, for a caller that has an error of its own to throw. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
