// A Readable over a block device: reads ahead, hands the bytes out in order, memory bounded.
import { setMaxListeners } from "node:events";
import { Readable } from "node:stream";
import { listenForAbort } from "./abort-listener.ts";
import type { BlockDevice } from "./block-device.ts";
import { AbortedError, InvalidArgumentError } from "./errors.ts";
import { BULK_COMMANDS_IN_FLIGHT, MAX_COMMAND_BYTES } from "./transfer-shape.ts";

/** Options of {@link createReadStream}. Sizes and offsets in bytes. */
export interface ReadStreamOptions {
  /** The first byte; need not be aligned. Default 0. */
  readonly start?: number | undefined;
  /** The first byte that is not read any more. Default: the device's size. */
  readonly end?: number | undefined;
  /** Size of one read; a multiple of the block size. Default 2 MiB. */
  readonly chunkBytes?: number | undefined;
  /** Reads in flight or waiting to be handed out, at most. Default 3. */
  readonly inFlight?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a read stream needs of a {@link BlockDevice}. */
export type ReadableDevice = Pick<BlockDevice, "sizeBytes" | "blockSize" | "read">;

const OPERATION = "read stream";

/**
 * Reads `device` from `start` to `end`. Reads up to `inFlight` chunks ahead and holds at most `(inFlight + 1) * chunkBytes`. An error
 * comes after the data before it and destroys the stream with the device's error; `destroy()` aborts what is in flight and waits for it.
 * @throws InvalidArgumentError at once for a `start`, `end` or `chunkBytes` that does not fit the device.
 */
export function createReadStream(device: ReadableDevice, options: ReadStreamOptions = {}): Readable {
  const {
    start = 0,
    end = device.sizeBytes,
    chunkBytes = MAX_COMMAND_BYTES,
    inFlight = BULK_COMMANDS_IN_FLIGHT,
    signal,
  } = options;
  const refuse = (reason: string) => new InvalidArgumentError(reason, { operation: OPERATION });
  const isOffset = (value: number) => Number.isSafeInteger(value) && value >= 0 && value <= device.sizeBytes;
  if (!isOffset(start) || !isOffset(end) || end < start)
    throw refuse(`start ${start} and end ${end} are not a range within the device's size ${device.sizeBytes}`);
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes <= 0 || chunkBytes % device.blockSize !== 0)
    throw refuse(`chunkBytes ${chunkBytes} is not a multiple of the block size ${device.blockSize}`);
  if (!Number.isSafeInteger(inFlight) || inFlight < 1) throw refuse(`inFlight ${inFlight} is not a number above 0`);
  return new DeviceReadable(device, { start, end, chunkBytes, inFlight, signal });
}

class DeviceReadable extends Readable {
  readonly #device: ReadableDevice;
  readonly #end: number;
  readonly #chunkBytes: number;
  readonly #inFlight: number;
  readonly #abort = new AbortController();
  /** In the order of their offsets; each is handed out when it is the first and has come. */
  readonly #reads: Promise<Buffer>[] = [];
  #next: number;
  #isHandingOut = false;
  #isAsked = false;
  #isAtEnd = false;
  #unlisten: () => void = () => undefined;

  constructor(
    device: ReadableDevice,
    options: { start: number; end: number; chunkBytes: number; inFlight: number; signal: AbortSignal | undefined },
  ) {
    super({ highWaterMark: options.chunkBytes });
    this.#device = device;
    // Every operation in flight listens to this signal.
    setMaxListeners(0, this.#abort.signal);
    this.#next = options.start;
    this.#end = options.end;
    this.#chunkBytes = options.chunkBytes;
    this.#inFlight = options.inFlight;
    this.#unlisten = listenForAbort(options.signal, () =>
      this.destroy(new AbortedError({ operation: OPERATION }, options.signal?.reason)),
    );
  }

  override _read(): void {
    // Trap: a call between the last push and the end of handOut must not be forgotten; the stream would never ask again.
    this.#isAsked = true;
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    this.#handOut().then(
      () => {
        this.#isHandingOut = false;
        if (this.#isAsked && !this.destroyed && !this.readableEnded) this._read();
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#unlisten();
    this.#abort.abort(error ?? undefined);
    Promise.allSettled(this.#reads).then(() => done(error));
  }

  async #handOut(): Promise<void> {
    for (;;) {
      this.#isAsked = false;
      this.#readAhead();
      const first = this.#reads[0];
      if (first === undefined) {
        if (!this.#isAtEnd) this.push(null);
        this.#isAtEnd = true;
        return;
      }
      const data = await first;
      if (this.destroyed) return;
      this.#reads.shift();
      this.#readAhead();
      // push may call _read before it returns, which asks for the next piece as its result does.
      if (!this.push(data) && !this.#isAsked) return;
    }
  }

  #readAhead(): void {
    const { blockSize } = this.#device;
    while (this.#reads.length < this.#inFlight && this.#next < this.#end) {
      const from = this.#next - (this.#next % blockSize);
      const to = Math.min(from + this.#chunkBytes, this.#end);
      const alignedTo = Math.ceil(to / blockSize) * blockSize;
      const skip = this.#next - from;
      this.#next = to;
      const read = this.#device
        .read(from, alignedTo - from, { signal: this.#abort.signal })
        .then((data) => data.subarray(skip, to - from));
      // Its turn to be reported comes when those before it were handed out.
      read.catch(() => {});
      this.#reads.push(read);
    }
  }
}
