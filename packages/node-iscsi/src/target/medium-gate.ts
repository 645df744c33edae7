// Who may touch the medium of a logical unit: ordinary commands together, COMPARE AND WRITE and erasing alone.

/** Commands in `shared` run side by side; one in `exclusive` waits for them, and runs while no other does. */
export class MediumGate {
  #running = 0;
  #exclusive: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#onDrained?.();
    }
  }

  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    let release: () => void = () => undefined;
    this.#exclusive = new Promise((resolve) => {
      release = resolve;
    });
    try {
      if (this.#running > 0)
        await new Promise<void>((resolve) => {
          this.#onDrained = resolve;
        });
      return await work();
    } finally {
      this.#onDrained = undefined;
      this.#exclusive = undefined;
      release();
    }
  }
}
