// The session slots of a simulated BMC: half-open and active sessions, limit, idle expiry (IPMI 2.0, 6.12).
import { randomInt } from "node:crypto";
import type { CipherSuite, RakpTranscript } from "../crypto.ts";
import type { SessionPackets } from "../session-packets.ts";

/** A session of the simulator: RMCP+ from Open Session Request on, IPMI 1.5 from Activate Session on. */
export interface SimulatedSession {
  readonly bmcSessionId: number;
  /** 0 in an IPMI 1.5 session, which has one id for both ends. */
  readonly consoleSessionId: number;
  /** That of no algorithms, 0, in an IPMI 1.5 session. */
  readonly suite: CipherSuite;
  /** Rm, Rc, role and user; known after RAKP 1. */
  transcript: RakpTranscript | undefined;
  /** Known after RAKP 3 or Activate Session: the session is active. */
  packets: SessionPackets | undefined;
  /** Check value of RAKP 3 that made it active, to recognise the same message again. */
  acceptedCheckValue: Buffer | undefined;
  /** Highest privilege the session may get, and the one it has. */
  maximumPrivilege: number;
  privilege: number;
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

  /** Active sessions at once. */
  get limit(): number {
    return this.#limit;
  }

  /** Number of active sessions. */
  get activeCount(): number {
    this.#expire();
    let count = 0;
    for (const { packets } of this.#sessions.values()) if (packets !== undefined) count += 1;
    return count;
  }

  /** A new half-open session, or undefined if active ones hold all slots; the oldest half-open one makes room. */
  open(consoleSessionId: number, suite: CipherSuite, maximumPrivilege: number): SimulatedSession | undefined {
    if (this.activeCount >= this.#limit) return undefined;
    if (this.#sessions.size >= this.#limit) {
      const oldest = [...this.#sessions.values()].find((session) => session.packets === undefined);
      if (oldest !== undefined) this.#sessions.delete(oldest.bmcSessionId);
    }
    const session: SimulatedSession = {
      bmcSessionId: this.freeId(),
      consoleSessionId,
      suite,
      transcript: undefined,
      packets: undefined,
      acceptedCheckValue: undefined,
      maximumPrivilege,
      privilege: 0,
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

  /** Forgets them all, as a BMC that starts anew. */
  clear(): void {
    this.#sessions.clear();
  }

  /** An id that no session has. */
  freeId(isTaken: (id: number) => boolean = () => false): number {
    for (;;) {
      const id = randomInt(1, 0xffffffff);
      if (!this.#sessions.has(id) && !isTaken(id)) return id;
    }
  }

  #expire(): void {
    const oldest = performance.now() - this.#idleMs;
    for (const session of this.#sessions.values()) {
      if (session.usedAtMs < oldest) this.#sessions.delete(session.bmcSessionId);
    }
  }
}
