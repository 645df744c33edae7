// The machine's serial console over the network: characters in and out, a session that is kept and opened again when lost.
import { type Budget, pause, remainingMs, startBudget } from "../budget.ts";
import { IpmiError, isIpmiError } from "../errors.ts";
import type { OpenSessionOptions } from "../open-session.ts";
import { type ResolvedOptions, resolveOptions } from "../options.ts";
import { SOL_OPERATION, SOL_STATUS } from "../wire/sol.ts";
import { OutputQueue } from "./output-queue.ts";
import { SolConnection, type SolConnectionOptions, type SolEnd } from "./sol-connection.ts";
import { SolSender } from "./sol-sender.ts";

/** What happens to a console besides characters. */
export type SerialConsoleEvent =
  /** Open again after a `disconnected`; what the machine wrote in between is lost, unless the BMC kept it. */
  | { readonly kind: "reconnected" }
  /**
   * `uncertainBytes` characters of ours were under way: the machine has them or not; they are not sent again. `isTaken`: another
   * party has the console, as far as the BMC tells.
   */
  | {
      readonly kind: "disconnected";
      readonly error: IpmiError;
      readonly uncertainBytes: number;
      readonly isTaken: boolean;
    }
  /** The BMC cannot move characters (the machine is off, or resets), or can again. */
  | { readonly kind: "transfer-unavailable" }
  | { readonly kind: "transfer-available" }
  /** The machine has sent a break. */
  | { readonly kind: "break" }
  /** Characters of the machine came faster than the BMC could hold them; some are lost. */
  | { readonly kind: "overrun" };

/** How a lost console is opened again. */
export interface SerialConsoleReconnect {
  /** The first wait, doubled after each failure up to `maxMs`, in milliseconds. Default 1000, 30000. */
  readonly firstMs?: number;
  readonly maxMs?: number;
  /** Time without a console after which it ends with the last error, in milliseconds. Default 300000; 0: it ends when it is lost. */
  readonly deadlineMs?: number;
}

/** Options of {@link openSerialConsole}; `deadlineMs` is for each opening, `signal` ends the console at any time. */
export interface SerialConsoleOptions extends OpenSessionOptions {
  /** End another session's use of the console. Default false: `ConsoleInUse`. */
  readonly takeOver?: boolean;
  /** Time until characters are sent again, in milliseconds. Default: the BMC's SOL retry interval. */
  readonly retryIntervalMs?: number;
  /** Between two commands that keep the session from expiring and ask whose the console is, in milliseconds. Default 20000. */
  readonly keepAliveMs?: number;
  /** Output held for the reader, at least 1024; a BMC is not acknowledged above it. Default 262144. */
  readonly maxBufferedBytes?: number;
  readonly reconnect?: SerialConsoleReconnect;
  readonly onEvent?: (event: SerialConsoleEvent) => void;
}

const DEFAULT_BUFFERED_BYTES = 256 * 1024;
const LEAST_BUFFERED_BYTES = 1024;

/**
 * Opens the machine's serial console, in a session of its own.
 *
 * Errors: those of `openSession`; `ConsoleInUse` if another session has it; `CompletionCode` if the BMC has no Serial over LAN.
 */
export async function openSerialConsole(options: SerialConsoleOptions): Promise<SerialConsole> {
  const resolved = resolveOptions(options);
  const console = new SerialConsole(resolved, options);
  await console.open();
  return console;
}

/** An open console. */
export class SerialConsole {
  readonly #resolved: ResolvedOptions;
  readonly #options: SerialConsoleOptions;
  readonly #output: OutputQueue;
  readonly #sender = new SolSender(1);
  readonly #stop = new AbortController();
  /** Resolves when the console is closed. */
  readonly #stopped = new Promise<undefined>((resolve) => {
    this.#stop.signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  readonly #waiting: { readonly end: number; readonly settle: (error?: IpmiError) => void }[] = [];
  #connection: SolConnection | undefined;
  #pushedUnits = 0;
  #isTransferable = true;
  #failure: IpmiError | undefined;
  #task: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #onAbort = (): void => {};

  /** For {@link openSerialConsole}. */
  constructor(resolved: ResolvedOptions, options: SerialConsoleOptions) {
    this.#resolved = resolved;
    this.#options = options;
    const limit = Math.max(LEAST_BUFFERED_BYTES, options.maxBufferedBytes ?? DEFAULT_BUFFERED_BYTES);
    this.#output = new OutputQueue(limit, () => this.#connection?.resume());
  }

