// IscsiSession: what a caller holds. It outlives its connection: lost ones are re-established and unacknowledged commands sent again.
import { BlockDeviceView } from "./block-device.ts";
import { remainingMs, withinDeadline } from "./deadline.ts";
import {
  type ErrorContext,
  IscsiError,
  ProtocolError,
  RecoveryError,
  SequenceError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
import type { FullFeaturePhase } from "./full-feature-phase.ts";
import type { SessionParameters } from "./negotiation.ts";
import { closedOrAborted, type LostConnection, pause, Recovery } from "./recovery.ts";
import { type RetryRules, repeatWhileRefused } from "./retry.ts";
import type { RunCommand, ScsiCommand } from "./scsi/command.ts";
import { type InquiryData, inquiry } from "./scsi/inquiry.ts";
import { type Capacity, readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
import { testUnitReady } from "./scsi/test-unit-ready.ts";
import type { ExecuteOptions, RecoveryOptions, SessionOptions } from "./session-options.ts";

/** Logs in once; the session it returns is told when that connection ends. */
export type OpenPhase = (
  onEnd: (error: IscsiError | undefined) => void,
  signal: AbortSignal | undefined,
) => Promise<FullFeaturePhase>;

/** How a session gets its connection back. */
export interface Reconnection {
  readonly options: RecoveryOptions;
  /** Logs in as reinstatement (same ISID), and makes sure that the unit is ready and still the same one. */
  readonly open: OpenPhase;
  /** @throws ProtocolError with operation {@link UNIT_CHECK} when the LUN is another unit than at first. */
  readonly checkUnit: (run: RunCommand, context: ErrorContext) => Promise<void>;
}

/** How the first attempt to run a command ended. */
interface FailedAttempt {
  readonly phase: FullFeaturePhase;
  /** In `performance.now()` milliseconds; the deadline counts from here. */
  readonly startedAt: number;
  readonly error: unknown;
}

/** `operation` of the error that ends a session whose unit was exchanged. */
export const UNIT_CHECK = "checking the unit";

/** A session with one logical unit in view; made by `connect`. */
export class IscsiSession {
  readonly targetName: string;
  readonly lun: number;
  readonly options: SessionOptions;
  readonly #recovery: Recovery<FullFeaturePhase> | undefined;
  readonly #reconnection: Reconnection | undefined;
  #phase: FullFeaturePhase;
  #lost: LostConnection | undefined;
  /** Set once, when no connection will follow. */
  #closeError: IscsiError | undefined;
  #isClosing = false;
  #logout: Promise<void> | undefined;
  readonly #retryRules: RetryRules = {
    contextOf: (operation) => this.contextOf(operation),
    commandDeadlineMs: () => this.options.commandDeadlineMs,
    onRetry: (error, attempt) => this.options.hooks.onRetry?.(error, attempt),
  };
  /** For the caller's commands, before which the unit must be known to be the same one. */
  readonly #commandRules: RetryRules = { ...this.#retryRules, checkUnit: (options) => this.#checkUnit(options) };
  /** Calls that are not settled yet, between two attempts too. */
  #outstanding = 0;
  #onIdle: (() => void) | undefined;

  private constructor(phase: FullFeaturePhase, options: SessionOptions, reconnection: Reconnection | undefined) {
    this.targetName = options.targetName;
    this.lun = options.lun;
    this.options = options;
    this.#phase = phase;
    this.#reconnection = reconnection;
    if (reconnection !== undefined)
      this.#recovery = new Recovery(
        (signal) => this.#reopen(reconnection.open, signal),
        reconnection.options,
        options.hooks,
      );
  }

  /** Makes the first connection by `open`; later ones, if any, by `reconnection`. */
  static async open(
    open: OpenPhase,
    options: SessionOptions,
    reconnection: Reconnection | undefined,
    signal: AbortSignal | undefined,
  ): Promise<IscsiSession> {
    let session: IscsiSession | undefined;
    let earlyEnd: { error: IscsiError | undefined } | undefined;
    const phase = await open((error) => {
      if (session === undefined) earlyEnd = { error };
      else session.#onPhaseEnd(error);
    }, signal);
    session = new IscsiSession(phase, options, reconnection);
    if (earlyEnd !== undefined) session.#onPhaseEnd(earlyEnd.error);
    return session;
  }

  /** `address:port` of the present or last connection. */
  get portal(): string {
    return this.#phase.portal;
  }

  /** What the present or last login agreed on. */
  get parameters(): SessionParameters {
    return this.#phase.parameters;
  }

  /** True when the session ended for good: by `logout` or `destroy`, or because the target broke the protocol or became another disk. */
  get isClosed(): boolean {
    return this.#closeError !== undefined;
  }

  /** Context of errors about `operation` on this session. */
  contextOf(operation: string): ErrorContext {
    return { target: this.targetName, portal: this.portal, operation };
  }

  /**
   * Runs one command. When the connection is lost meanwhile, waits for its recovery and sends the command again if it was not sent
   * yet or is idempotent; all within one deadline.
   * @throws ScsiError for any status but GOOD; RecoveryError, TimeoutError, AbortedError, TransportError, ProtocolError. `effect` of
   * the error says whether the command may have been run.
   */
  async execute<T>(command: ScsiCommand<T>, options: ExecuteOptions = {}): Promise<T> {
    this.#begin(command.name);
    try {
      return await this.#execute(command, options);
    } finally {
      this.#finish();
    }
  }

  /** {@link execute}, repeated within the deadline after UNIT ATTENTION, BUSY and TASK SET FULL. */
  async executeWithRetry<T>(command: ScsiCommand<T>, options: ExecuteOptions = {}): Promise<T> {
    this.#begin(command.name);
    const phase = this.#phase;
    const startedAt = performance.now();
    try {
      // Nearly always all there is to do: the layers for everything else are entered when it fails.
      return await phase.execute(command, options);
    } catch (error) {
      return await this.#retryAfter({ phase, startedAt, error }, command, options);
    } finally {
      this.#finish();
    }
  }

  /** The rest of {@link executeWithRetry} after a first attempt that failed. */
  #retryAfter<T>(first: FailedAttempt, command: ScsiCommand<T>, options: ExecuteOptions): Promise<T> {
    let isFirst = true;
    const attempt = (now: ExecuteOptions) => {
      if (!isFirst) return this.#execute(command, now);
      isFirst = false;
      return this.#reissueAfter(first, command, options);
    };
    return repeatWhileRefused(this.#commandRules, command, attempt, options, first.startedAt);
  }

  /** Counts a call, so that a logout waits for it; refuses it when one has begun. */
  #begin(operation: string): void {
    if (this.#isClosing) throw this.#closedError(operation);
    this.#outstanding += 1;
  }

  #finish(): void {
    this.#outstanding -= 1;
    if (this.#outstanding === 0) this.#onIdle?.();
  }

  async #execute<T>(command: ScsiCommand<T>, options: ExecuteOptions): Promise<T> {
    const phase = this.#phase;
    const startedAt = performance.now();
    try {
      return await phase.execute(command, options);
    } catch (error) {
      return await this.#reissueAfter({ phase, startedAt, error }, command, options);
    }
  }

  /** Sends a command again that was lost with its connection; throws what it failed with in all other cases. */
  async #reissueAfter<T>(first: FailedAttempt, command: ScsiCommand<T>, options: ExecuteOptions): Promise<T> {
    const { phase, startedAt, error } = first;
    if (!this.#mayReissue(command, error, phase)) throw error;
    return await this.#reissue(command, options, startedAt, error);
  }

  /** After the unit said that it, or the list of units, has changed. */
  async #checkUnit(options: ExecuteOptions): Promise<void> {
    // Which units the other LUNs are was never asked.
    if (this.#reconnection === undefined || (options.lun !== undefined && options.lun !== this.lun)) return;
    const { checkUnit } = this.#reconnection;
    const checkOnce = (now: ExecuteOptions) => {
      const optionsNow = withinDeadline(now);
      return checkUnit((command) => this.#execute(command, optionsNow()), this.contextOf(UNIT_CHECK));
    };
    try {
      // Again from the start: an identity made of answers from before and after a change would be nobody's.
      await repeatWhileRefused(this.#retryRules, { name: UNIT_CHECK, isIdempotent: true }, checkOnce, options);
    } catch (error) {
      this.#endIfExchanged(error);
      throw error;
    }
  }

  testUnitReady(options?: ExecuteOptions): Promise<void> {
    return this.executeWithRetry(testUnitReady(), options);
  }

  inquiry(options?: ExecuteOptions): Promise<InquiryData> {
    return this.executeWithRetry(inquiry(), options);
  }

  readCapacity10(options?: ExecuteOptions): Promise<Capacity> {
    return this.executeWithRetry(readCapacity10(), options);
  }

  readCapacity16(options?: ExecuteOptions): Promise<Capacity> {
    return this.executeWithRetry(readCapacity16(), options);
  }

  /** The session's LUN as bytes; asks the target for capacity and limits first. */
  blockDevice(options: { signal?: AbortSignal } = {}): Promise<BlockDeviceView> {
    return BlockDeviceView.open(this, options);
  }

  /** Sends a NOP-Out ping and waits for its NOP-In. */
  ping(deadlineMs: number, signal?: AbortSignal): Promise<void> {
    return this.#phase.ping(deadlineMs, signal);
  }

  /** LUN RESET (RFC 7143 11.5.1): the unit drops all tasks; ours reject with AbortedError. @throws ProtocolError when refused. */
  lunReset(options: { deadlineMs?: number; lun?: number; signal?: AbortSignal } = {}): Promise<void> {
    return this.#phase.reset("LUN RESET", this.#resetOptions(options));
  }

  /** TARGET WARM RESET (RFC 7143 11.5.1): like `lunReset` for all units of the target. @throws ProtocolError when refused. */
  targetWarmReset(options: { deadlineMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    return this.#phase.reset("TARGET WARM RESET", this.#resetOptions(options));
  }

  #resetOptions({ deadlineMs, lun, signal }: { deadlineMs?: number; lun?: number; signal?: AbortSignal }) {
    return { deadlineMs: deadlineMs ?? this.options.commandDeadlineMs, lun: lun ?? this.lun, signal };
  }

  /** Ends the session in order: waits for outstanding commands, logs out, closes. Never rejects because the target is gone. */
  logout(): Promise<void> {
    this.#logout ??= this.#logOut();
    return this.#logout;
  }

  async #logOut(): Promise<void> {
    this.#isClosing = true;
    if (this.#outstanding > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    await this.#phase.logout();
    this.#end(undefined);
    await this.#recovery?.close(this.#closedError("recovery"));
  }

  /** Ends the session at once and for good; outstanding commands reject with `error` or a TransportError. */
  destroy(error?: IscsiError): void {
    if (this.#closeError !== undefined) return;
    const reason = error ?? new TransportError("closed by this side", this.contextOf("session"));
    this.#end(reason);
    this.#phase.destroy(reason);
    void this.#recovery?.close(reason);
  }

  #onPhaseEnd(error: IscsiError | undefined): void {
    if (this.#closeError !== undefined || (error === undefined && this.#isClosing)) return;
    const lost = error ?? new TransportError("the target asked for a logout", this.contextOf("session"));
    this.#lost = { error: lost, at: performance.now(), time2WaitSeconds: this.#phase.time2WaitSeconds };
    // A target that breaks the protocol would do it again, and what it said before cannot be trusted.
    const isRecoverable = lost.code === "Transport" || lost instanceof SequenceError;
    if (this.#recovery === undefined || !isRecoverable) this.#end(lost);
    else this.options.hooks.onConnectionLost?.(lost);
  }

  #end(error: IscsiError | undefined): void {
    if (this.#closeError !== undefined) return;
    this.#isClosing = true;
    this.#closeError = error ?? new TransportError("the session is closed", this.contextOf("session"));
    this.options.hooks.onClose?.(error);
  }

  #mayReissue(command: ScsiCommand<unknown>, error: unknown, phase: FullFeaturePhase): error is IscsiError {
    if (this.#recovery === undefined || this.#closeError !== undefined) return false;
    if (!(error instanceof IscsiError) || error.code !== "Transport" || !phase.isEnding) return false;
    return error.effect === "none" || command.isIdempotent === true;
  }

  async #reissue<T>(
    command: ScsiCommand<T>,
    options: ExecuteOptions,
    startedAt: number,
    first: IscsiError,
  ): Promise<T> {
    const deadlineMs = options.deadlineMs ?? this.options.commandDeadlineMs;
    const deadlineAt = startedAt + deadlineMs;
    const maxReissues = this.#reconnection?.options.maxReissues ?? 0;
    let error = first;
    for (let count = 1; count <= maxReissues; count += 1) {
      const context = { ...this.contextOf(command.name), effect: error.effect };
      const phase = await this.#workingPhase(context, deadlineMs, deadlineAt, options.signal);
      try {
        return await phase.execute(command, { ...options, deadlineMs: remainingMs(deadlineAt) });
      } catch (again) {
        if (!(again instanceof IscsiError)) throw again;
        again.withEffect(error.effect);
        if (!this.#mayReissue(command, again, phase)) throw again;
        error = again;
      }
    }
    const reason = `the connection was lost each of the ${maxReissues + 1} times the command was sent: ${error.reason}`;
    throw new RecoveryError(reason, maxReissues, { ...this.contextOf(command.name), effect: error.effect }, error);
  }

  /** The present phase if it works, else the one that a recovery brings. */
  async #workingPhase(
    context: ErrorContext,
    deadlineMs: number,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<FullFeaturePhase> {
    if (this.#closeError !== undefined) throw new TransportError(this.#closeError.reason, context, this.#closeError);
    if (!this.#phase.isEnding || this.#recovery === undefined) return this.#phase;
    if (performance.now() >= deadlineAt) throw new TimeoutError(deadlineMs, context);
    const asked = new TransportError("the target asked for a logout", this.contextOf("session"));
    const lost = this.#lost ?? { error: asked, at: performance.now(), time2WaitSeconds: this.#phase.time2WaitSeconds };
    const waiter = { context, deadlineMs: remainingMs(deadlineAt), signal };
    try {
      return await this.#recovery.join(lost, this.contextOf("recovery"), waiter);
    } catch (error) {
      // One recovery fails for many commands: each gets an error of its own, with what it may have done.
      if (error instanceof RecoveryError) throw new RecoveryError(error.reason, error.attempts, context, error.cause);
      if (error instanceof IscsiError && error.operation !== context.operation)
        throw new TransportError(error.reason, context, error);
      throw error;
    }
  }

  /** One attempt of a recovery. */
  async #reopen(open: OpenPhase, signal: AbortSignal): Promise<FullFeaturePhase> {
    // After a logout that the target asked for, the old connection may still be draining; its answer says how long to wait.
    await closedOrAborted(this.#phase.closed, signal);
    const mayLoginAt = (this.#lost?.at ?? 0) + this.#phase.time2WaitSeconds * 1000;
    await pause(Math.max(0, mayLoginAt - performance.now()), signal);
    try {
      let adopted: FullFeaturePhase | undefined;
      const phase = await open((error) => {
        if (adopted !== undefined && this.#phase === adopted) this.#onPhaseEnd(error);
      }, signal);
      if (this.#closeError !== undefined || phase.isEnding) {
        phase.destroy();
        throw this.#closeError !== undefined ? this.#closedError("recovery") : lostAgain(this.contextOf("recovery"));
      }
      adopted = phase;
      this.#phase = phase;
      this.#lost = undefined;
      return phase;
    } catch (error) {
      this.#endIfExchanged(error);
      throw error;
    }
  }

  #endIfExchanged(error: unknown): void {
    if (!(error instanceof ProtocolError) || error.operation !== UNIT_CHECK) return;
    this.#end(error);
    this.#phase.destroy(error);
  }

  #closedError(operation: string): IscsiError {
    const cause = this.#closeError;
    const context: ErrorContext = { ...this.contextOf(operation), effect: "none" };
    return new TransportError(cause?.reason ?? "the session is logging out", context, cause);
  }
}

const lostAgain = (context: ErrorContext) => new TransportError("the new connection was lost at once", context);
