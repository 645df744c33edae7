// Reads, writes, zeroing, discards and flushes of one fuzz run, each checked as it settles against what the disk may hold.
import { randomBytes } from "node:crypto";
import { type BlockDevice, type DigestWish, type IscsiSession, read16 } from "node-iscsi";
import type { IscsiTarget } from "node-iscsi/target";
import { BLOCK_BYTES, DiskModel } from "./disk-model.ts";
import { pick, type Random, upTo } from "./lies.ts";
import { settled } from "./property.ts";

export const COMMAND_DEADLINE_MS = 250;
export const LOGIN_DEADLINE_MS = 600;
/**
 * Nothing may take longer: three commands one after the other (the parts of a zeroing), the last with the 2 s an ABORT TASK is waited
 * for, and a login; the rest is for a machine that is busy.
 */
export const SETTLE_MS = 3 * COMMAND_DEADLINE_MS + 2000 + LOGIN_DEADLINE_MS + 3000;
/** Operations that run side by side stay within slots of their own. */
export const SLOT_BYTES = 16 * 1024;
/** What the caller does with a buffer once its write has settled; it is never on the disk. */
const REUSED = 0xee;
const KINDS = ["read", "read", "write", "write", "write", "zero", "discard", "flush"] as const;

/** What a run is made of. */
export interface Run {
  readonly name: string;
  readonly random: Random;
  readonly digests?: DigestWish | undefined;
  /** Port to connect to, given the target's. Default: that one. */
  readonly through?: ((port: number) => Promise<number>) | undefined;
  /** Starts the lies: before the login, or once the device is open. */
  readonly startsBeforeLogin?: boolean | undefined;
  start(target: IscsiTarget): void;
  /** False: nothing can be said about contents. */
  readonly isExact: boolean;
  /** What a read makes of the byte at this place. Default: the byte. */
  readonly seen?: ((at: number, byte: number) => number) | undefined;
  /** LBA by initiator task tag of READ(16), kept by the run. */
  readonly lbaOfTag?: Map<number, number> | undefined;
}

interface Place {
  readonly what: string;
  readonly offset: number;
  readonly length: number;
  readonly signal: AbortSignal | undefined;
}

/** The operations of a run and what they have left. */
export class Operations {
  readonly #run: Run;
  readonly #target: IscsiTarget;
  readonly #session: IscsiSession;
  readonly #device: BlockDevice;
  readonly #model: DiskModel;
  /** Buffers of reads that failed, with what they held then: nobody may write into them any more. */
  readonly #givenBack: { readonly what: string; readonly into: Buffer; readonly held: Buffer }[] = [];

  constructor(run: Run, target: IscsiTarget, session: IscsiSession, device: BlockDevice) {
    this.#run = run;
    this.#target = target;
    this.#session = session;
    this.#device = device;
    this.#model = new DiskModel(target.backing.sizeBytes);
  }

  /** One operation somewhere in the slot that begins at `base`. */
  async run(base: number): Promise<void> {
    const { random } = this.#run;
    const blocks = 1 + upTo(random, SLOT_BYTES / BLOCK_BYTES - 1);
    const offset = base + upTo(random, SLOT_BYTES / BLOCK_BYTES - blocks) * BLOCK_BYTES;
    const length = blocks * BLOCK_BYTES;
    const kind = this.#model.isCertain(offset, length) ? pick(random, KINDS) : "read";
    const signal = random() < 0.1 ? AbortSignal.timeout(upTo(random, 12)) : undefined;
    const place = { what: `${kind} of ${length} bytes at ${offset}`, offset, length, signal };
    if (kind === "read") await this.#read(place);
    else if (kind === "discard") await this.#discard(place);
    else if (kind === "flush") await this.#settle(place.what, this.#device.flush({ signal }));
    else await this.#write(kind, place);
  }

  /** When no connection is left: the disk holds what it may, and buffers given back were left alone. */
  async checkEnd(): Promise<void> {
    for (const { what, into, held } of this.#givenBack)
      if (!into.equals(held)) throw new Error(`${what}: its buffer was written to after it had failed`);
    if (!this.#run.isExact) return;
    await this.#model.checkStored("in the end", this.#target.backing, 0, this.#target.backing.sizeBytes);
  }

  #settle<T>(what: string, promise: Promise<T>) {
    return settled(this.#run.name, what, SETTLE_MS, promise);
  }

  async #read({ what, offset, length, signal }: Place): Promise<void> {
    const { isExact, seen, random } = this.#run;
    if (random() < 0.5) {
      const { error, ...read } = await this.#settle(what, this.#device.read(offset, length, { signal }));
      if (error === undefined && isExact && "value" in read) this.#model.check(what, offset, read.value, seen);
      return;
    }
    const into = Buffer.alloc(length, REUSED);
    const command = read16(offset / BLOCK_BYTES, length / BLOCK_BYTES, into);
    const { error } = await this.#settle(what, this.#session.executeWithRetry(command, { signal }));
    if (error !== undefined) this.#givenBack.push({ what, into, held: Buffer.from(into) });
    else if (isExact) this.#model.check(what, offset, into, seen);
  }

  async #discard({ what, offset, length, signal }: Place): Promise<void> {
    const { error } = await this.#settle(what, this.#device.discard(offset, length, { signal }));
    this.#model.noteDiscarded(offset, length, error === undefined);
  }

  async #write(kind: "write" | "zero", { what, offset, length, signal }: Place): Promise<void> {
    const data = kind === "zero" ? Buffer.alloc(length) : randomBytes(length);
    const buffer = Buffer.from(data);
    const running =
      kind === "zero"
        ? this.#device.writeZeroes(offset, length, { signal })
        : this.#device.write(offset, buffer, { signal });
    const { error } = await this.#settle(what, running);
    buffer.fill(REUSED);
    if (!this.#run.isExact) return;
    if (error === undefined) this.#model.noteWritten(offset, data);
    else this.#model.noteFailed(offset, data, error.onDisk);
    const how = `${what}, ${error?.message ?? "acknowledged"}`;
    await this.#model.checkStored(how, this.#target.backing, offset, length);
  }
}
