// A block device in memory that answers in any order, fails where it is told to, and notes how much it was asked at once.
import type { BlockDevice, OperationOptions } from "node-iscsi";

interface Pending {
  readonly run: () => void;
  readonly bytes: number;
}

export class FakeBlockDevice implements Pick<BlockDevice, "sizeBytes" | "blockSize" | "read" | "write" | "flush"> {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly content: Buffer;
  /** What was done, in the order in which it was finished: `write 0+512`, `flush`. */
  readonly log: string[] = [];
  /** A read or write that covers this offset fails. */
  failAt: number | undefined;
  failFlush = false;
  /** Holds all answers back while true. */
  isHeld = false;
  mostPending = 0;
  mostPendingBytes = 0;
  #pending: Pending[] = [];
  #pick: (count: number) => number;

  /** `pick` chooses which of the pending operations is answered next. */
  constructor(sizeBytes: number, blockSize: number, pick: (count: number) => number = () => 0) {
    this.sizeBytes = sizeBytes;
    this.blockSize = blockSize;
    this.content = Buffer.alloc(sizeBytes);
    this.#pick = pick;
  }

  get pending(): number {
    return this.#pending.length;
  }

  release(): void {
    this.isHeld = false;
    for (const _ of this.#pending) setImmediate(() => this.#answerOne());
  }

  write(offset: number, data: Buffer, options?: OperationOptions): Promise<void> {
    // Copied when it is answered: a buffer that is used again too early shows.
    return this.#operate("write", offset, data.length, options, () => void data.copy(this.content, offset));
  }

  read(offset: number, length: number, options?: OperationOptions): Promise<Buffer> {
    const read = () => Buffer.from(this.content.subarray(offset, offset + length));
    return this.#operate("read", offset, length, options, read);
  }

  async flush(): Promise<void> {
    this.log.push("flush");
    if (this.failFlush) throw new Error("no flush today");
  }

  #operate<T>(
    name: string,
    offset: number,
    length: number,
    options: OperationOptions | undefined,
    work: () => T,
  ): Promise<T> {
    const isAligned = offset % this.blockSize === 0 && length % this.blockSize === 0;
    if (!isAligned || offset + length > this.sizeBytes)
      return Promise.reject(new Error(`bad range ${offset}+${length}`));
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        // As a session does: the target is asked to abort first, and the promise settles later.
        setImmediate(() => {
          if (!this.#pending.includes(operation)) return;
          this.#pending = this.#pending.filter((each) => each !== operation);
          this.log.push(`${name} ${offset}+${length} aborted`);
          reject(new Error("aborted"));
        });
      };
      options?.signal?.addEventListener("abort", onAbort, { once: true });
      const run = () => {
        options?.signal?.removeEventListener("abort", onAbort);
        const isFailing = this.failAt !== undefined && offset <= this.failAt && this.failAt < offset + length;
        this.log.push(`${name} ${offset}+${length}${isFailing ? " failed" : ""}`);
        if (isFailing) reject(new Error(`${name} of ${offset} failed`));
        else resolve(work());
      };
      const operation = { run, bytes: length };
      this.#pending.push(operation);
      this.mostPending = Math.max(this.mostPending, this.#pending.length);
      const bytes = this.#pending.reduce((sum, each) => sum + each.bytes, 0);
      this.mostPendingBytes = Math.max(this.mostPendingBytes, bytes);
      if (!this.isHeld) setImmediate(() => this.#answerOne());
    });
  }

  #answerOne(): void {
    if (this.isHeld || this.#pending.length === 0) return;
    const [operation] = this.#pending.splice(this.#pick(this.#pending.length) % this.#pending.length, 1);
    operation?.run();
  }
}
