// Runs the node-iscsi command as an operator does: a process of its own, with its output and its exit status.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const ENTRY = fileURLToPath(new URL("../../src/cli/node-iscsi.ts", import.meta.url));

/** The command line of `node-iscsi`, without its arguments. */
export const COMMAND: readonly [string, ...string[]] = [process.execPath, "--import=tsx", "--conditions=source", ENTRY];

/** Longer than any test waits: a command that hangs must not keep mocha's process. */
const DEADLINE_MS = 60_000;

export function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program, ...first] = COMMAND;
  const env = { ...process.env, NODE_OPTIONS: "", ...environment };
  return spawn(program, [...first, ...args], { env, timeout: DEADLINE_MS, killSignal: "SIGKILL" });
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export async function outcomeOf(child: ChildProcess, input?: Buffer): Promise<Outcome> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk) => stdout.push(chunk));
  child.stderr?.on("data", (chunk) => stderr.push(chunk));
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const [status] = await once(child, "close");
  return { status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
}

export const cli = (...args: string[]) => outcomeOf(start(args));
