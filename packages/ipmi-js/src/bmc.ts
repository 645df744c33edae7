// One BMC for as long as the process lives: one kept session, one command in flight, reopened when lost.

import { type Budget, LONGEST_TIMER_MS, type OperationOptions, pause, remainingMs, startBudget } from "./budget.ts";
import { CircuitBreaker, type CircuitBreakerOptions } from "./circuit-breaker.ts";
import type { BootDeviceSetting, BootFlags } from "./commands/boot-flags.ts";
import type { ChassisControlAction } from "./commands/chassis-control.ts";
import type { Command } from "./commands/command.ts";
import type { RunOptions } from "./commands/command-runner.ts";
import type { ChassisStatus } from "./commands/get-chassis-status.ts";
import type { DeviceId } from "./commands/get-device-id.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { abortedError } from "./exchange.ts";
import { Fifo } from "./fifo.ts";
import { openResolvedSession } from "./open-session.ts";
import { type ResolvedOptions, resolveOptions, type SessionOptions } from "./options.ts";
import { QUIRKS, type Quirk, type Workaround, workaroundFor } from "./quirks.ts";
import type { CommandOptions, IpmiSession } from "./session.ts";

/** Options of a {@link Bmc}; `deadlineMs` is not used, each operation has `operationDeadlineMs`. */
export interface BmcOptions extends SessionOptions {
  /** Time of one operation, waiting for its turn and opening the session included, in milliseconds. Default 30000. */
  readonly operationDeadlineMs?: number;
  /** A session unused for so long is closed, to leave its slot to others, in milliseconds. Default 30000. */
  readonly idleCloseMs?: number;
  /**
   * Keeps the session as long as this client lives, by a command when it was not used for so long, in milliseconds; up to a fifth less,
   * so that thousands of sessions opened at once spread. BMCs forget sessions after 60 s (6.12.15): 45000 leaves time for a lost
   * datagram or two. Default: not kept, but closed after `idleCloseMs`.
   */
  readonly keepAliveMs?: number;
  /** Least time between the end of an operation and the next, in milliseconds. Default 10. */
  readonly minGapMs?: number;
  /** When a BMC counts as dead and is left alone for a while. */
  readonly breaker?: CircuitBreakerOptions;
  /**
   * Rows for the table of {@link QUIRKS}; they win over it. The BMC is asked what it is before its second operation, or the first
   * power command or boot device. False: no row applies, and the BMC is not asked.
   */
  readonly quirks?: readonly Quirk[] | false;
}

/** Sends without an answer after which the session counts as lost: 4.9 s with the default waits. */
const SENDS_BEFORE_LOST = 6;
/** A BMC is silent when three datagrams had no answer: after 0.3, 0.6 and some of the third of these waits. */
const SILENCE_WAITS = 1.2;
const NO_SLOT_PAUSE_MS = 1000;
/** A network without a route fails at once: do not spin on it. */
const LOST_PAUSE_MS = 100;
/** Part of the keep-alive time that is left to chance. */
const KEEP_ALIVE_SPREAD = 0.2;
/** The keep-alives of thousands of sessions go out in bundles so far apart: to wake up for each alone costs more than to send it. */
const KEEP_ALIVE_GRID_MS = 250;
const KEEP_ALIVE_DEADLINE_MS = 10_000;

/** Says nothing about the BMC: it was not asked, or the time was over before it can be called silent. */
class NoVerdictError extends IpmiError {}

/** `limits` gives the time that is left to the next command. */
type Work<T> = (session: IpmiSession, limits: () => CommandOptions, budget: Budget) => Promise<T>;

/** Errors that a BMC has no part in. */
const SAYS_NOTHING: ReadonlySet<string> = new Set(["Aborted", "InvalidArgument", "Closed"]);

/** Milliseconds from now to the last point of a grid within `ms`; at least one step. */
function untilGrid(ms: number, gridMs: number): number {
  const now = performance.now();
  return Math.max(gridMs, Math.floor((now + ms) / gridMs) * gridMs - now);
}

/**
 * A client of one BMC. Operations run in the order they were asked for. A lost session, a restarted BMC and a BMC
 * without a free slot are tried again until the operation's deadline; a refusal is thrown at once.
 *
 * Trap: an operation whose answer was lost is sent again. `power-cycle` and `hard-reset` may then happen twice.
 */
