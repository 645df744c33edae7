// Runs a program as a process of its own and measures all of it, start and end included: wall clock, CPU seconds, peak memory.
import { spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** What a process took. */
export interface MeasuredProcess {
  readonly wallSeconds: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  /** Peak resident memory. */
  readonly rssMiB: number;
  readonly stdout: string;
}

export interface MeasureOptions {
  /** For the measurer's own file. */
  readonly folder: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

let serial = 0;

/** Without what would make Node do more: options, and certificates it reads at every start. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NODE_")));
}

/**
 * Runs `command` under GNU time, which both sides of a figure are measured with. (A child of Node itself would inherit Node's own peak
 * memory: Linux carries the high-water mark over fork and exec.)
 * @throws Error when the program fails, does not end in time, or the signal fires; its standard error is part of the text.
 */
export async function measureProcess(
  command: string,
  args: readonly string[],
  options: MeasureOptions,
): Promise<MeasuredProcess> {
  options.signal.throwIfAborted();
  serial += 1;
  const report = join(options.folder, `time-${serial}`);
  const startedAt = performance.now();
  const child = spawn("/usr/bin/time", ["-q", "-o", report, "-f", "%U %S %M", command, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: plainEnvironment(),
    // A group of its own: killing GNU time alone would leave the program running.
    detached: true,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
  let wallSeconds = 0;
  child.once("exit", () => {
    wallSeconds = (performance.now() - startedAt) / 1000;
  });
  const killGroup = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  };
  const timer = setTimeout(killGroup, options.deadlineMs);
  options.signal.addEventListener("abort", killGroup, { once: true });
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
    });
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${Buffer.concat(stderr).toString().trim()}`);
    const [user, system, kib] = (await readFile(report, "utf8")).trim().split(" ").map(Number);
    return {
      wallSeconds,
      cpuSeconds: (user ?? Number.NaN) + (system ?? Number.NaN),
      rssMiB: (kib ?? Number.NaN) / 1024,
      stdout: Buffer.concat(stdout).toString(),
    };
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", killGroup);
    await rm(report, { force: true });
  }
}
