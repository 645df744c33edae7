// The watchdog timer of a simulated BMC: it counts down, and does its action at the end (IPMI 2.0, 27.5 to 27.7).
import {
  type SetWatchdogTimerRequest,
  WATCHDOG_NOT_SET,
  type WatchdogAction,
  type WatchdogTimer,
  type WatchdogUse,
} from "../commands/watchdog-timer.ts";

/** Answers with completion codes. */
export class SimulatedWatchdog {
  readonly #expire: (action: WatchdogAction) => void;
  #settings: SetWatchdogTimerRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #endsAtMs = 0;
  #expirations = new Set<WatchdogUse>();

  /** `expire` does the action; it must not throw. */
  constructor(expire: (action: WatchdogAction) => void) {
    this.#expire = expire;
  }

  set(request: SetWatchdogTimerRequest): number {
    const goesOn = request.dontStop === true && this.#timer !== undefined;
    this.stop();
    this.#settings = request;
    for (const use of request.clearExpirations ?? []) this.#expirations.delete(use);
    if (goesOn) this.#start(request);
    return 0;
  }

  reset(): number {
    if (this.#settings === undefined) return WATCHDOG_NOT_SET;
    this.stop();
    this.#start(this.#settings);
    return 0;
  }

  get(): WatchdogTimer {
    const { use, action, countdownMs, pretimeout, pretimeoutSeconds, dontLog } = this.#settings ?? NEVER_SET;
    const isRunning = this.#timer !== undefined;
    return {
      use,
      action,
      isRunning,
      dontLog: dontLog ?? false,
      pretimeout: pretimeout ?? "none",
      pretimeoutSeconds: pretimeoutSeconds ?? 0,
      expirations: [...this.#expirations],
      countdownMs,
      presentCountdownMs: isRunning ? Math.max(0, this.#endsAtMs - performance.now()) : countdownMs,
    };
  }

  /** Counts no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start({ use, action, countdownMs }: SetWatchdogTimerRequest): void {
    this.#endsAtMs = performance.now() + countdownMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#expirations.add(use);
      this.#expire(action);
    }, countdownMs);
  }
}

const NEVER_SET: SetWatchdogTimerRequest = { use: "unspecified", action: "none", countdownMs: 0 };
