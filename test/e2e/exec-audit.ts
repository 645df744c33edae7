// strace on running processes: every program that they, their threads or their children start or try to start.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { poll, systemClock } from "../../lib/clock.ts";
import { tracersOf } from "./process-table.ts";

const ATTACH_DEADLINE_MS = 30_000;
const DETACH_DEADLINE_MS = 30_000;

/** Begun by `attach`, ended by `finish`. */
export class ExecAudit {
  readonly #strace: ChildProcess;
  readonly #pids: readonly number[];
  readonly #file: string;
  readonly #ended: Promise<void>;
  #words = "";

  private constructor(strace: ChildProcess, pids: readonly number[], file: string) {
    this.#strace = strace;
    this.#pids = pids;
    this.#file = file;
    this.#ended = new Promise((resolve) => strace.once("close", () => resolve()));
    strace.once("error", (error) => {
      this.#words += error.message;
    });
    strace.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#words += text;
    });
  }

  /** Resolves once every thread of `pids` is traced. `file` is strace's own output. */
  static async attach(pids: readonly number[], file: string): Promise<ExecAudit> {
    const calls = ["-f", "-qq", "-e", "trace=execve,execveat", "-e", "signal=none", "-o", file];
    const args = [...calls, ...pids.flatMap((pid) => ["-p", String(pid)])];
    const audit = new ExecAudit(spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] }), pids, file);
    const probe = async () => ((await audit.isComplete()) ? true : undefined);
    const options = { clock: systemClock, step: `strace to attach to ${pids.join(", ")}`, intervalMs: 20 };
    await poll(probe, { ...options, deadlineMs: ATTACH_DEADLINE_MS }).catch((cause: unknown) => {
      audit.#strace.kill("SIGKILL");
      throw new Error(`strace is not attached: ${audit.#words}`, { cause });
    });
    return audit;
  }

  /** True while every thread of every process is traced by our strace: what it does not see has not happened. */
  async isComplete(): Promise<boolean> {
    const tracers = await Promise.all(this.#pids.map(tracersOf));
    return tracers.every((ofOne) => ofOne.length > 0 && ofOne.every((tracer) => tracer === this.#strace.pid));
  }

  /** Lets the processes go. Gives strace's lines: the calls, failed ones too. */
  async finish(): Promise<string[]> {
    this.#strace.kill("SIGINT");
    const timer = setTimeout(() => this.#strace.kill("SIGKILL"), DETACH_DEADLINE_MS);
    await this.#ended;
    clearTimeout(timer);
    return (await readFile(this.#file, "utf8")).split("\n").filter((line) => line !== "");
  }
}
