// A JavaScript program of ours as a process of its own, which answers in lines of JSON and ends when its standard input does.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const LINE_DEADLINE_MS = 60_000;

export class ChildProgram {
  readonly #name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #gone: Promise<unknown>;

  private constructor(name: string, path: string, plan: unknown) {
    this.#name = name;
    this.#child = spawn(process.execPath, [path, JSON.stringify(plan)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface(this.#child.stdout);
    this.#gone = once(this.#child, "exit");
  }

  /** Starts it with `plan` as its one argument; resolves with it and its first line. `name` is for errors. */
  static async start<T>(name: string, path: string, plan: unknown): Promise<{ program: ChildProgram; first: T }> {
    const program = new ChildProgram(name, path, plan);
    try {
      return { program, first: await program.#nextLine<T>() };
    } catch (error) {
      await program.stop();
      throw error;
    }
  }

  /** Sends an empty line; resolves with the line that answers it. */
  ask<T>(): Promise<T> {
    this.#child.stdin.write("\n");
    return this.#nextLine<T>();
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#gone;
  }

  async #nextLine<T>(): Promise<T> {
    const signal = AbortSignal.timeout(LINE_DEADLINE_MS);
    const [line] = (await Promise.race([
      once(this.#lines, "line", { signal }),
      this.#gone.then(() => {
        throw new Error(`${this.#name} ended`);
      }),
    ])) as [string];
    return JSON.parse(line) as T;
  }
}
