// A long-running process of the rack: started with a log file of its own, watched, ended by its pid.
import { type ChildProcess, spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { type Clock, poll, systemClock } from "../lib/clock.ts";
import { BaremetalError } from "../lib/errors.ts";

export interface DaemonOptions {
  /** `dnsmasq`, `node0`, `baremetal-compute`: for words and errors. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Both output streams are appended here. A pipe would tie the process to whoever reads it. */
  readonly logFile: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly clock?: Clock;
}

/** Started by `Daemon.start`, ended by `stop()`. */
export class Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #ended: Promise<void>;
  #end: string | undefined;

  private constructor(options: DaemonOptions, child: ChildProcess) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#child = child;
    this.#clock = options.clock ?? systemClock;
    this.#ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#end = signal === null ? `status ${code}` : signal;
        resolve();
      });
      child.once("error", (error) => {
        this.#end = error.message;
        resolve();
      });
    });
  }

  /** Resolves when the process is started, not when it is ready. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const log = await open(options.logFile, "a", 0o644);
    try {
      const child = spawn(options.command, options.args, {
        stdio: ["ignore", log.fd, log.fd],
        env: options.env ?? process.env,
        cwd: options.cwd,
        detached: true,
      });
      return new Daemon(options, child);
    } finally {
      await log.close();
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#end === undefined;
  }

  /** How it ended, if it has: `status 1`, `SIGKILL`. */
  get end(): string | undefined {
    return this.#end;
  }

  /** Resolves once it has ended, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async log(): Promise<string> {
    return readFile(this.logFile, "utf8").catch(() => "");
  }

  /** The last lines of its log, for the evidence of an error. */
  async logTail(lines = 15): Promise<string> {
    return tail(await this.log(), lines);
  }

  /**
   * Polls `probe` until it gives a value.
   * @throws BaremetalError `Internal` if the process ends before, `DeadlineExceeded` if it takes too long; both with its log's tail
   */
  async ready<T>(probe: () => Promise<T | undefined>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    try {
      return await poll(
        async () => {
          const value = await probe();
          if (value === undefined && !this.isRunning) {
            throw new BaremetalError("Internal", `${this.name} ended with ${this.#end} before it was ready`);
          }
          return value;
        },
        {
          clock: this.#clock,
          step: `${this.name} to be ready`,
          deadlineMs,
          intervalMs: 30,
          ...(signal ? { signal } : {}),
        },
      );
    } catch (cause) {
      const code = cause instanceof BaremetalError ? cause.code : "Internal";
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new BaremetalError(code, `${text}\n--- end of ${this.logFile}\n${await this.logTail()}`, { cause });
    }
  }

  /** `signal`, then SIGKILL after `graceMs`. Resolves when the process is gone. */
  async stop(signal: NodeJS.Signals = "SIGTERM", graceMs = 5000): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** The last `lines` lines of `text`. */
export function tail(text: string, lines: number): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
