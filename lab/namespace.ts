// The inner process: Node inside `unshare`, in a session of its own so that Ctrl-C reaches only the outer one.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LabMessage } from "./plan.ts";
import { type NamespaceWay, pathWithSbin } from "./prerequisites.ts";

/** Time for a rack to close in order. After it the kernel ends every process of the namespace. */
const CLOSE_DEADLINE_MS = 30_000;

/** Started by the constructor; `stop()` asks, `ended` tells. */
export class InnerProcess {
  /** Exit status. */
  readonly ended: Promise<number>;
  /** What runs a command behind it in the rack's network. */
  readonly enter: string;
  readonly #child: ChildProcess;
  #timer: NodeJS.Timeout | undefined;

  constructor(way: NamespaceWay, planFile: string, onMessage: (message: LabMessage) => void) {
    const inner = fileURLToPath(new URL("./inner.ts", import.meta.url));
    const node = [process.execPath, "--import", "tsx", "--conditions", "source", inner, planFile];
    const child = spawn("unshare", [...way.args, ...node], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, PATH: pathWithSbin() },
      detached: true,
    });
    this.#child = child;
    const user = way.args.includes("--user") ? " --user --preserve-credentials" : "";
    this.enter = `nsenter --target ${child.pid}${user} --net`;
    child.stdin.on("error", () => {});
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => onMessage(JSON.parse(line) as LabMessage));
    const closed = new Promise<void>((resolve) => lines.once("close", resolve));
    this.ended = new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        clearTimeout(this.#timer);
        void closed.then(() => resolve(signal === null ? (code ?? 1) : 1));
      });
    });
  }

  /** Asks for an orderly end; asked again, or unanswered for 30 s, the namespace is ended as a whole. */
  stop(): void {
    if (this.#timer !== undefined) return void this.#child.kill("SIGKILL");
    this.#child.stdin?.end();
    this.#timer = setTimeout(() => this.#child.kill("SIGKILL"), CLOSE_DEADLINE_MS);
  }
}
