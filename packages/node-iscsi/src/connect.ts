// connect(): from an address or a URL to a session that is ready (RFC 7143 6.3) and keeps itself so (7.1.4.4).
import { type ErrorContext, InvalidArgumentError, ProtocolError } from "./errors.ts";
import { FullFeaturePhase } from "./full-feature-phase.ts";
import type { ParameterWishes } from "./negotiation.ts";
import { openAndLogin, type PortalOptions } from "./open-and-login.ts";
import { executeWithRetry } from "./retry.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { IscsiSession, type OpenPhase } from "./session.ts";
import { DEFAULT_RECOVERY, type RecoveryOptions, type SessionHooks, type SessionOptions } from "./session-options.ts";
import { chapOfUrl, parseTargetUrl } from "./target-url.ts";
import { identifyUnit, type UnitIdentity } from "./unit-identity.ts";

export { DEFAULT_INITIATOR_NAME, DEFAULT_PORT, type PortalOptions } from "./open-and-login.ts";

/** Options of {@link connect}. */
export interface ConnectOptions extends PortalOptions {
  readonly targetName: string;
  /** Default 0. */
  readonly lun?: number | undefined;
  /** Default per command, waiting for the window and for recoveries included. Default 30000 ms. */
  readonly commandDeadlineMs?: number | undefined;
  /** Commands sent at once at most; the target's window may be smaller. Default 64. */
  readonly maxOutstandingCommands?: number | undefined;
  /** A ping after so long without traffic; 0 turns it off. Default 5000 ms. */
  readonly keepaliveIntervalMs?: number | undefined;
  /** An unanswered ping ends the connection after this. Default 5000 ms. */
  readonly keepaliveDeadlineMs?: number | undefined;
  /**
   * What to do when the connection is lost: by default log in again and send again what was not acknowledged. False: the session ends
   * with its first connection, and every outstanding command rejects.
   */
  readonly recovery?: false | Partial<RecoveryOptions> | undefined;
  /** Changes to the offer of operational parameters. */
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
}

const DEFAULT_LOGIN_DEADLINE_MS = 15_000;

/**
 * Logs in, waits until the LUN is ready (which collects pending UNIT ATTENTION conditions), and remembers which unit it is.
 * `target` is a URL `iscsi://[user@]host[:port]/target/lun` or an options object; options given beside a URL win over it. The
 * secret of a URL's user comes from `chap` or from NODE_ISCSI_CHAP_SECRET.
 * @throws TransportError, LoginError, TimeoutError, AbortedError, ProtocolError, InvalidArgumentError, or ScsiError when the LUN is not ready.
 */
export async function connect(
  target: string | ConnectOptions,
  overrides: Partial<ConnectOptions> = {},
): Promise<IscsiSession> {
  const options = typeof target === "string" ? fromUrl(target, overrides) : { ...target, ...overrides };
  const deadlineMs = options.deadlineMs ?? DEFAULT_LOGIN_DEADLINE_MS;
  const sessionOptions: SessionOptions = {
    targetName: options.targetName,
    lun: options.lun ?? 0,
    commandDeadlineMs: options.commandDeadlineMs ?? 30_000,
    maxOutstandingCommands: options.maxOutstandingCommands ?? 64,
    keepaliveIntervalMs: options.keepaliveIntervalMs ?? 5_000,
    keepaliveDeadlineMs: options.keepaliveDeadlineMs ?? 5_000,
    hooks: options.hooks ?? {},
  };
  let isid: Buffer | undefined;
  let identity: UnitIdentity | undefined;
  const isRecovering = options.recovery !== false;
  const open: OpenPhase = async (onEnd, signal) => {
    const startedAt = performance.now();
    const loggedIn = await openAndLogin({ ...options, signal, isid }, options.targetName, deadlineMs);
    isid = loggedIn.isid;
    const phase = new FullFeaturePhase(loggedIn.connection, loggedIn.login, sessionOptions, onEnd);
    const remainingMs = Math.max(1, Math.ceil(deadlineMs - (performance.now() - startedAt)));
    const run = <T>(command: ScsiCommand<T>) => executeWithRetry(phase, command, { deadlineMs: remainingMs, signal });
    try {
      if (!isRecovering) await run(testUnitReady());
      else {
        const found = await identifyUnit(run);
        identity ??= found;
        if (found.text !== identity.text) throw changed(identity, found, phase.contextOf("checking the unit"));
      }
      return phase;
    } catch (error) {
      phase.destroy();
      throw error;
    }
  };
  const recovery = { ...DEFAULT_RECOVERY, ...(options.recovery === false ? {} : options.recovery) };
  return IscsiSession.open(
    open,
    sessionOptions,
    isRecovering ? { options: recovery, open } : undefined,
    options.signal,
  );
}

function fromUrl(url: string, overrides: Partial<ConnectOptions>): ConnectOptions {
  const parsed = parseTargetUrl(url);
  const targetName = overrides.targetName ?? parsed.targetName;
  if (targetName === undefined)
    throw new InvalidArgumentError(`the URL names no target; write iscsi://host[:port]/target-name/lun`, {
      operation: "connect",
    });
  const chap = overrides.chap ?? chapOfUrl(parsed);
  return { ...parsed, ...overrides, targetName, chap, wishes: { ...parsed.wishes, ...overrides.wishes } };
}

/** Writing on would destroy somebody else's data. */
function changed(before: UnitIdentity, after: UnitIdentity, context: ErrorContext): ProtocolError {
  return new ProtocolError(
    `after the connection was lost another unit answers (before: ${before.text}; now: ${after.text}); nothing was sent to it`,
    context,
  );
}