export class Bmc {
  readonly #options: ResolvedOptions;
  readonly #operationDeadlineMs: number;
  readonly #idleCloseMs: number;
  readonly #keepAliveMs: number | undefined;
  readonly #minGapMs: number;
  readonly #ownQuirks: readonly Quirk[] | false;
  readonly #breaker: CircuitBreaker;
  readonly #fifo = new Fifo();
  /** Undefined until the BMC was asked what it is. */
  #workaround: Workaround | undefined;
  #wasAskedInPassing = false;
  #lastEndAt = 0;
  #powerSettlesAt = 0;
  #bootSettlesAt = 0;
  #session: IpmiSession | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #idleClosing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** Checks the options (`InvalidArgument`); nothing is sent before the first operation. */
  constructor(options: BmcOptions) {
    this.#options = resolveOptions(options);
    const { operationDeadlineMs = 30_000, idleCloseMs = 30_000, keepAliveMs, minGapMs = 10 } = options;
    for (const [name, ms] of Object.entries({ operationDeadlineMs, idleCloseMs, keepAliveMs: keepAliveMs ?? 1 }))
      if (!(ms > 0)) this.#refuse(`${name} must be a positive number of milliseconds, not ${ms}`);
    if (!(minGapMs >= 0)) this.#refuse(`minGapMs must be milliseconds from 0, not ${minGapMs}`);
    this.#operationDeadlineMs = operationDeadlineMs;
    this.#idleCloseMs = idleCloseMs;
    this.#keepAliveMs = keepAliveMs;
    this.#minGapMs = minGapMs;
    this.#ownQuirks = options.quirks ?? [];
    this.#breaker = new CircuitBreaker(options.breaker);
  }

  /** Host name or address, as given. */
  get address(): string {
    return this.#options.address;
  }

