// A logical unit as bytes: aligned reads and writes split and pipelined by the unit's limits, zeroing, discard, flush.
import { type CommandExecutor, describeUnit, isUnsupported, type UnitDescription } from "./block-limits.ts";
import type { CacheLosses } from "./cache-losses.ts";
import { withinDeadline } from "./deadline.ts";
import { DirtyRanges } from "./dirty-ranges.ts";
import { CacheLossError, type ErrorContext, InvalidArgumentError, IscsiError } from "./errors.ts";
import { runPipelined, WriteProgress } from "./pipeline.ts";
import { read16 } from "./scsi/read-16.ts";
import { synchronizeCache10, synchronizeCache16 } from "./scsi/synchronize-cache.ts";
import { unmap } from "./scsi/unmap.ts";
import type { BlockLimits } from "./scsi/vpd-pages.ts";
import { write16 } from "./scsi/write-16.ts";
import { writeSame16 } from "./scsi/write-same-16.ts";
import { MAX_COMMAND_BYTES } from "./transfer-shape.ts";
import {
  type BlockRange,
  firstZeroMethod,
  maxZeroBlocks,
  nextZeroMethod,
  splitByGranularity,
  splitRange,
  type ZeroMethod,
} from "./zeroing.ts";

/** Options of every operation. */
export interface OperationOptions {
  /** Milliseconds for the whole operation, recoveries included. Default: each command of it has the session's own. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A block device. Offsets and lengths are bytes and multiples of `blockSize`, otherwise InvalidArgumentError. Errors of `write`,
 * `writeZeroes` and `discard` carry `onDisk`: which bytes are written, untouched, or in an unknown state.
 */
export interface BlockDevice {
  readonly sizeBytes: number;
  readonly blockSize: number;
  /** VPD page B0h, in blocks; 0 where the target names no limit. */
  readonly limits: BlockLimits;
  read(offsetBytes: number, lengthBytes: number, options?: OperationOptions): Promise<Buffer>;
  /** Fills `into`, which must be left alone until the promise settles: for whoever reads much and reuses buffers. */
  readInto(offsetBytes: number, into: Buffer, options?: OperationOptions): Promise<void>;
  /** Resolves when the target acknowledged all of it; `data` must not change until then. Many may be in flight. */
  write(offsetBytes: number, data: Buffer, options?: OperationOptions): Promise<void>;
  /** Afterwards the range reads as zeros, whatever the target can or cannot do. */
  writeZeroes(offsetBytes: number, lengthBytes: number, options?: OperationOptions): Promise<void>;
  /** Gives the range up where the target can; what it then reads as is undefined. Never an error when unsupported. */
  discard(offsetBytes: number, lengthBytes: number, options?: OperationOptions): Promise<void>;
  /**
   * Resolves when everything that this object wrote before is on the medium. Rejects once with CacheLossError, whose `onDisk.unknown`
   * says which bytes, when the unit reported meanwhile that it was reset (29h/01h to 04h) or that an earlier write failed (deferred
   * error). A unit that loses its cache and says nothing of it cannot be found out: who must know reads back.
   */
  flush(options?: OperationOptions): Promise<void>;
}

/** Target of the view: the session. */
export interface BlockDeviceSession extends CommandExecutor {
  readonly parameters: { readonly maxBurstBytes: number };
  readonly options: { readonly cacheLosses: CacheLosses };
  contextOf(operation: string): ErrorContext;
}

/** Zeroing and discarding commands in flight per call: they cost the target much and us nothing. */
const RANGE_COMMANDS_IN_FLIGHT = 4;
/** Data commands in flight per call. A command's deadline runs from when it is started, so one huge call must not start them all. */
const DATA_COMMANDS_IN_FLIGHT = 8;

/** {@link BlockDevice} over a session's logical unit. */
export class BlockDeviceView implements BlockDevice {
  readonly sizeBytes: number;
  readonly blockSize: number;
  /** What the target said about itself. */
  readonly unit: UnitDescription;
  readonly #session: BlockDeviceSession;
  readonly #maxTransferBlocks: number;
  readonly #zeroBlock: Buffer;
  #zeroes: Buffer | undefined;
  #zeroMethod: ZeroMethod;
  #canUnmap: boolean;
  readonly #dirty = new DirtyRanges();
  #lossesSeen: number;

