// The session slots of a simulated BMC: half-open and active sessions, limit, idle expiry (IPMI 2.0, 6.12).
import { randomInt } from "node:crypto";
import type { CipherSuite, RakpTranscript, SessionKeys } from "../crypto.ts";
import { SequenceWindow } from "../sequence-window.ts";

/** A session of the simulator, from Open Session Request on. */
export interface SimulatedSession {
  readonly bmcSessionId: number;
  readonly consoleSessionId: number;
  readonly suite: CipherSuite;
  /** Rm, Rc, role and user; known after RAKP 1. */
  transcript: RakpTranscript | undefined;
  /** Known after RAKP 3: the session is active. */
  keys: SessionKeys | undefined;
  /** Check value of RAKP 3 that made it active, to recognise the same message again. */
  acceptedCheckValue: Buffer | undefined;
  /** Highest privilege the session may get, and the one it has. */
  maximumPrivilege: number;
  privilege: number;
  readonly window: SequenceWindow;
  /** Last session sequence number sent. */
  sequence: number;
  usedAtMs: number;
  /** The last request and its answer, once there is one: a retry is answered, not done again (6.12). */
  last: { readonly request: Buffer; answer: Promise<Buffer> } | undefined;
}

/** All sessions of one BMC, looked up by the BMC's id. */
export class SessionTable {
  readonly #sessions = new Map<number, SimulatedSession>();
  readonly #limit: number;
  readonly #idleMs: number;

  constructor(limit: number, idleMs: number) {
    this.#limit = limit;
    this.#idleMs = idleMs;
  }

  /** Number of active sessions. */
  get activeCount(): number {
    this.#expire();
    return [...this.#sessions.values()].filter((session) => session.keys !== undefined).length;
  }

  /** A new half-open session, or undefined if active ones hold all slots; the oldest half-open one makes room. */
  open(consoleSessionId: number, suite: CipherSuite, maximumPrivilege: number): SimulatedSession | undefined {
    if (this.activeCount >= this.#limit) return undefined;
    if (this.#sessions.size >= this.#limit) {
      const oldest = [...this.#sessions.values()].find((session) => session.keys === undefined);
      if (oldest !== undefined) this.#sessions.delete(oldest.bmcSessionId);
    }
    const session: SimulatedSession = {
      bmcSessionId: this.#freeId(),
      consoleSessionId,
      suite,
      transcript: undefined,
      keys: undefined,
      acceptedCheckValue: undefined,
      maximumPrivilege,
      privilege: 0,
      window: new SequenceWindow(),
      sequence: 0,
      usedAtMs: performance.now(),
      last: undefined,
    };
    this.#sessions.set(session.bmcSessionId, session);
    return session;
  }

  /** The half-open session an Open Session Request sent twice has made already. */
  findHalfOpen(consoleSessionId: number, suite: CipherSuite): SimulatedSession | undefined {
    for (const session of this.#sessions.values()) {
      const isSame = session.consoleSessionId === consoleSessionId && session.suite === suite;
      if (isSame && session.transcript === undefined) return session;
    }
    return undefined;
  }

  get(bmcSessionId: number): SimulatedSession | undefined {
    this.#expire();
    return this.#sessions.get(bmcSessionId);
  }

  delete(bmcSessionId: number): boolean {
    return this.#sessions.delete(bmcSessionId);
  }

  #expire(): void {
    const oldest = performance.now() - this.#idleMs;
    for (const session of this.#sessions.values()) {
      if (session.usedAtMs < oldest) this.#sessions.delete(session.bmcSessionId);
    }
  }

  #freeId(): number {
    for (;;) {
      const id = randomInt(1, 0xffffffff);
      if (!this.#sessions.has(id)) return id;
    }
  }
}
