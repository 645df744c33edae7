// connect() and discover(): from an address to a session that is ready, or to the list of targets (RFC 7143 4.2.3, 6.3, 11.10).
import { randomBytes, randomInt } from "node:crypto";
import { CHAP_ALGORITHMS_OFFERED, CHAP_MD5, type ChapCredentials } from "./chap.ts";
import { Connection } from "./connection.ts";
import { type ErrorContext, IscsiError, LoginError, TransportError } from "./errors.ts";
import { LoginExchange, type LoginResult } from "./login.ts";
import { DEFAULT_WISHES, type ParameterWishes } from "./negotiation.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { IscsiSession } from "./session.ts";
import type { SessionHooks } from "./session-options.ts";

/** IANA's port for iSCSI. */
export const DEFAULT_PORT = 3260;
/** Name used unless the caller has one; iqn form of RFC 7143 4.2.7.4. */
export const DEFAULT_INITIATOR_NAME = "iqn.2013-06.org.openstack:node-iscsi";

/** What every connection needs. */
export interface PortalOptions {
  /** IP address or host name. */
  readonly address: string;
  /** Default 3260. */
  readonly port?: number | undefined;
  readonly initiatorName?: string | undefined;
  /** One-way CHAP: we prove ourselves when the target asks. */
  readonly chap?: ChapCredentials | undefined;
  /** From the first packet to a ready session or the whole list. Default 15000 ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link connect}. */
export interface ConnectOptions extends PortalOptions {
  readonly targetName: string;
  /** Default 0. */
  readonly lun?: number | undefined;
  /** Default per command, waiting for the window included. Default 30000 ms. */
  readonly commandDeadlineMs?: number | undefined;
  /** Commands sent at once at most; the target's window may be smaller. Default 64. */
  readonly maxOutstandingCommands?: number | undefined;
  /** A ping after so long without traffic; 0 turns it off. Default 10000 ms. */
  readonly keepaliveIntervalMs?: number | undefined;
  /** An unanswered ping ends the session after this. Default 10000 ms. */
  readonly keepaliveDeadlineMs?: number | undefined;
  /** Changes to the offer of operational parameters. */
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
}

/** A connection that has been through login, not yet in anyone's hands. */
export interface LoggedIn {
  readonly connection: Connection;
  readonly login: LoginResult;
  readonly portal: string;
}

const DEFAULT_LOGIN_DEADLINE_MS = 15_000;

/** ISID of the random form (RFC 7143 11.12.5, type 10b): no vendor number needed, unique per session with high odds. */
function randomIsid(): Buffer {
  const isid = randomBytes(6);
  isid[0] = 0x80;
  return isid;
}

interface LoginAttempt extends PortalOptions {
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
}

/** TCP connection and login within one deadline. `targetName` undefined makes it a discovery session. */
export async function openAndLogin(
  options: LoginAttempt,
  targetName: string | undefined,
  deadlineMs: number,
): Promise<LoggedIn> {
  const startedAt = performance.now();
  try {
    return await attemptLogin(options, targetName, deadlineMs, CHAP_ALGORITHMS_OFFERED);
  } catch (error) {
    // Trap: tgtd (and IET before it) takes number 7 for SHA-1, chooses it, and then calls our SHA-256 response an "initiator
    // error" (class 2, detail 0; a wrong secret is detail 1). MD5 has the same number everywhere: try that once.
    const isMisunderstood = error instanceof LoginError && error.statusClass === 2 && error.statusDetail === 0;
    if (options.chap === undefined || !isMisunderstood) throw error;
    const remainingMs = Math.max(1, Math.ceil(deadlineMs - (performance.now() - startedAt)));
    return attemptLogin(options, targetName, remainingMs, CHAP_MD5);
  }
}

async function attemptLogin(
  options: LoginAttempt,
  targetName: string | undefined,
  deadlineMs: number,
  chapAlgorithms: string,
): Promise<LoggedIn> {
  const { address, port = DEFAULT_PORT, signal, hooks } = options;
  const wishes = { ...DEFAULT_WISHES, ...options.wishes };
  const startedAt = performance.now();
  const connection = await Connection.open(
    { address, port, target: targetName, maxDataSegmentBytes: wishes.maxRecvDataSegmentBytes, trace: hooks?.onPdu },
    deadlineMs,
    signal,
  );
  const context: ErrorContext = { target: targetName, portal: connection.portal, operation: "login" };
  const remainingMs = Math.max(1, Math.ceil(deadlineMs - (performance.now() - startedAt)));
  const disarm = connection.guard(context, remainingMs, signal);
  try {
    const login = await new LoginExchange(connection, {
      initiatorName: options.initiatorName ?? DEFAULT_INITIATOR_NAME,
      targetName,
      chap: options.chap,
      chapAlgorithms,
      wishes,
      isid: randomIsid(),
      firstCmdSn: randomInt(1, 0x7fffffff),
      portal: connection.portal,
    }).run();
    return { connection, login, portal: connection.portal };
  } catch (error) {
    connection.destroy(error instanceof IscsiError ? error : new TransportError("internal error", context, error));
    throw error;
  } finally {
    disarm();
  }
}

/**
 * Logs in and probes the LUN with TEST UNIT READY, so that pending UNIT ATTENTION conditions are collected.
 * @throws TransportError, LoginError, TimeoutError, AbortedError, ProtocolError, or ScsiError when the LUN is not ready.
 */
export async function connect(options: ConnectOptions): Promise<IscsiSession> {
  const deadlineMs = options.deadlineMs ?? DEFAULT_LOGIN_DEADLINE_MS;
  const startedAt = performance.now();
  const { connection, login } = await openAndLogin(options, options.targetName, deadlineMs);
  const session = new IscsiSession(connection, login, {
    targetName: options.targetName,
    lun: options.lun ?? 0,
    commandDeadlineMs: options.commandDeadlineMs ?? 30_000,
    maxOutstandingCommands: options.maxOutstandingCommands ?? 64,
    keepaliveIntervalMs: options.keepaliveIntervalMs ?? 10_000,
    keepaliveDeadlineMs: options.keepaliveDeadlineMs ?? 10_000,
    hooks: options.hooks ?? {},
  });
  try {
    const remainingMs = Math.max(1, Math.ceil(deadlineMs - (performance.now() - startedAt)));
    await session.executeWithRetry(testUnitReady(), { deadlineMs: remainingMs, signal: options.signal });
    return session;
  } catch (error) {
    session.destroy();
    throw error;
  }
}
