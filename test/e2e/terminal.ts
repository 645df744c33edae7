// A command on a terminal of its own, as an operator has it (util-linux `script`).
import { type ChildProcess, spawn } from "node:child_process";

/** Started by the constructor; ends by itself, or by `close`. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #shown = "";

  /** `command` is for a shell; `environment` is all that it has. */
  constructor(command: string, environment: Readonly<Record<string, string>>) {
    const env = { ...environment, SHELL: "/bin/sh" };
    this.#child = spawn("script", ["-qec", command, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdout?.setEncoding("latin1").on("data", (text: string) => {
      this.#shown += text;
    });
  }

  /** Everything that it has shown. */
  get shown(): string {
    return this.#shown;
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Exit status of the command. */
  status(): Promise<number | null> {
    return this.#ended;
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
