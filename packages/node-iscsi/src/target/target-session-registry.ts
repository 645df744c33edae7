// The sessions of a test target by (InitiatorName, ISID) and TSIH: who replaces whom (RFC 7143 6.3.5, 11.12.6).
import { randomInt } from "node:crypto";
import type { Socket } from "node:net";

/** Which session a login asks for. */
export interface SessionIdentity {
  readonly initiatorName: string;
  readonly isid: Buffer;
  /** As the initiator sent it; 0 asks for a new session. */
  readonly tsih: number;
  readonly connectionId: number;
  readonly isDiscovery: boolean;
}

/** What the registry needs of a session. */
export interface RegisteredSession {
  readonly identity: SessionIdentity;
  readonly tsih: number;
  readonly socket: Socket;
  /** Cuts the connection and drops its tasks; resolves when nothing of the session can reach the medium any more. */
  end(): Promise<void>;
}

/** Login status for a session that does not exist, and for a second connection (RFC 7143 11.13.5). */
export type Refusal = { readonly statusClass: 2; readonly statusDetail: 0x0a | 0x06 };

function keyOf({ initiatorName, isid, isDiscovery }: SessionIdentity): string {
  return `${isDiscovery ? "discovery" : "normal"} ${initiatorName} ${isid.toString("hex")}`;
}

/** The SCSI initiator port's name (SAM-5 annex A): what persistent reservations are held by. */
export function nexusOf({ initiatorName, isid }: SessionIdentity): string {
  return `${initiatorName},i,0x${isid.toString("hex")}`;
}

/** All sessions of a target. Sessions enter when their login succeeds and leave when nothing of them runs any more. */
export class TargetSessionRegistry<S extends RegisteredSession> {
  readonly #byKey = new Map<string, S>();
  /** Sessions on their way out, which a new one with the same key has to wait for. */
  readonly #ending = new Map<string, Set<Promise<void>>>();

  get sessions(): S[] {
    return [...this.#byKey.values()];
  }

  /** Why a login with this TSIH cannot succeed, if so. */
  refusalOf(identity: SessionIdentity): Refusal | undefined {
    if (identity.tsih === 0) return undefined;
    const known = this.#byKey.get(keyOf(identity));
    if (known?.tsih !== identity.tsih) return { statusClass: 2, statusDetail: 0x0a };
    // Another connection of the same session; MaxConnections is 1. The same connection identifier replaces it (RFC 7143 6.3.4).
    return known.identity.connectionId === identity.connectionId ? undefined : { statusClass: 2, statusDetail: 0x06 };
  }

  /** A TSIH that no session has: the known one when a connection is replaced. */
  assignTsih(identity: SessionIdentity): number {
    if (identity.tsih !== 0) return identity.tsih;
    const used = new Set(this.sessions.map((session) => session.tsih));
    for (;;) {
      const tsih = randomInt(1, 0x10000);
      if (!used.has(tsih)) return tsih;
    }
  }

  /**
   * Enters a session. Resolves when a session that it replaces is over: only then may its login be answered, lest a write of the
   * old session lands after writes of the new one. Tells whether there was one.
   */
  async admit(session: S): Promise<boolean> {
    const key = keyOf(session.identity);
    const old = this.#byKey.get(key);
    this.#byKey.set(key, session);
    session.socket.once("close", () => this.#retire(key, session));
    if (session.socket.destroyed) this.#retire(key, session);
    if (old !== undefined) this.#retire(key, old);
    await Promise.all([...(this.#ending.get(key) ?? [])].filter((ending) => ending !== this.#endOf.get(session)));
    return old !== undefined;
  }

  /** Resolves when every session has ended. */
  async endAll(): Promise<void> {
    for (const [key, session] of [...this.#byKey]) this.#retire(key, session);
    await Promise.all([...this.#ending.values()].flatMap((endings) => [...endings]));
  }

  readonly #endOf = new WeakMap<RegisteredSession, Promise<void>>();

  #retire(key: string, session: S): void {
    if (this.#byKey.get(key) === session) this.#byKey.delete(key);
    if (this.#endOf.has(session)) return;
    const endings = this.#ending.get(key) ?? new Set();
    this.#ending.set(key, endings);
    const ending = session.end().then(() => {
      endings.delete(ending);
      if (endings.size === 0 && this.#ending.get(key) === endings) this.#ending.delete(key);
    });
    endings.add(ending);
    this.#endOf.set(session, ending);
  }
}
