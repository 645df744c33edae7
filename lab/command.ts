// Short commands of the lab's own building and plumbing (apt-get, mke2fs, ip ...): run, checked, with a deadline.
import { spawn } from "node:child_process";
import { BaremetalError } from "../lib/errors.ts";

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

const KEPT_OUTPUT_BYTES = 1 << 20;

/**
 * Runs `command` without a shell and gives its standard output.
 * @throws BaremetalError `DeadlineExceeded`, or `Internal` with the command's own words if it fails
 */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const deadlineMs = options.deadlineMs ?? 60_000;
  const deadline = AbortSignal.timeout(deadlineMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd,
    env: options.env ?? process.env,
    signal,
    killSignal: "SIGKILL",
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(-KEPT_OUTPUT_BYTES);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-8192);
  });
  const line = [command, ...args].join(" ");
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      if (deadline.aborted) {
        const data = { step: line, deadlineMs };
        reject(
          new BaremetalError("DeadlineExceeded", `"${line}" did not end within ${deadlineMs} ms`, { data, cause }),
        );
      } else if (options.signal?.aborted) {
        reject(new BaremetalError("Cancelled", `"${line}" was stopped`, { data: { step: line }, cause }));
      } else {
        reject(new BaremetalError("Internal", `could not start "${line}"`, { cause }));
      }
    });
    child.once("close", (code, killedBy) => {
      if (code === 0) return resolve(output);
      const words = (errors || output).trim().slice(-2000);
      reject(new BaremetalError("Internal", `"${line}" ended with ${killedBy ?? code}${words ? `: ${words}` : ""}`));
    });
  });
}
