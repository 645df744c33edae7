// The simulated rack as a process of its own: started, asked for its counts, stopped.
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../child-program.ts";

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
  readonly sessionsOpened: number;
  readonly commands: number;
  readonly cpuSeconds: number;
}

export class Farm {
  readonly plan: FarmPlan;
  readonly #program: ChildProgram;

  private constructor(plan: FarmPlan, program: ChildProgram) {
    this.plan = plan;
    this.#program = program;
  }

  static async start(plan: FarmPlan): Promise<Farm> {
    const path = fileURLToPath(new URL("farm.mjs", import.meta.url));
    const { program } = await ChildProgram.start<FarmCounts>("the simulated rack", path, plan);
    return new Farm(plan, program);
  }

  counts(): Promise<FarmCounts> {
    return this.#program.ask<FarmCounts>();
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }
}