  /** For {@link openSerialConsole}. */
  async open(): Promise<void> {
    const { signal } = this.#options;
    const budget = startBudget(this.#resolved.deadlineMs, signal);
    const connection = await this.#connect(budget, this.#options.takeOver ?? false);
    this.#onAbort = () => void this.#end(this.#error("Aborted", "was given up on request", signal?.reason));
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#task = this.#run(connection);
    if (signal?.aborted) this.#onAbort();
  }

  /**
   * The machine's characters, in order and each once, for one reader. Ends when the console is closed; throws what it was lost
   * by. A reader that is slow makes the BMC wait; one that has used up its retries drops characters.
   */
  get output(): AsyncIterable<Buffer> {
    return this.#output;
  }

  /**
   * Types characters. Resolves when the BMC has taken them; rejects with the reason if the console ends before, or is lost
   * while the last of them are under way. What was not under way then is sent when the console is open again.
   */
  write(data: Buffer | string): Promise<void> {
    const bytes = Buffer.from(data);
    return this.#queue(bytes.length, () => this.#sender.push(bytes));
  }

  /** Sends a break, after the characters written before. Resolves when the BMC has taken it, or does not say so. */
  sendBreak(): Promise<void> {
    return this.#queue(1, () => this.#sender.pushFlags(SOL_OPERATION.generateBreak));
  }

  /** Deactivates SOL, as far as the BMC still answers, and closes the session. Never throws. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  #queue(units: number, push: () => void): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#failure ?? this.#error("Closed", "is closed"));
    push();
    this.#pushedUnits += units;
    return new Promise((resolve, reject) => {
      const settle = (error?: IpmiError): void => (error === undefined ? resolve() : reject(error));
      this.#waiting.push({ end: this.#pushedUnits, settle });
      this.#connection?.pump();
      this.#progress();
    });
  }

  /** Characters and breaks are taken in their order, so the oldest writes end first. */
  #progress(error?: IpmiError): void {
    const taken = this.#pushedUnits - this.#sender.pendingUnits;
    for (let first = this.#waiting[0]; first !== undefined && first.end <= taken; first = this.#waiting[0]) {
      this.#waiting.shift();
      first.settle(error);
    }
  }

  #connect(budget: Budget, takeOver: boolean): Promise<SolConnection> {
    const options: SolConnectionOptions = {
      session: this.#resolved,
      sender: this.#sender,
      takeOver,
      retryIntervalMs: this.#options.retryIntervalMs,
      keepAliveMs: this.#options.keepAliveMs ?? 20_000,
      room: () => this.#output.room,
      deliver: (data) => this.#output.push(data),
      onProgress: () => this.#progress(),
      onStatus: (flags) => this.#status(flags),
    };
    return SolConnection.open(options, budget);
  }

  /** Lives as long as the console: from one loss to the next. */
  async #run(first: SolConnection): Promise<void> {
    let connection: SolConnection | undefined = first;
    while (connection !== undefined) {
      this.#connection = connection;
      const end: SolEnd | undefined = await Promise.race([connection.ended, this.#stopped]);
      this.#connection = undefined;
      if (end === undefined) return connection.close();
      await connection.abandon();
      const uncertainBytes = this.#sender.restart();
      this.#progress(end.error);
      const { error, holder } = end;
      this.#options.onEvent?.({ kind: "disconnected", error, uncertainBytes, isTaken: holder === "another" });
      connection = await this.#reconnect(end);
    }
  }

  async #reconnect({ error, holder }: SolEnd): Promise<SolConnection | undefined> {
    const { firstMs = 1000, maxMs = 30_000, deadlineMs = 300_000 } = this.#options.reconnect ?? {};
    // Trap: no wait at all would leave the process no turn for anything else, while openings fail at once.
    const longestMs = Math.max(1, maxMs);
    const budget = startBudget(deadlineMs, this.#stop.signal);
    // Whoever took the console from us keeps it: two that take over would do so for ever.
    const takeOver = (this.#options.takeOver ?? false) && holder === "unknown";
    let last = error;
    for (let waitMs = Math.max(1, firstMs); remainingMs(budget) > 0; waitMs = Math.min(longestMs, waitMs * 2)) {
      await pause(waitMs, budget);
      if (this.#stop.signal.aborted) return undefined;
      try {
        const attempt = startBudget(
          Math.max(1, Math.min(this.#resolved.deadlineMs, remainingMs(budget))),
          this.#stop.signal,
        );
        const connection = await this.#connect(attempt, takeOver);
        this.#options.onEvent?.({ kind: "reconnected" });
        return connection;
      } catch (failure) {
        if (!isIpmiError(failure)) throw failure;
        last = failure;
      }
      if (this.#stop.signal.aborted) return undefined;
    }
    this.#failure = last;
    void this.#end(last);
    return undefined;
  }

  #status(flags: number): void {
    const tell = (kind: "transfer-unavailable" | "transfer-available" | "break" | "overrun"): void =>
      this.#options.onEvent?.({ kind });
    if ((flags & SOL_STATUS.breakDetected) !== 0) tell("break");
    if ((flags & SOL_STATUS.transmitOverrun) !== 0) tell("overrun");
    const isTransferable = (flags & SOL_STATUS.transferUnavailable) === 0;
    if (isTransferable !== this.#isTransferable) tell(isTransferable ? "transfer-available" : "transfer-unavailable");
    this.#isTransferable = isTransferable;
  }

  #end(error: IpmiError | undefined): Promise<void> {
    this.#closing ??= this.#finish(error);
    return this.#closing;
  }

  async #finish(error: IpmiError | undefined): Promise<void> {
    this.#failure = error;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#stop.abort();
    const closed = error ?? this.#error("Closed", "is closed");
    for (const { settle } of this.#waiting.splice(0)) settle(closed);
    this.#output.end(error);
    await this.#task;
  }

  #error(code: "Closed" | "Aborted", text: string, cause?: unknown): IpmiError {
    const { address, name } = this.#resolved;
    return new IpmiError(code, `the serial console of ${name} ${text}`, {
      address,
      operation: "Serial over LAN",
      cause,
    });
  }
}