  private constructor(session: BlockDeviceSession, unit: UnitDescription) {
    this.#session = session;
    this.unit = unit;
    this.blockSize = unit.capacity.blockSize;
    this.sizeBytes = unit.capacity.blocks * unit.capacity.blockSize;
    const ours = Math.floor(MAX_COMMAND_BYTES / this.blockSize);
    const theirs = unit.limits.maximumTransferLength;
    this.#maxTransferBlocks = Math.max(1, theirs === 0 ? ours : Math.min(theirs, ours));
    this.#zeroBlock = Buffer.alloc(this.blockSize);
    this.#zeroMethod = firstZeroMethod(unit);
    this.#canUnmap = unit.provisioning.canUnmap;
    this.#lossesSeen = session.options.cacheLosses.count;
  }

  get limits(): BlockLimits {
    return this.unit.limits;
  }

  static async open(session: BlockDeviceSession, options: OperationOptions = {}): Promise<BlockDeviceView> {
    return new BlockDeviceView(session, await describeUnit(session, options));
  }

  async read(offsetBytes: number, lengthBytes: number, options: OperationOptions = {}): Promise<Buffer> {
    this.#rangeOf("read", offsetBytes, lengthBytes);
    const data = Buffer.allocUnsafe(lengthBytes);
    await this.readInto(offsetBytes, data, options);
    return data;
  }

  async readInto(offsetBytes: number, into: Buffer, options: OperationOptions = {}): Promise<void> {
    const range = this.#rangeOf("read", offsetBytes, into.length);
    if (range.blocks === 0) return;
    if (range.blocks <= this.#maxTransferBlocks) {
      // One command, the usual case: the machinery of many takes a quarter of what JavaScript costs a large read.
      await this.#session.executeWithRetry(read16(range.lba, range.blocks, into), options);
      return;
    }
    const optionsNow = withinDeadline(options);
    await runPipelined(
      splitRange(range, this.#maxTransferBlocks),
      (piece) =>
        this.#session.executeWithRetry(read16(piece.lba, piece.blocks, this.#slice(into, range, piece)), optionsNow()),
      DATA_COMMANDS_IN_FLIGHT,
    );
  }

  async write(offsetBytes: number, data: Buffer, options: OperationOptions = {}): Promise<void> {
    const range = this.#rangeOf("write", offsetBytes, data.length);
    if (range.blocks === 0) return;
    if (range.blocks <= this.#maxTransferBlocks) {
      // One command, the usual case: without the machinery of many, which takes 3 % of the time of a small write.
      try {
        await this.#session.executeWithRetry(write16(range.lba, range.blocks, data), options);
        this.#dirty.note(range);
      } catch (error) {
        const progress = new WriteProgress(range);
        progress.noteFailed(range, error);
        throw this.#failed(progress, error);
      }
      return;
    }
    const optionsNow = withinDeadline(options);
    const writePiece = (piece: BlockRange) =>
      this.#session.executeWithRetry(write16(piece.lba, piece.blocks, this.#slice(data, range, piece)), optionsNow());
    await this.#tracked(range, (progress) =>
      runPipelined(splitRange(range, this.#maxTransferBlocks), writePiece, DATA_COMMANDS_IN_FLIGHT, progress),
    );
  }

  async writeZeroes(offsetBytes: number, lengthBytes: number, options: OperationOptions = {}): Promise<void> {
    const range = this.#rangeOf("writeZeroes", offsetBytes, lengthBytes);
    if (range.blocks === 0) return;
    const optionsNow = withinDeadline(options);
    await this.#tracked(range, async (progress) => {
      if (this.#zeroMethod !== "write-same-unmap") return this.#zero(range, this.#zeroMethod, optionsNow, progress);
      const { head, middle, tail } = splitByGranularity(range, this.unit);
      if (middle !== undefined) await this.#zero(middle, "write-same-unmap", optionsNow, progress);
      // After the middle, because that may have found out that WRITE SAME is refused altogether.
      for (const end of [head, tail])
        if (end !== undefined) await this.#zero(end, this.#methodForEnds(), optionsNow, progress);
    });
  }

  async discard(offsetBytes: number, lengthBytes: number, options: OperationOptions = {}): Promise<void> {
    const range = this.#rangeOf("discard", offsetBytes, lengthBytes);
    const limit = this.unit.limits.maximumUnmapLbaCount;
    const maxBlocks = Math.max(1, Math.min(limit === 0 ? 0xffffffff : limit, Math.floor(1024 ** 3 / this.blockSize)));
    if (!this.#canUnmap || range.blocks === 0) return;
    const optionsNow = withinDeadline(options);
    const unmapPiece = (piece: BlockRange) => this.#session.executeWithRetry(unmap([piece]), optionsNow());
    try {
      await this.#tracked(range, (progress) =>
        runPipelined(splitRange(range, maxBlocks), unmapPiece, RANGE_COMMANDS_IN_FLIGHT, progress),
      );
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      this.#canUnmap = false;
    }
  }

  async flush(options: OperationOptions = {}): Promise<void> {
    const optionsNow = withinDeadline(options);
    try {
      await this.#session.executeWithRetry(synchronizeCache10(), optionsNow());
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      await this.#session.executeWithRetry(synchronizeCache16(), optionsNow());
    }
    const unflushed = this.#dirty.take();
    const { count, last } = this.#session.options.cacheLosses;
    if (count === this.#lossesSeen) return;
    this.#lossesSeen = count;
    if (unflushed.length > 0 && (this.unit.hasVolatileCache || last?.sense?.isDeferred === true))
      throw this.#cacheLoss(unflushed, last);
  }

  #cacheLoss(unflushed: readonly BlockRange[], report: IscsiError | undefined): CacheLossError {
    const reason = `the unit said that it may have lost what it acknowledged since the last flush: ${report?.reason}; write it again`;
    const unknown = unflushed.map(({ lba, blocks }) => ({
      offsetBytes: lba * this.blockSize,
      lengthBytes: blocks * this.blockSize,
    }));
    const error = new CacheLossError(reason, this.#session.contextOf("flush"), report);
    return error.withDiskState({ written: [], unknown, untouched: [] });
  }

  /** Runs a changing operation; its error says what is known about the range. */
  async #tracked(range: BlockRange, run: (progress: WriteProgress) => Promise<void>): Promise<void> {
    const progress = new WriteProgress(range);
    try {
      await run(progress);
      this.#dirty.note(range);
    } catch (error) {
      throw this.#failed(progress, error);
    }
  }

  /** What to throw for a changing operation: the error, which says what is known about the range. */
  #failed(progress: WriteProgress, error: unknown): unknown {
    for (const piece of progress.written) this.#dirty.note(piece);
    return error instanceof IscsiError ? error.withDiskState(progress.state(this.blockSize)) : error;
  }

