// connect(): from an address or a URL to a session that is ready (RFC 7143 6.3) and keeps itself so (7.1.4.4).
import { CacheLosses } from "./cache-losses.ts";
import { checkOptions } from "./check-options.ts";
import { remainingMs } from "./deadline.ts";
import { type ErrorContext, InvalidArgumentError, type IscsiError, ProtocolError, TransportError } from "./errors.ts";
import { FullFeaturePhase } from "./full-feature-phase.ts";
import type { ParameterWishes } from "./negotiation.ts";
import { openAndLogin, type PortalOptions } from "./open-and-login.ts";
import { type CommandRunner, executeWithRetry, isFencing } from "./retry.ts";
import type { RunCommand } from "./scsi/command.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import { IscsiSession, type OpenPhase, UNIT_CHECK } from "./session.ts";
import { DEFAULT_RECOVERY, type RecoveryOptions, type SessionHooks, type SessionOptions } from "./session-options.ts";
import { chapOfUrl, parseTargetUrl } from "./target-url.ts";
import { describeIdentity, identifyUnit, isSameUnit, type UnitIdentity } from "./unit-identity.ts";

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
  /**
   * 6 bytes that, with the initiator's name, name this session (RFC 7143 11.12.5). Default: random. A process that restarts with the one
   * it had takes over its old session, and keeps its persistent reservations. Two sessions of one process must differ.
   */
  readonly isid?: Buffer | undefined;
  /**
   * False asks the LUN nothing before the first command, for questions a target answers about any LUN. Default true: it must be ready,
   * and after a recovery the same one.
   */
  readonly probe?: boolean | undefined;
  /** Changes to the offer of operational parameters. */
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
}

const DEFAULT_LOGIN_DEADLINE_MS = 15_000;
/** Unit attention conditions of earlier sessions that a new one collects at most. */
const MAX_OLD_ATTENTIONS = 10;

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
  checkOptions(options);
  const deadlineMs = options.deadlineMs ?? DEFAULT_LOGIN_DEADLINE_MS;
  const sessionOptions: SessionOptions = {
    targetName: options.targetName,
    lun: options.lun ?? 0,
    commandDeadlineMs: options.commandDeadlineMs ?? 30_000,
    maxOutstandingCommands: options.maxOutstandingCommands ?? 64,
    keepaliveIntervalMs: options.keepaliveIntervalMs ?? 5_000,
    keepaliveDeadlineMs: options.keepaliveDeadlineMs ?? 5_000,
    hooks: options.hooks ?? {},
    cacheLosses: new CacheLosses(),
  };
  const isRecovering = options.recovery !== false;
  const reconnector = new Reconnector(options, sessionOptions, deadlineMs, isRecovering);
  const open: OpenPhase = (onEnd, signal) => reconnector.open(onEnd, signal);
  const checkUnit = (run: RunCommand, context: ErrorContext) => reconnector.checkUnit(run, context);
  const recovery = { ...DEFAULT_RECOVERY, ...(options.recovery === false ? {} : options.recovery) };
  const reconnection = isRecovering ? { options: recovery, open, checkUnit } : undefined;
  return IscsiSession.open(open, sessionOptions, reconnection, options.signal);
}

/** Logs in again and again as the same session, and makes sure that it reaches the same unit. */
class Reconnector {
  readonly #options: ConnectOptions;
  readonly #sessionOptions: SessionOptions;
  readonly #deadlineMs: number;
  readonly #isChecking: boolean;
  #isid: Buffer | undefined;
  #identity: UnitIdentity | undefined;
  #first: { readonly tpgt: number | undefined } | undefined;

  constructor(options: ConnectOptions, sessionOptions: SessionOptions, deadlineMs: number, isChecking: boolean) {
    this.#options = options;
    this.#sessionOptions = sessionOptions;
    this.#deadlineMs = deadlineMs;
    this.#isChecking = isChecking;
    this.#isid = options.isid;
  }

  async open(
    onEnd: (error: IscsiError | undefined) => void,
    signal: AbortSignal | undefined,
  ): Promise<FullFeaturePhase> {
    const deadlineAt = performance.now() + this.#deadlineMs;
    const { targetName } = this.#options;
    const loggedIn = await openAndLogin({ ...this.#options, signal, isid: this.#isid }, targetName, this.#deadlineMs);
    this.#isid = loggedIn.isid;
    const phase = new FullFeaturePhase(loggedIn.connection, loggedIn.login, this.#sessionOptions, onEnd);
    const run: RunCommand = (command) =>
      executeWithRetry(runnerOf(phase), command, { deadlineMs: remainingMs(deadlineAt), signal });
    const probe = () => (this.#isChecking ? this.checkUnit(run, phase.contextOf(UNIT_CHECK)) : run(testUnitReady()));
    try {
      this.#checkPortalGroup(phase);
      if (this.#options.probe === false) return phase;
      await (this.#identity === undefined ? afterOldFencing(probe) : probe());
      return phase;
    } catch (error) {
      phase.destroy();
      throw error;
    }
  }

  /** @throws ProtocolError when it is not the unit we had: writing on would destroy somebody else's data. */
  async checkUnit(run: RunCommand, context: ErrorContext): Promise<void> {
    const found = await identifyUnit(run);
    this.#identity ??= found;
    if (isSameUnit(this.#identity, found)) return;
    const what = `before: ${describeIdentity(this.#identity)}; now: ${describeIdentity(found)}`;
    throw new ProtocolError(`another unit answers to this LUN now (${what}); nothing more was sent to it`, context);
  }

  /**
   * A login reinstates a session of the same portal group only (RFC 7143 4.2.7.1, 6.3.5). In another one the tasks of the lost session
   * live on, and an old write could land after a new one.
   */
  #checkPortalGroup(phase: FullFeaturePhase): void {
    const tpgt = phase.parameters.targetPortalGroupTag;
    this.#first ??= { tpgt };
    if (this.#first.tpgt === tpgt) return;
    const reason = `the portal belongs to group ${tpgt}, the lost session to group ${this.#first.tpgt}, which alone can end its tasks`;
    throw new TransportError(reason, phase.contextOf("recovery"));
  }
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

/** Retries on one connection, before there is a session. */
function runnerOf(phase: FullFeaturePhase): CommandRunner {
  return {
    execute: (command, options) => phase.execute(command, options),
    contextOf: (operation) => phase.contextOf(operation),
    commandDeadlineMs: () => phase.options.commandDeadlineMs,
    onRetry: (error, attempt) => phase.options.hooks.onRetry?.(error, attempt),
  };
}

/** What befell an earlier session of this initiator is none of the new one's business: it has written nothing yet. */
async function afterOldFencing(probe: () => Promise<void>): Promise<void> {
  for (let count = 0; ; count += 1) {
    try {
      return await probe();
    } catch (error) {
      if (!isFencing(error) || count === MAX_OLD_ATTENTIONS) throw error;
    }
  }
}
