// Which block goes or comes next: lock step (RFC 1350 section 2), windows (RFC 7440 section 4), roll-over. Pure.

/**
 * The sender's side. Blocks are counted from 1 without end; on the wire they are `block & 0xffff`, so 65535 is followed
 * by 0 (no RFC says which; this is what firmware, tftp-hpa and atftp do). Block 0 stands for the OACK.
 */
export class SendWindow {
  readonly #size: number;
  readonly #lastBlock: number;
  /** First block without an ACK. */
  #base: number;
  #next: number;
  #highestSent: number;

  constructor(options: { readonly beginsWithOack: boolean; readonly lastBlock: number; readonly windowSize: number }) {
    this.#size = options.windowSize;
    this.#lastBlock = options.lastBlock;
    this.#base = options.beginsWithOack ? 0 : 1;
    this.#next = this.#base;
    this.#highestSent = this.#base - 1;
  }

  /** First block without an ACK: all before it have arrived. */
  get base(): number {
    return this.#base;
  }

  /** True when the last block is acknowledged. */
  get isDone(): boolean {
    return this.#base > this.#lastBlock;
  }

  /** The next block to send; undefined when the window is full. Nothing follows the OACK before its ACK. */
  take(): { readonly block: number; readonly isRepeat: boolean } | undefined {
    const limit = this.#base === 0 ? 0 : Math.min(this.#lastBlock, this.#base + this.#size - 1);
    if (this.#next > limit) return undefined;
    const block = this.#next++;
    const isRepeat = block <= this.#highestSent;
    if (!isRepeat) this.#highestSent = block;
    return { block, isRepeat };
  }

  /**
   * Takes an ACK's 16-bit number. `advanced`: at least one more block has arrived; if the ACK is short of the window's
   * end, the rest goes again (RFC 7440 section 4). `ignored`: a duplicate, or of nothing that is under way.
   * Trap: a duplicate must cause no packet whatever, or one doubled ACK doubles every later block (RFC 1123 4.2.3.1).
   */
  acknowledge(wireBlock: number): "advanced" | "ignored" {
    const distance = (wireBlock - (this.#base - 1)) & 0xffff;
    if (distance === 0 || distance > this.#highestSent - (this.#base - 1)) return "ignored";
    this.#base += distance;
    this.#next = this.#base;
    return "advanced";
  }

  /** After a timeout: everything without an ACK is to be sent again. */
  rewind(): void {
    this.#next = this.#base;
  }
}

/** What the receiver does with a DATA packet. */
export type Reception = "accept" | "accept-and-ack" | "ack-again" | "ignore";

/** The receiver's side: takes blocks in order only, and says when an ACK is due. */
export class ReceiveWindow {
  readonly #size: number;
  #last = 0;
  #sinceAck = 0;
  #hasReportedGap = false;

  constructor(windowSize: number) {
    this.#size = windowSize;
  }

  /** 16-bit number of the last block that came in order: what an ACK carries. */
  get lastWireBlock(): number {
    return this.#last & 0xffff;
  }

  /** Judges DATA `wireBlock`; `isFinal`: it is shorter than the block size. */
  receive(wireBlock: number, isFinal: boolean): Reception {
    const distance = (wireBlock - this.#last) & 0xffff;
    if (distance === 1) {
      this.#last++;
      this.#sinceAck++;
      this.#hasReportedGap = false;
      if (!isFinal && this.#sinceAck < this.#size) return "accept";
      this.#sinceAck = 0;
      return "accept-and-ack";
    }
    // The last block once more: our ACK was lost, or its window is repeated up to here.
    if (distance === 0) return this.#ackAgain();
    // An older block is part of a repeated window; its end brings the ACK.
    if (distance >= 0x8000) return "ignore";
    // A gap: say once what arrived (RFC 7440 section 4), not for each later block of this window.
    if (this.#hasReportedGap) return "ignore";
    this.#hasReportedGap = true;
    return this.#ackAgain();
  }

  #ackAgain(): Reception {
    this.#sinceAck = 0;
    return "ack-again";
  }
}