  /** Zeroes one range; when the target refuses the method, remembers that and goes on with the next one. */
  async #zero(
    range: BlockRange,
    method: ZeroMethod,
    optionsNow: () => OperationOptions,
    progress: WriteProgress,
  ): Promise<void> {
    const pieces = splitRange(range, maxZeroBlocks(this.unit, method, this.#maxTransferBlocks));
    const zeroPiece = (piece: BlockRange) => {
      const command =
        method === "write"
          ? write16(piece.lba, piece.blocks, this.#zeroBuffer().subarray(0, piece.blocks * this.blockSize))
          : writeSame16(piece.lba, piece.blocks, this.#zeroBlock, method === "write-same-unmap");
      return this.#session.executeWithRetry(command, optionsNow());
    };
    try {
      await runPipelined(pieces, zeroPiece, RANGE_COMMANDS_IN_FLIGHT, progress);
    } catch (error) {
      if (method === "write" || !isUnsupported(error)) throw error;
      const next = nextZeroMethod(method);
      // Another call may have learnt more in the meantime: never go back to a method that was refused.
      if (this.#zeroMethod === method) this.#zeroMethod = next;
      await this.#zero(range, this.#zeroMethod === "write" ? "write" : next, optionsNow, progress);
    }
  }

  #methodForEnds(): ZeroMethod {
    return this.#zeroMethod === "write" ? "write" : "write-same";
  }

  #zeroBuffer(): Buffer {
    this.#zeroes ??= Buffer.alloc(this.#maxTransferBlocks * this.blockSize);
    return this.#zeroes;
  }

  #slice(data: Buffer, whole: BlockRange, piece: BlockRange): Buffer {
    const from = (piece.lba - whole.lba) * this.blockSize;
    return data.subarray(from, from + piece.blocks * this.blockSize);
  }

  #rangeOf(operation: string, offsetBytes: number, lengthBytes: number): BlockRange {
    const { blockSize, sizeBytes } = this;
    const isAligned = (value: number) => Number.isSafeInteger(value) && value >= 0 && value % blockSize === 0;
    const where = `${lengthBytes} bytes at ${offsetBytes}`;
    if (!isAligned(offsetBytes) || !isAligned(lengthBytes))
      throw new InvalidArgumentError(`${where} is not aligned to ${blockSize}`, this.#session.contextOf(operation));
    if (offsetBytes + lengthBytes > sizeBytes)
      throw new InvalidArgumentError(`${where} is beyond the end at ${sizeBytes}`, this.#session.contextOf(operation));
    return { lba: offsetBytes / blockSize, blocks: lengthBytes / blockSize };
  }
}
