// 32-bit serial number arithmetic (RFC 1982 as used by RFC 7143 4.2.2.1) and the command window built on it.

/** `value + step` modulo 2^32. */
export function serialAdd(value: number, step: number): number {
  return (value + step) >>> 0;
}

/** `a - b` as a signed distance: negative when `a` comes before `b`, also across the wrap. */
export function serialDistance(a: number, b: number): number {
  return (a - b) | 0;
}

/** True when `a` comes strictly after `b`. */
export function isSerialAfter(a: number, b: number): boolean {
  return serialDistance(a, b) > 0;
}

/**
 * The target's command window: what CmdSN may be used next (RFC 7143 4.2.2.1).
 * A command may be sent while CmdSN is not after MaxCmdSN; immediate commands carry CmdSN but do not use it up.
 */
export class CommandWindow {
  #cmdSn: number;
  #expCmdSn: number;
  #maxCmdSn: number;

  constructor(firstCmdSn: number, expCmdSn: number, maxCmdSn: number) {
    this.#cmdSn = firstCmdSn >>> 0;
    this.#expCmdSn = expCmdSn >>> 0;
    this.#maxCmdSn = maxCmdSn >>> 0;
  }

  /** The CmdSN of the next non-immediate command; also what an immediate one carries. */
  get cmdSn(): number {
    return this.#cmdSn;
  }

  get maxCmdSn(): number {
    return this.#maxCmdSn;
  }

  get expCmdSn(): number {
    return this.#expCmdSn;
  }

  /** True while one more non-immediate command may be sent. */
  get isOpen(): boolean {
    return serialDistance(this.#maxCmdSn, this.#cmdSn) >= 0;
  }

  /** Takes the next CmdSN; only when {@link isOpen}. */
  take(): number {
    const cmdSn = this.#cmdSn;
    this.#cmdSn = serialAdd(cmdSn, 1);
    return cmdSn;
  }

  /** Takes over the window of a received PDU. Returns true when it grew. */
  update(expCmdSn: number, maxCmdSn: number): boolean {
    // RFC 7143 4.2.2.1: a MaxCmdSN before ExpCmdSN - 1 makes both fields meaningless, and neither ever moves back.
    if (serialDistance(maxCmdSn, serialAdd(expCmdSn, -1)) < 0) return false;
    if (isSerialAfter(expCmdSn, this.#expCmdSn)) this.#expCmdSn = expCmdSn;
    if (!isSerialAfter(maxCmdSn, this.#maxCmdSn)) return false;
    this.#maxCmdSn = maxCmdSn;
    return true;
  }
}