  /** True if the machine is on. After a power command it waits until the BMC's answer can be trusted (see {@link QUIRKS}). */
  async getPower(options?: OperationOptions): Promise<boolean> {
    const status = await this.#run("get the power state", options, async (session, limits, budget) => {
      await pause(this.#powerSettlesAt - performance.now(), budget);
      return session.getChassisStatus(limits());
    });
    return status.isPowerOn;
  }

  /** Power state and faults. */
  getChassisStatus(options?: OperationOptions): Promise<ChassisStatus> {
    return this.#run("get the chassis status", options, (session, limits) => session.getChassisStatus(limits()));
  }

  /** Resolves when the BMC has accepted the action; poll `getPower` for its effect. */
  control(action: ChassisControlAction, options?: OperationOptions): Promise<void> {
    return this.#run(action, options, async (session, limits, budget) => {
      const { powerSettleMs = 0 } = await this.#knownWorkaround(session, limits, budget);
      await session.chassisControl(action, limits());
      this.#powerSettlesAt = performance.now() + powerSettleMs;
    });
  }

  /** Tells the machine what to boot from, once or for good. */
  setBootDevice(setting: BootDeviceSetting, options?: OperationOptions): Promise<void> {
    return this.#run("set the boot device", options, async (session, limits, budget) => {
      const { bootSettleMs = 0 } = await this.#knownWorkaround(session, limits, budget);
      await session.setBootDevice(setting, limits());
      this.#bootSettlesAt = performance.now() + bootSettleMs;
    });
  }

  /** The boot flags as the BMC has them. */
  getBootDevice(options?: OperationOptions): Promise<BootFlags> {
    return this.#run("get the boot device", options, async (session, limits, budget) => {
      await pause(this.#bootSettlesAt - performance.now(), budget);
      return session.getBootDevice(limits());
    });
  }

  /** Vendor, product and firmware. */
  getDeviceId(options?: OperationOptions): Promise<DeviceId> {
    return this.#run("get the device id", options, async (session, limits) => {
      const device = await session.getDeviceId(limits());
      if (this.#ownQuirks !== false) this.#workaround = workaroundFor(device, this.#ownQuirks);
      return device;
    });
  }

  /** Runs any command in its turn. */
  execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options?: RunOptions,
  ): Promise<Response> {
    return this.#run(command.name, options, (session, limits) =>
      session.execute(command, request, { ...limits(), needsEncryption: options?.needsEncryption }),
    );
  }

  /** Lets the operations under way and in line finish (each has its deadline), closes the session, refuses new ones. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#idleTimer);
    await this.#fifo.take(startBudget(Number.POSITIVE_INFINITY));
    try {
      await this.#idleClosing;
      await this.#session?.close();
    } finally {
      this.#session = undefined;
      this.#fifo.pass();
    }
  }

  async #run<T>(operation: string, options: OperationOptions = {}, work: Work<T>): Promise<T> {
    const { address, name } = this.#options;
    if (this.#closing !== undefined) {
      throw new IpmiError("Closed", `cannot ${operation} of ${name}: its client is closed`, { address, operation });
    }
    const budget = startBudget(options.deadlineMs ?? this.#operationDeadlineMs, options.signal);
    const end = await this.#fifo.take(budget);
    if (end === "aborted") throw abortedError(this.#options, operation, budget.signal);
    if (end === "deadline") {
      const text = `${operation}: its turn at ${name} did not come within ${budget.totalMs} ms; earlier operations still run`;
      throw new IpmiError("Timeout", text, { address, operation });
    }
    clearTimeout(this.#idleTimer);
    try {
      await this.#waitForManners(operation, budget);
      const result = await this.#runInTurn(operation, budget, work);
      this.#breaker.succeeded();
      return result;
    } catch (error) {
      this.#count(error);
      throw error;
    } finally {
      this.#lastEndAt = performance.now();
      this.#fifo.pass();
      this.#armIdleTimer();
    }
  }

  /** The gap after the operation before, and a dead BMC's rest; one that ends after our time makes us fail at once. */
  async #waitForManners(operation: string, budget: Budget): Promise<void> {
    const now = performance.now();
    const restMs = this.#breaker.waitMs(now);
    if (restMs >= remainingMs(budget)) throw this.#deadError(operation, restMs);
    const gapMs = this.#lastEndAt + Math.max(this.#minGapMs, this.#workaround?.minGapMs ?? 0) - now;
    await pause(Math.max(restMs, gapMs), budget);
    if (budget.signal?.aborted) throw abortedError(this.#options, operation, budget.signal);
  }

  /** Only silence counts against a BMC, and any answer, a refusal too, for it. What was not asked says nothing. */
  #count(error: unknown): void {
    if (!(error instanceof IpmiError) || error instanceof NoVerdictError) return;
    if (error.code === "Timeout") this.#breaker.failed(performance.now());
    else if (!SAYS_NOTHING.has(error.code)) this.#breaker.succeeded();
  }

  /** What the table says of this BMC, asked once. One that does not tell what it is gets no workaround. */
  async #knownWorkaround(session: IpmiSession, limits: () => CommandOptions, budget: Budget): Promise<Workaround> {
    if (this.#ownQuirks === false) return {};
    if (this.#workaround !== undefined) return this.#workaround;
    try {
      this.#workaround = workaroundFor(await session.getDeviceId(limits()), this.#ownQuirks);
    } catch (error) {
      if (!isIpmiError(error, "CompletionCode", "InsufficientPrivilege", "Protocol")) throw error;
      this.#workaround = {};
    }
    await pause(this.#workaround.minGapMs ?? 0, budget);
    return this.#workaround;
  }

  /** How long the BMC keeps a session that is not used. Until it was asked what it is: as short as any row says. */
  get #sessionIdleMs(): number {
    if (this.#ownQuirks === false) return Number.POSITIVE_INFINITY;
    const possible =
      this.#workaround === undefined
        ? [...QUIRKS, ...this.#ownQuirks].map(({ workaround }) => workaround)
        : [this.#workaround];
    return Math.min(...possible.map(({ sessionIdleMs = Number.POSITIVE_INFINITY }) => sessionIdleMs));
  }

  async #runInTurn<T>(operation: string, budget: Budget, work: Work<T>): Promise<T> {
    let isSilent = false;
    for (;;) {
      let askedAt = performance.now();
      const limits = (): CommandOptions => {
        askedAt = performance.now();
        const deadlineMs = remainingMs(budget);
        if (deadlineMs === 0) throw this.#notAskedError(operation, budget);
        return { deadlineMs, maxSends: SENDS_BEFORE_LOST, signal: budget.signal };
      };
      try {
        this.#session ??= await openResolvedSession(this.#options, budget);
        // The first operation does not pay for the question: gaps and idle times are for those who come again.
        if (this.#lastEndAt > 0 && !this.#wasAskedInPassing) {
          // Trap: a BMC that leaves the question without an answer must stay readable.
          this.#wasAskedInPassing = true;
          await this.#knownWorkaround(this.#session, limits, budget);
        }
        return await work(this.#session, limits, budget);
      } catch (error) {
        if (error instanceof NoVerdictError) throw error;
        const left = remainingMs(budget);
        if (isIpmiError(error, "Timeout")) {
          // Trap: a caller in a hurry is no reason to think ill of the BMC, or of the session.
          isSilent ||= left > 0 || performance.now() - askedAt >= SILENCE_WAITS * this.#options.retransmitMs;
          if (!isSilent) throw this.#timeoutError(NoVerdictError, operation, budget, error);
          // No answer, so the session is not to be trusted: the BMC may have restarted and forgotten it.
          await this.#dropSession();
          if (left === 0) throw this.#timeoutError(IpmiError, operation, budget, error);
          await pause(LOST_PAUSE_MS, budget);
        } else if (isIpmiError(error, "NoFreeSession") && left > NO_SLOT_PAUSE_MS) {
          await pause(NO_SLOT_PAUSE_MS, budget);
        } else {
          if (isIpmiError(error, "InsufficientPrivilege")) await this.#dropSession();
          throw error;
        }
        if (budget.signal?.aborted) throw abortedError(this.#options, operation, budget.signal);
      }
    }
  }

  async #dropSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.abandon();
  }

  #armIdleTimer(): void {
    if (!this.#fifo.isIdle || this.#session === undefined || this.#closing !== undefined) return;
    clearTimeout(this.#idleTimer);
    const knownMs = this.#sessionIdleMs;
    if (this.#keepAliveMs !== undefined) {
      const longestMs = Math.min(this.#keepAliveMs, knownMs / 2, LONGEST_TIMER_MS);
      const afterMs = longestMs * (1 - KEEP_ALIVE_SPREAD * Math.random());
      this.#idleTimer = setTimeout(
        () => this.#keepAlive(),
        untilGrid(afterMs, Math.min(KEEP_ALIVE_GRID_MS, longestMs / 20)),
      );
    } else {
      this.#idleTimer = setTimeout(
        () => {
          this.#idleClosing = this.#closeIdleSession();
        },
        Math.min(this.#idleCloseMs, knownMs, LONGEST_TIMER_MS),
      );
    }
    this.#idleTimer.unref();
  }

  /** Its end arms the next one. A failure is told by the next operation that somebody asks for. */
  #keepAlive(): void {
    const options = { deadlineMs: KEEP_ALIVE_DEADLINE_MS };
    this.#run("keep the session", options, (session, limits) => session.getChassisStatus(limits())).catch(() => {});
  }

  async #closeIdleSession(): Promise<void> {
    if (!this.#fifo.isIdle) return;
    // Taken at once, as it is idle: an operation that comes now waits for the close and opens a new session.
    await this.#fifo.take(startBudget(Number.POSITIVE_INFINITY));
    const session = this.#session;
    this.#session = undefined;
    try {
      await session?.close();
    } finally {
      this.#fifo.pass();
    }
  }

  #refuse(text: string): never {
    const { address, name } = this.#options;
    const operation = "check the client's options";
    throw new IpmiError("InvalidArgument", `options for BMC ${name}: ${text}`, { address, operation });
  }

  #deadError(operation: string, restMs: number): IpmiError {
    const { address, name } = this.#options;
    const text =
      `${operation}: BMC ${name} did not answer ${this.#breaker.failures} operations in a row and is left alone ` +
      `for another ${Math.ceil(restMs)} ms; is its address right, is it powered and on this network?`;
    return new NoVerdictError("Timeout", text, { address, operation });
  }

  #notAskedError(operation: string, budget: Budget): IpmiError {
    const { address, name } = this.#options;
    const text = `${operation}: the ${budget.totalMs} ms were over before BMC ${name} was asked`;
    return new NoVerdictError("Timeout", text, { address, operation });
  }

  #timeoutError(kind: typeof IpmiError, operation: string, budget: Budget, cause: IpmiError): IpmiError {
    const { address, name } = this.#options;
    const text = `${operation}: no answer from BMC ${name} within ${budget.totalMs} ms; is its address right, is it powered and on this network? Last: ${cause.message}`;
    return new kind("Timeout", text, { address, operation, cause });
  }
}
