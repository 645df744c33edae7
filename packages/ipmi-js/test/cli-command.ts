// Runs the ipmi-js command as an operator does: a process of its own, with its output and its exit status, or on a terminal.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { eventually } from "./failure.ts";
import { CREDENTIALS } from "./simulated-machine.ts";

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let built: string | undefined;

/** The command, compiled as it is published but into one file: the tests start it a hundred times, and each start would compile it. */
function entry(): string {
  if (built !== undefined) return built;
  const folder = mkdtempSync(join(tmpdir(), "ipmi-js-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  copyFileSync(fileOf("../package.json"), join(folder, "package.json"));
  built = join(folder, "dist/cli/ipmi-js.js");
  buildSync({
    entryPoints: [fileOf("../src/cli/ipmi-js.ts")],
    ...{ outfile: built, bundle: true, platform: "node", format: "esm", target: "node20", logLevel: "warning" },
  });
  return built;
}

/** Longer than any test waits: a command that hangs must not keep mocha's process. */
const DEADLINE_MS = 60_000;

/** Who the simulators know; what the shell of the developer holds stays out. */
export const LOGIN = { IPMI_USER: CREDENTIALS.user, IPMI_PASSWORD: CREDENTIALS.password } as const;

function environmentOf(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { IPMI_USER: _user, IPMI_PASSWORD: _password, IPMI_NEW_PASSWORD: _new, ...own } = process.env;
  return { ...own, NODE_OPTIONS: "", ...environment };
}

export function start(args: readonly string[], environment: NodeJS.ProcessEnv = LOGIN): ChildProcess {
  const env = environmentOf(environment);
  return spawn(process.execPath, [entry(), ...args], { env, timeout: DEADLINE_MS, killSignal: "SIGKILL" });
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function outcomeOf(child: ChildProcess, input?: Buffer | string): Promise<Outcome> {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on("data", (chunk) => stdout.push(chunk));
  child.stderr?.on("data", (chunk) => stderr.push(chunk));
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const [status] = await once(child, "close");
  return { status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

/** The command as the user of the simulators. */
export const cli = (...args: string[]): Promise<Outcome> => outcomeOf(start(args));

/** The JSON lines of a run. */
export function jsonLines(stdout: string): { name: string; ok: boolean; result?: never; error?: never }[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** The command on a terminal of its own (util-linux `script`). */
export class TerminalRun {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown[]>;
  #shown = "";

  /** `wrap` makes a shell's script of the command. */
  constructor(
    args: readonly string[],
    environment: NodeJS.ProcessEnv = LOGIN,
    wrap: (command: string) => string = (command) => command,
  ) {
    const quoted = [process.execPath, entry(), ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const env = environmentOf(environment);
    this.#child = spawn("script", ["-qec", wrap(quoted), "/dev/null"], {
      env,
      timeout: DEADLINE_MS,
      killSignal: "SIGKILL",
    });
    this.#child.stdout?.on("data", (chunk) => {
      this.#shown += chunk;
    });
    this.#closed = once(this.#child, "close");
  }

  /** All that the terminal has shown, results and questions alike. */
  get shown(): string {
    return this.#shown;
  }

  /** Waits until the terminal shows `text`, then types `keys`. */
  async type(text: string, keys: string): Promise<void> {
    await eventually(`the terminal to show "${text}"`, () => this.#shown.includes(text), 15_000);
    this.#child.stdin?.write(keys);
  }

  /** Exit status of the command. */
  async status(): Promise<number> {
    const [status] = await this.#closed;
    return status as number;
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}
