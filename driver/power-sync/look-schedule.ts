// When each node is looked at: its own phase of the interval, bounded and paced, dead ones less often. Pure: told the time.
import { DueQueue } from "./due-queue.ts";

export interface LookScheduleOptions {
  readonly intervalMs: number;
  /** Most looks under way at once. */
  readonly maxInFlight: number;
  /** From so many failed looks in a row on, a node is looked at less often. */
  readonly maxFailures: number;
  /** From 0 to 1, for the jitter of the waits; default Math.random. */
  readonly random?: () => number;
}

/** A look that is to begin now; it is given back to `end`. */
export interface Look {
  readonly nodeId: number;
  /** How much later it begins than it should, in milliseconds. */
  readonly lagMs: number;
  /** Failed looks in a row before this one. */
  readonly failures: number;
}

/** How a look ended. `void`: it says nothing of the BMC, such as when the node is in work. */
export type LookEnd = "answered" | "failed" | "void";

interface Entry {
  readonly nodeId: number;
  failures: number;
  /** Its place in a queue; undefined while a look is under way. */
  turn: Turn | undefined;
}

interface Turn {
  readonly entry: Entry;
  readonly dueAt: number;
}

/** A dead node is looked at at least every so many intervals. */
const MAX_BACKOFF_INTERVALS = 5;
/** A wait is shortened by up to this part of it, so that nodes that died together do not meet again. */
const JITTER = 0.25;
/** This part of the looks in flight is kept for nodes that answered last: dead ones take a whole deadline each. */
const RESERVED = 0.25;
/** Looks per second that are always allowed, however few nodes there are. */
const MIN_PACE = 16;
/** How much faster than the even pace late looks are made up for: no stampede after a pause or a jump of the clock. */
const CATCH_UP = 2;
/** The pace's allowance that may be saved up, in seconds. */
const SAVED_SECONDS = 0.25;
/** A clock that was set back further than this moves all looks with it. */
const CLOCK_SET_BACK_MS = 1000;

/** Where in the interval a node's looks are, from 0 to 1: Fibonacci hashing, which spreads even consecutive ids evenly. */
export function phaseOf(nodeId: number): number {
  return (Math.imul(nodeId, 0x9e3779b1) >>> 0) / 2 ** 32;
}

/**
 * The looks at all nodes of one host. A node has one place in line at most, and one look under way at most: what is late
 * begins late and skips the turns it missed, so that nothing grows when BMCs or the database are slow; the longest overdue
 * is first, so that nobody starves.
 */
export class LookSchedule {
  readonly #options: LookScheduleOptions;
  readonly #random: () => number;
  readonly #entries = new Map<number, Entry>();
  readonly #inFlight = new Map<number, Entry>();
  /** Two lines: nodes whose last look failed must not stand in the way of the others. */
  readonly #well = new DueQueue<Turn>();
  readonly #suspect = new DueQueue<Turn>();
  #suspectInFlight = 0;
  #allowance = 0;
  #lastMs: number | undefined;
  #missed = 0;

