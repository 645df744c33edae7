// The simulated rack as a process of its own: started, asked for its counts, stopped.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface FarmPlan {
  readonly count: number;
  readonly firstPort: number;
  readonly user: string;
  readonly passwordFile: string;
  /** Every so many ports have nobody on them. */
  readonly deadEvery?: number;
  /** Every so many BMCs drop `dropRate` of their datagrams, in each direction. */
  readonly lossyEvery?: number;
  readonly dropRate?: number;
}

/** What the farm has counted since it began. */
export interface FarmCounts {
  readonly listening: number;
  readonly sessionsOpened: number;
  readonly sessionsOpen: number;
  readonly commands: number;
  readonly cpuSeconds: number;
}

const START_DEADLINE_MS = 60_000;

export class Farm {
  readonly plan: FarmPlan;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #gone: Promise<unknown>;

  private constructor(plan: FarmPlan) {
    this.plan = plan;
    const program = fileURLToPath(new URL("farm.mjs", import.meta.url));
    this.#child = spawn(process.execPath, [program, JSON.stringify(plan)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface(this.#child.stdout);
    this.#gone = once(this.#child, "exit");
  }

  static async start(plan: FarmPlan): Promise<Farm> {
    const farm = new Farm(plan);
    try {
      await farm.#nextLine();
      return farm;
    } catch (error) {
      await farm.stop();
      throw error;
    }
  }

  counts(): Promise<FarmCounts> {
    this.#child.stdin.write("\n");
    return this.#nextLine();
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#gone;
  }

  async #nextLine(): Promise<FarmCounts> {
    const deadline = AbortSignal.timeout(START_DEADLINE_MS);
    const [line] = (await Promise.race([
      once(this.#lines, "line", { signal: deadline }),
      this.#gone.then(() => {
        throw new Error("the simulated rack ended");
      }),
    ])) as [string];
    return JSON.parse(line) as FarmCounts;
  }
}
