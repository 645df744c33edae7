// StatSN, ExpCmdSN and MaxCmdSN of one session of the test target (RFC 7143 4.2.2).
import { ProtocolError } from "../errors.ts";
import type { TargetSequence } from "../pdu/header.ts";
import { isSerialAfter, serialAdd, serialDistance } from "../serial.ts";
import type { TargetFaults } from "./faults.ts";

/** Counts for both sides of the command window. One connection, so a gap in CmdSN can never be filled. */
export class TargetSequenceNumbers {
  /** Commands whose status is not out yet: each keeps its place in the window. */
  outstanding = 0;
  /** While set, MaxCmdSN stands still. */
  isWindowFrozen = false;
  readonly #commandWindow: number;
  readonly #faults: TargetFaults;
  #statSn = 1;
  #expCmdSn = 0;
  #maxCmdSn: number | undefined;

  constructor(commandWindow: number, faults: TargetFaults) {
    this.#commandWindow = commandWindow;
    this.#faults = faults;
  }

  /** The first login request says where CmdSN starts (RFC 7143 11.12.9). */
  start(cmdSn: number): void {
    this.#expCmdSn = cmdSn;
  }

  /** Takes a received command in. False: a duplicate or beyond the window, to be ignored. @throws ProtocolError on a gap. */
  accept(cmdSn: number, isImmediate: boolean): boolean {
    if (isImmediate) return true;
    const distance = serialDistance(cmdSn, this.#expCmdSn);
    const isBeyond = this.#maxCmdSn !== undefined && isSerialAfter(cmdSn, this.#maxCmdSn);
    // With a made-up window the initiator may be right by what it was told.
    if (distance < 0 || (isBeyond && this.#faults.wrongMaxCmdSn === undefined)) return false;
    if (distance > 0) throw new ProtocolError(`CmdSN ${cmdSn}, expected ${this.#expCmdSn}`);
    this.#expCmdSn = serialAdd(cmdSn, 1);
    return true;
  }

  /** Numbers of the next PDU; one that carries a status uses its StatSN up. */
  next(usesStatSn: boolean): TargetSequence {
    const statSn = this.#statSn;
    if (usesStatSn) this.#statSn = serialAdd(statSn, this.#faults.skipsStatSn === true ? 2 : 1);
    // Trap: every outstanding command takes its place in the window until its status is out.
    const used = Math.min(this.outstanding, this.#commandWindow);
    const maxCmdSn = serialAdd(this.#expCmdSn, this.#commandWindow - used - 1);
    // MaxCmdSN never moves back (RFC 7143 4.2.2.1).
    if (this.#maxCmdSn === undefined || (!this.isWindowFrozen && isSerialAfter(maxCmdSn, this.#maxCmdSn)))
      this.#maxCmdSn = maxCmdSn;
    return { statSn, expCmdSn: this.#expCmdSn, maxCmdSn: this.#maxCmdSn };
  }
}