  constructor(options: LookScheduleOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  get size(): number {
    return this.#entries.size;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Turns that nodes have missed, because a look began or ended so late, since the schedule was made. */
  get missed(): number {
    return this.#missed;
  }

  /** Nodes whose last looks failed so often that they are looked at less often. */
  get failing(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (this.#isFailing(entry)) count += 1;
    return count;
  }

  /** Takes a node in; its first look is at its next phase. `isFailing`: its BMC is known not to answer. */
  add(nodeId: number, nowMs: number, isFailing = false): void {
    if (this.#entries.has(nodeId)) return;
    const entry: Entry = { nodeId, failures: isFailing ? this.#options.maxFailures : 0, turn: undefined };
    this.#entries.set(nodeId, entry);
    this.#setTurn(entry, this.#nextPhase(nodeId, nowMs));
  }

  /** Forgets a node; a look that is under way may end as it likes. */
  remove(nodeId: number): void {
    const entry = this.#entries.get(nodeId);
    if (entry === undefined) return;
    entry.turn = undefined;
    this.#entries.delete(nodeId);
  }

  /** The node's BMC is another one by now, or its login: its failures are forgotten. */
  renew(nodeId: number, nowMs: number): void {
    this.remove(nodeId);
    this.add(nodeId, nowMs);
  }

  /** The looks that are to begin now, as many as may. */
  take(nowMs: number): Look[] {
    this.#advance(nowMs);
    const looks: Look[] = [];
    while (this.#allowance >= 1 && this.#inFlight.size < this.#options.maxInFlight) {
      const turn = this.#nextTurn(nowMs);
      if (turn === undefined) break;
      this.#allowance -= 1;
      looks.push(this.#begin(turn, nowMs));
    }
    return looks;
  }

  /** The end of a look. `againInMs`: the next one is wanted so soon, not at the node's phase. */
  end(look: Look, nowMs: number, end: LookEnd, againInMs?: number): void {
    const entry = this.#inFlight.get(look.nodeId);
    if (entry === undefined) return;
    this.#inFlight.delete(look.nodeId);
    if (look.failures > 0) this.#suspectInFlight -= 1;
    // Removed meanwhile, and perhaps taken in again: that is another entry, with a turn of its own.
    if (this.#entries.get(look.nodeId) !== entry) return;
    if (end === "answered") entry.failures = 0;
    else if (end === "failed") entry.failures += 1;
    this.#setTurn(entry, this.#nextDue(entry, nowMs, end, againInMs));
  }

  /** Milliseconds until the next look is due; 0 if one is due but held back; undefined if there is none. */
  waitMs(nowMs: number): number | undefined {
    const dues = [this.#well, this.#suspect].flatMap((queue) => this.#head(queue)?.dueAt ?? []);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - nowMs);
  }

  #isFailing(entry: Entry): boolean {
    return entry.failures >= this.#options.maxFailures;
  }

  #nextPhase(nodeId: number, nowMs: number): number {
    const { intervalMs } = this.#options;
    const phaseMs = phaseOf(nodeId) * intervalMs;
    return (Math.floor((nowMs - phaseMs) / intervalMs) + 1) * intervalMs + phaseMs;
  }

  #nextDue(entry: Entry, nowMs: number, end: LookEnd, againInMs: number | undefined): number {
    const phase = this.#nextPhase(entry.nodeId, nowMs);
    if (end !== "failed") return againInMs === undefined ? phase : nowMs + againInMs;
    const extra = entry.failures - this.#options.maxFailures;
    if (extra < 0) return phase;
    const intervals = Math.min(MAX_BACKOFF_INTERVALS, 2 ** (extra + 1));
    return nowMs + intervals * this.#options.intervalMs * (1 - JITTER * this.#random());
  }

  #setTurn(entry: Entry, dueAt: number): void {
    entry.turn = { entry, dueAt };
    (entry.failures > 0 ? this.#suspect : this.#well).push(entry.turn);
  }

  /** Grants the pace's allowance for the time that has passed. */
  #advance(nowMs: number): void {
    const last = this.#lastMs ?? nowMs;
    if (nowMs < last - CLOCK_SET_BACK_MS) this.#rephase(nowMs);
    this.#lastMs = nowMs;
    const pace = Math.max(MIN_PACE, (CATCH_UP * this.#entries.size * 1000) / this.#options.intervalMs);
    const passed = Math.max(0, nowMs - last) / 1000;
    this.#allowance = Math.min(Math.max(MIN_PACE, pace * SAVED_SECONDS), this.#allowance + pace * passed);
  }

  /** Trap: after the wall clock was set back by an hour, every look would be due an hour too late. */
  #rephase(nowMs: number): void {
    this.#well.clear();
    this.#suspect.clear();
    for (const entry of this.#entries.values()) {
      if (entry.turn !== undefined) this.#setTurn(entry, this.#nextPhase(entry.nodeId, nowMs));
    }
  }

  /** The first of a queue that is not stale. */
  #head(queue: DueQueue<Turn>): Turn | undefined {
    for (let turn = queue.peek(); turn !== undefined; turn = queue.peek()) {
      if (turn.entry.turn === turn) return turn;
      queue.pop();
    }
    return undefined;
  }

  /** Takes the longest overdue out of its line. */
  #nextTurn(nowMs: number): Turn | undefined {
    for (;;) {
      const well = this.#head(this.#well);
      const suspect = this.#mayLookAtSuspect() ? this.#head(this.#suspect) : undefined;
      const isWellFirst = (well?.dueAt ?? Number.POSITIVE_INFINITY) <= (suspect?.dueAt ?? Number.POSITIVE_INFINITY);
      const turn = isWellFirst ? well : suspect;
      if (turn === undefined || turn.dueAt > nowMs) return undefined;
      (isWellFirst ? this.#well : this.#suspect).pop();
      if (!this.#inFlight.has(turn.entry.nodeId)) return turn;
      // Removed and taken in again while a look was under way: one at a time.
      this.#setTurn(turn.entry, this.#nextPhase(turn.entry.nodeId, nowMs));
    }
  }

  #mayLookAtSuspect(): boolean {
    const { maxInFlight } = this.#options;
    return this.#suspectInFlight < Math.max(1, Math.floor(maxInFlight * (1 - RESERVED)));
  }

  #begin({ entry, dueAt }: Turn, nowMs: number): Look {
    const lagMs = nowMs - dueAt;
    this.#missed += Math.floor(lagMs / this.#options.intervalMs);
    entry.turn = undefined;
    this.#inFlight.set(entry.nodeId, entry);
    if (entry.failures > 0) this.#suspectInFlight += 1;
    return { nodeId: entry.nodeId, lagMs, failures: entry.failures };
  }
}
