// The recording of one instance's console: open, write down, and open again when it was lost, until it is stopped.
import type { Clock } from "../../lib/clock.ts";
import { BaremetalError, describeError } from "../../lib/errors.ts";
import type { PowerTarget } from "../power/power-control.ts";
import type { ConsoleLog } from "./console-log.ts";
import type { SerialLine, SerialLines } from "./serial-lines.ts";

export interface RecordingOptions {
  /** The node as it is now; undefined when it carries the instance no more. */
  readonly node: () => Promise<PowerTarget | undefined>;
  readonly lines: SerialLines;
  readonly log: Pick<ConsoleLog, "append">;
  readonly clock: Clock;
  /** End somebody else's use of the console at the first opening: the machine has a new tenant. */
  readonly takeOver: boolean;
  /** 0 up to 1, for the jitter of the pauses. */
  readonly random?: () => number;
  /** Told of changes, less and less often: why nothing is recorded, and then that it is again. */
  readonly note: (text: string) => Promise<void>;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/** A BMC that has no Serial over LAN may be given one by its operator. */
const UNSUPPORTED_PAUSE_MS = 300_000;
/** Whoever took the console away, `ipmitool sol deactivate` for one, has so long to open it. */
const TAKEN_PAUSE_MS = 60_000;
/** What only an operator can mend. Trap: BMCs lock a user out, or sound an alarm, after some wrong passwords. */
const LOGIN_CODES: readonly unknown[] = ["WrongPassword", "NoSuchUser", "InsufficientPrivilege", "CipherSuite"];
const LOGIN_PAUSE_MS = 300_000;
const LONGEST_LOGIN_PAUSE_MS = 3_600_000;
/** Between two notes of trouble, twice as long each time: a console that comes and goes must not fill the timeline. */
const FIRST_QUIET_MS = 60_000;
const LONGEST_QUIET_MS = 24 * 3_600_000;
/** Consoles that were lost at once are not opened at once: up to so much longer. */
const JITTER = 0.25;

/** A task of its own; `stop` ends it and waits. */
export class Recording {
  /** Resolves when the console is open, or was found not to open. */
  readonly tried: Promise<void>;
  /** Resolves when it has ended, by `stop` or since the node carries the instance no more. Never rejects. */
  readonly ended: Promise<void>;
  readonly #options: RecordingOptions;
  readonly #stop = new AbortController();
  #isTried: () => void = () => {};
  #target: PowerTarget | undefined;
  #isTroubleTold = false;
  #quietUntilMs = 0;
  #quietMs = FIRST_QUIET_MS;

  constructor(options: RecordingOptions) {
    this.#options = options;
    this.tried = new Promise((resolve) => {
      this.#isTried = resolve;
    });
    this.ended = this.#run();
  }

  /** The node with the settings that were used last; undefined before the first opening. */
  get target(): PowerTarget | undefined {
    return this.#target;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, random = Math.random } = this.#options;
    let takeOver = this.#options.takeOver;
    let pauseMs = FIRST_PAUSE_MS;
    let loginPauseMs = LOGIN_PAUSE_MS;
    while (!signal.aborted) {
      let openedAt: number | undefined;
      let waitMs = pauseMs;
      try {
        const node = await this.#options.node();
        if (node === undefined || signal.aborted) break;
        this.#target = node;
        const line = await this.#options.lines.open(node, { takeOver, signal });
        takeOver = false;
        loginPauseMs = LOGIN_PAUSE_MS;
        openedAt = clock.now();
        await this.#record(line);
      } catch (error) {
        if (signal.aborted) break;
        const data = error instanceof BaremetalError ? error.data : {};
        if (data.isUnsupported === true) waitMs = UNSUPPORTED_PAUSE_MS;
        if (data.isTaken === true) waitMs = TAKEN_PAUSE_MS;
        if (LOGIN_CODES.includes(data.ipmiCode)) {
          waitMs = loginPauseMs;
          loginPauseMs = Math.min(LONGEST_LOGIN_PAUSE_MS, loginPauseMs * 2);
        }
        await this.#tellTrouble(describeError(error));
      }
      this.#isTried();
      await clock.sleep(waitMs * (1 + JITTER * random()), signal).catch(() => {});
      const wasOpenLong = openedAt !== undefined && clock.now() - openedAt > LONGEST_PAUSE_MS;
      pauseMs = wasOpenLong ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
    }
    this.#isTried();
  }

  async #record(line: SerialLine): Promise<void> {
    const close = (): void => void line.close();
    this.#stop.signal.addEventListener("abort", close, { once: true });
    try {
      if (this.#stop.signal.aborted) return;
      this.#isTried();
      if (this.#isTroubleTold) await this.#options.note("the serial console is recorded again");
      this.#isTroubleTold = false;
      for await (const piece of line.output) await this.#options.log.append(piece);
    } finally {
      this.#stop.signal.removeEventListener("abort", close);
      await line.close();
    }
  }

  /** Once, however often it fails: what differs in the text of the same trouble is its time. */
  async #tellTrouble(text: string): Promise<void> {
    const nowMs = this.#options.clock.now();
    if (this.#isTroubleTold || nowMs < this.#quietUntilMs) return;
    this.#isTroubleTold = true;
    this.#quietUntilMs = nowMs + this.#quietMs;
    this.#quietMs = Math.min(LONGEST_QUIET_MS, this.#quietMs * 2);
    await this.#options.note(`the serial console is not recorded: ${text}`);
  }
}
