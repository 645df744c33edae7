// One BMC for as long as the process lives: one kept session, one command in flight, reopened when lost.
import { type Budget, type OperationOptions, pause, remainingMs, startBudget } from "./budget.ts";
import type { BootDeviceSetting, BootFlags } from "./commands/boot-flags.ts";
import type { ChassisControlAction } from "./commands/chassis-control.ts";
import type { Command } from "./commands/command.ts";
import type { ChassisStatus } from "./commands/get-chassis-status.ts";
import type { DeviceId } from "./commands/get-device-id.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { abortedError } from "./exchange.ts";
import { Fifo } from "./fifo.ts";
import { openResolvedSession } from "./open-session.ts";
import { type ResolvedOptions, resolveOptions, type SessionOptions } from "./options.ts";
import type { CommandOptions, IpmiSession } from "./session.ts";

/** Options of a {@link Bmc}; `deadlineMs` is not used, each operation has `operationDeadlineMs`. */
export interface BmcOptions extends SessionOptions {
  /** Time of one operation, waiting for its turn and opening the session included, in milliseconds. Default 30000. */
  readonly operationDeadlineMs?: number;
  /** A session unused for so long is closed, to leave its slot to others, in milliseconds. Default 30000. */
  readonly idleCloseMs?: number;
}

/** Sends without an answer after which the session counts as lost: 4.9 s with the default waits. */
const SENDS_BEFORE_LOST = 6;
const NO_SLOT_PAUSE_MS = 1000;
/** A network without a route fails at once: do not spin on it. */
const LOST_PAUSE_MS = 100;

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
  readonly #fifo = new Fifo();
  #session: IpmiSession | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #idleClosing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** Checks the options (`InvalidArgument`); nothing is sent before the first operation. */
  constructor(options: BmcOptions) {
    this.#options = resolveOptions(options);
    this.#operationDeadlineMs = options.operationDeadlineMs ?? 30_000;
    this.#idleCloseMs = options.idleCloseMs ?? 30_000;
  }

  /** Host name or address, as given. */
  get address(): string {
    return this.#options.address;
  }

  /** True if the machine is on. */
  async getPower(options?: OperationOptions): Promise<boolean> {
    const status = await this.#run("get the power state", options, (session, limits) =>
      session.getChassisStatus(limits),
    );
    return status.isPowerOn;
  }

  /** Power state and faults. */
  getChassisStatus(options?: OperationOptions): Promise<ChassisStatus> {
    return this.#run("get the chassis status", options, (session, limits) => session.getChassisStatus(limits));
  }

  /** Resolves when the BMC has accepted the action; poll `getPower` for its effect. */
  control(action: ChassisControlAction, options?: OperationOptions): Promise<void> {
    return this.#run(action, options, (session, limits) => session.chassisControl(action, limits));
  }

  /** Tells the machine what to boot from, once or for good. */
  setBootDevice(setting: BootDeviceSetting, options?: OperationOptions): Promise<void> {
    return this.#run("set the boot device", options, (session, limits) => session.setBootDevice(setting, limits));
  }

  /** The boot flags as the BMC has them. */
  getBootDevice(options?: OperationOptions): Promise<BootFlags> {
    return this.#run("get the boot device", options, (session, limits) => session.getBootDevice(limits));
  }

  /** Vendor, product and firmware. */
  getDeviceId(options?: OperationOptions): Promise<DeviceId> {
    return this.#run("get the device id", options, (session, limits) => session.getDeviceId(limits));
  }

  /** Runs any command in its turn. */
  execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options?: OperationOptions,
  ): Promise<Response> {
    return this.#run(command.name, options, (session, limits) => session.execute(command, request, limits));
  }

  /** Lets the operations under way and in line finish (each has its deadline), closes the session, refuses new ones. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#idleTimer);
    await this.#fifo.take(startBudget(Number.POSITIVE_INFINITY));
    await this.#idleClosing;
    await this.#session?.close();
    this.#session = undefined;
    this.#fifo.pass();
  }

  async #run<T>(
    operation: string,
    options: OperationOptions = {},
    work: (session: IpmiSession, limits: CommandOptions) => Promise<T>,
  ): Promise<T> {
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
      return await this.#runInTurn(operation, budget, work);
    } finally {
      this.#fifo.pass();
      this.#armIdleTimer();
    }
  }

  async #runInTurn<T>(
    operation: string,
    budget: Budget,
    work: (session: IpmiSession, limits: CommandOptions) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      try {
        this.#session ??= await openResolvedSession(this.#options, budget);
        const limits = { deadlineMs: Math.max(1, remainingMs(budget)), maxSends: SENDS_BEFORE_LOST };
        return await work(this.#session, budget.signal === undefined ? limits : { ...limits, signal: budget.signal });
      } catch (error) {
        const left = remainingMs(budget);
        if (isIpmiError(error, "Timeout")) {
          // No answer, so the session is not to be trusted: the BMC may have restarted and forgotten it.
          await this.#dropSession();
          if (left === 0) throw this.#timeoutError(operation, budget, error);
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
    this.#idleTimer = setTimeout(() => {
      this.#idleClosing = this.#closeIdleSession();
    }, this.#idleCloseMs);
    this.#idleTimer.unref();
  }

  async #closeIdleSession(): Promise<void> {
    if (!this.#fifo.isIdle) return;
    // Taken at once, as it is idle: an operation that comes now waits for the close and opens a new session.
    await this.#fifo.take(startBudget(Number.POSITIVE_INFINITY));
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
    this.#fifo.pass();
  }

  #timeoutError(operation: string, budget: Budget, cause: IpmiError): IpmiError {
    const { address, name } = this.#options;
    const text = `${operation}: no answer from BMC ${name} within ${budget.totalMs} ms; is its address right, is it powered and on this network? Last: ${cause.message}`;
    return new IpmiError("Timeout", text, { address, operation, cause });
  }
}
