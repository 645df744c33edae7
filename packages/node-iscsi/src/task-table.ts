// The tasks of one connection (RFC 7143 4.2.2.1): those waiting for the command window, and those sent, by Initiator Task Tag.
import { RESERVED_TAG } from "./pdu/header.ts";
import { type CommandWindow, serialAdd } from "./serial.ts";
import type { ScsiTask } from "./task.ts";

/** What sending depends on besides the target's window. */
export interface SendGate {
  readonly maxOutstandingCommands: number;
  /** False while the socket is full or gone. */
  maySend(): boolean;
  send(task: ScsiTask): void;
  /** True for tags that requests other than SCSI commands use. */
  isTagTaken(tag: number): boolean;
}

export class TaskTable {
  readonly #window: CommandWindow;
  readonly #gate: SendGate;
  readonly #waiting = new Set<ScsiTask>();
  readonly #sent = new Map<number, ScsiTask>();
  #nextTag = 1;
  #onIdle: (() => void) | undefined;

  constructor(window: CommandWindow, gate: SendGate) {
    this.#window = window;
    this.#gate = gate;
  }

  /** Tasks that have not settled. */
  get size(): number {
    return this.#sent.size + this.#waiting.size;
  }

  /** The task that was sent with this tag. */
  get(tag: number): ScsiTask | undefined {
    return this.#sent.get(tag);
  }

  sent(): ScsiTask[] {
    return [...this.#sent.values()];
  }

  all(): ScsiTask[] {
    return [...this.#sent.values(), ...this.#waiting];
  }

  add(task: ScsiTask): void {
    this.#waiting.add(task);
    this.pump();
  }

  /** A task has settled. */
  forget(task: ScsiTask): void {
    this.#waiting.delete(task);
    if (task.wasSent) this.#sent.delete(task.initiatorTaskTag);
    if (this.size === 0) this.#onIdle?.();
  }

  /** Resolves when no task is left, or after `limitMs`. */
  async drained(limitMs: number | undefined): Promise<void> {
    if (this.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (limitMs !== undefined) timer = setTimeout(resolve, limitMs);
    });
    clearTimeout(timer);
  }

  /** Sends waiting tasks in order while the target's window, our own limit and the socket allow. */
  pump(): void {
    // Asked after every received PDU: most often nothing waits.
    if (this.#waiting.size > 0) this.#sendWaiting();
  }

  #sendWaiting(): void {
    for (const task of this.#waiting) {
      if (!this.#window.isOpen || this.#sent.size >= this.#gate.maxOutstandingCommands) return;
      if (!this.#gate.maySend()) return;
      this.#waiting.delete(task);
      task.initiatorTaskTag = this.takeTag();
      task.cmdSn = this.#window.take();
      this.#sent.set(task.initiatorTaskTag, task);
      this.#gate.send(task);
    }
  }

  /** A tag that nothing uses. */
  takeTag(): number {
    let tag = this.#nextTag;
    while (tag === RESERVED_TAG || this.#sent.has(tag) || this.#gate.isTagTaken(tag)) tag = serialAdd(tag, 1);
    this.#nextTag = serialAdd(tag, 1);
    return tag;
  }
}
