// Session recovery of ErrorRecoveryLevel 0 (RFC 7143 7.1.4.4): replaces a lost connection by a new login, with back-off and bounds.
import { setTimeout as delay } from "node:timers/promises";
import { listenForAbort } from "./abort-listener.ts";
import { timerMs } from "./deadline.ts";
import {
  AbortedError,
  type ErrorContext,
  IscsiError,
  LoginError,
  ProtocolError,
  RecoveryError,
  SequenceError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
import { isFencing } from "./retry.ts";
import type { RecoveryOptions, SessionHooks } from "./session-options.ts";

/** Makes one attempt: TCP, login as reinstatement of the lost session, the check that the unit is still the same, and its adoption. */
export type Establish<Phase> = (signal: AbortSignal) => Promise<Phase>;

export interface LostConnection {
  readonly error: IscsiError;
  /** `performance.now()` of the loss. */
  readonly at: number;
  /** DefaultTime2Wait of the lost session: no login before it has passed (RFC 7143 13.15). */
  readonly time2WaitSeconds: number;
}

/** Who waits for a recovery: as long as `deadlineMs` from now, or until `signal`. */
interface Waiter {
  readonly context: ErrorContext;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** "Target not found" (class 2, detail 3): a target that is starting may not have its configuration yet. */
const NOT_FOUND = 3;

/** Another login cannot help: the target knows us and says no, or it is not the target we had. */
function isFinal(error: IscsiError): boolean {
  if (error instanceof LoginError)
    return error.statusClass !== 3 && !(error.statusClass === 2 && error.statusDetail === NOT_FOUND);
  // Somebody fenced us off while we were away; who waits has to know, and a second login would not be told again.
  if (isFencing(error)) return true;
  return (error instanceof ProtocolError && !(error instanceof SequenceError)) || error.code === "InvalidArgument";
}

/**
 * At most one recovery runs at a time, for all commands that wait for it; it stops when the last of them has given up, so that an
 * unused session does not knock at a dead target for ever. `close` ends it and waits until nothing runs any more.
 */
export class Recovery<Phase> {
  readonly #establish: Establish<Phase>;
  readonly #options: RecoveryOptions;
  readonly #hooks: SessionHooks;
  #running: { promise: Promise<Phase>; stop: AbortController } | undefined;
  #waiters = 0;
  #lastFailure: IscsiError | undefined;

  constructor(establish: Establish<Phase>, options: RecoveryOptions, hooks: SessionHooks) {
    this.#establish = establish;
    this.#options = options;
    this.#hooks = hooks;
  }

  /** Resolves with the new phase. @throws RecoveryError, or TimeoutError and AbortedError of the waiter. */
  async join(lost: LostConnection, context: ErrorContext, waiter: Waiter): Promise<Phase> {
    const patience = new Patience(waiter, () => this.#lastFailure ?? lost.error);
    try {
      // One that is being stopped, because all its waiters had left, must not be joined.
      while (this.#running?.stop.signal.aborted)
        await Promise.race([this.#running.promise.catch(() => undefined), patience.exhausted]);
      return await this.#wait(lost, context, patience);
    } finally {
      patience.end();
    }
  }

  async #wait(lost: LostConnection, context: ErrorContext, patience: Patience): Promise<Phase> {
    this.#running ??= this.#start(lost, context);
    const { promise, stop } = this.#running;
    this.#waiters += 1;
    try {
      return await Promise.race([promise, patience.exhausted]);
    } finally {
      this.#waiters -= 1;
      if (this.#waiters === 0) stop.abort(new TransportError("nobody waits for the session any more", context));
    }
  }

  /** Ends a recovery that is under way. */
  async close(reason: IscsiError): Promise<void> {
    const running = this.#running;
    running?.stop.abort(reason);
    await running?.promise.catch(() => undefined);
  }

  #start(lost: LostConnection, context: ErrorContext): { promise: Promise<Phase>; stop: AbortController } {
    const stop = new AbortController();
    const promise = this.#run(lost, context, stop.signal).finally(() => {
      this.#running = undefined;
    });
    // Its waiters may all have left before it fails.
    promise.catch(() => undefined);
    return { promise, stop };
  }

  async #run(lost: LostConnection, context: ErrorContext, signal: AbortSignal): Promise<Phase> {
    const startedAt = performance.now();
    let backoffMs = this.#options.firstBackoffMs;
    this.#lastFailure = undefined;
    await pause(Math.max(0, lost.at + lost.time2WaitSeconds * 1000 - startedAt), signal);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const phase = await this.#establish(signal);
        this.#hooks.onRecovered?.({ attempts: attempt, elapsedMs: performance.now() - startedAt });
        return phase;
      } catch (error) {
        if (!(error instanceof IscsiError)) throw error;
        if (signal.aborted) throw signal.reason;
        this.#lastFailure = error;
        const isLast = attempt >= this.#options.maxAttempts || isFinal(error);
        const delayMs = isLast ? 0 : backoffMs / 2 + Math.random() * (backoffMs / 2);
        this.#hooks.onRecoveryAttemptFailed?.(error, attempt, delayMs);
        if (isLast) {
          const reason = `the session was lost (${lost.error.reason}) and login ${attempt} to get it back failed: ${error.reason}`;
          throw new RecoveryError(reason, attempt, context, error);
        }
        await pause(delayMs, signal);
        backoffMs = Math.min(backoffMs * 2, this.#options.longestBackoffMs);
      }
    }
  }
}

/** Resolves with `closed`. @throws the signal's reason when that fires first. */
export async function closedOrAborted(closed: Promise<void>, signal: AbortSignal): Promise<void> {
  let unlisten: () => void = () => undefined;
  const aborted = new Promise<void>((resolve) => {
    unlisten = listenForAbort(signal, resolve);
  });
  await Promise.race([closed, aborted]);
  unlisten();
  if (signal.aborted) throw signal.reason;
}

/** Waits. @throws the signal's reason when that fires first. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) throw signal.reason;
}

/** Rejects when the waiter runs out of time, or its signal fires. */
class Patience {
  readonly exhausted: Promise<never>;
  #end: () => void = () => undefined;

  constructor({ context, deadlineMs, signal }: Waiter, lastError: () => IscsiError) {
    this.exhausted = new Promise((_resolve, reject) => {
      const expire = () => {
        const detail = `the session was lost and is not back yet: ${lastError().reason}`;
        reject(new TimeoutError(deadlineMs, context, detail));
      };
      const timer = setTimeout(expire, timerMs(deadlineMs));
      const unlisten = listenForAbort(signal, () => reject(new AbortedError(context, signal?.reason)));
      this.#end = () => {
        clearTimeout(timer);
        unlisten();
      };
    });
    // The race may be over already when it rejects.
    this.exhausted.catch(() => undefined);
  }

  end(): void {
    this.#end();
  }
}
