// The reconciler: retries undos that failed, and looks at machines whose BMC failed until it answers again.
import type { NodeRecord } from "../db/records.ts";
import { describeError } from "../lib/errors.ts";
import { type DriverContext, POWER_FAULT } from "./context.ts";
import type { BareMetalDriver } from "./driver.ts";

export interface ReconcilerOptions {
  readonly intervalMs: number;
  /** Nodes looked at together, so that dead BMCs do not hold up the others. */
  readonly parallel: number;
}

/** A periodic task of one compute host; close() ends it and waits. */
export class Reconciler {
  readonly #context: DriverContext;
  readonly #driver: BareMetalDriver;
  readonly #options: ReconcilerOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  constructor(context: DriverContext, driver: BareMetalDriver, options: ReconcilerOptions) {
    this.#context = context;
    this.#driver = driver;
    this.#options = options;
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#context.clock.sleep(this.#options.intervalMs, this.#stop.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
      await this.pass().catch((error: unknown) => {
        this.#context.logger.error(`reconciler: ${describeError(error)}`);
      });
    }
  }

  /** One look at every node that needs one. */
  async pass(): Promise<void> {
    const nodes = await this.#context.nodes.list({ serviceHost: this.#context.settings.host });
    const pending = nodes.filter((node) => needsCleanUp(node) || node.fault === POWER_FAULT);
    const worker = async () => {
      for (let node = pending.shift(); node !== undefined && !this.#stop.signal.aborted; node = pending.shift()) {
        await this.#look(node);
      }
    };
    await Promise.all(Array.from({ length: this.#options.parallel }, worker));
  }

  async #look(node: NodeRecord): Promise<void> {
    if (this.#driver.isBusy(node.id)) return;
    try {
      if (needsCleanUp(node)) {
        await this.#driver.exclusive(node.id, async () => {
          const now = await this.#context.nodes.get(node.id);
          if (now !== undefined && needsCleanUp(now)) await this.#driver.cleanUp(now);
        });
      } else {
        const isOn = await this.#context.power.for(node).isPowerOn({ signal: this.#stop.signal });
        await this.#context.nodes.setPower(node.id, {
          powerState: isOn ? "power on" : "power off",
          fault: null,
          lastError: null,
        });
        this.#context.logger.info(`node ${node.id}: its BMC answers again; the power fault is cleared`);
      }
    } catch (error) {
      this.#context.logger.warn(`node ${node.id} is still not well: ${describeError(error)}`);
    }
  }
}

/** `error` while associated is only written when an undo is due. */
function needsCleanUp(node: NodeRecord): boolean {
  return node.taskState === "error" && node.instanceUuid !== null && !node.maintenance;
}
