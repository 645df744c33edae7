// What the machine has written and nobody has read yet: bounded, read as an async iterable.

/** One reader. Whoever pushes asks for `room` first. */
export class OutputQueue implements AsyncIterable<Buffer> {
  readonly #limit: number;
  readonly #onRoom: () => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  /** `onRoom` is called when the reader has taken something. */
  constructor(limit: number, onRoom: () => void) {
    this.#limit = limit;
    this.#onRoom = onRoom;
  }

  get room(): number {
    return Math.max(0, this.#limit - this.#bytes);
  }

  push(data: Buffer): void {
    if (data.length === 0 || this.#end !== undefined) return;
    this.#pieces.push(data);
    this.#bytes += data.length;
    this.#wake?.();
  }

  /** No more will come; what is there can still be read, then the reader's loop ends, or throws `error`. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      if (this.#pieces.length > 0) {
        const all = Buffer.concat(this.#pieces);
        this.#pieces = [];
        this.#bytes = 0;
        this.#onRoom();
        yield all;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
