// The periodic report: this host is alive, and these are its nodes (facts section 11). One pass at a time.
import type { ComputeNodeRepository } from "../db/compute-nodes.ts";
import type { ServiceRepository } from "../db/services.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { ComputeDriver } from "./driver-interface.ts";

export interface ResourceReporterOptions {
  readonly host: string;
  readonly driver: Pick<ComputeDriver, "getAvailableNodes" | "getAvailableResource">;
  readonly computeNodes: Pick<ComputeNodeRepository, "upsert" | "removeMissing">;
  readonly services: Pick<ServiceRepository, "heartbeat">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between passes; default 10 s. */
  readonly intervalMs?: number;
  /** Called after each pass of the loop; what it throws is logged. */
  readonly onPass?: () => Promise<void>;
}

/** Keeps nova.compute_nodes and the heartbeat of nova.services true for one host. */
export class ResourceReporter {
  readonly #options: ResourceReporterOptions;
  readonly #stop = new AbortController();
  /** The view last written for each node, so that a pass over a quiet rack writes nothing but the heartbeat. */
  readonly #written = new Map<string, string>();
  #loop: Promise<void> | undefined;
  #pass: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: ResourceReporterOptions) {
    this.#options = options;
  }

  /** Reports once, then goes on by itself until `close`. @throws what the first pass throws */
  async start(): Promise<void> {
    await this.refresh();
    this.#loop ??= this.#run();
  }

  /** Ends the loop and waits for the pass that runs. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.allSettled([this.#pass, this.#next]);
  }

  /** Resolves after a whole pass that began after this call; calls at the same time share it. */
  async refresh(): Promise<void> {
    if (this.#pass === undefined) {
      this.#pass = this.#report().finally(() => {
        this.#pass = undefined;
      });
      return this.#pass;
    }
    const running = this.#pass;
    this.#next ??= running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.refresh();
      });
    return this.#next;
  }

  /** Reports one node now; a node that is gone is left to the next pass. */
  async refreshNode(nodeUuid: string): Promise<void> {
    const view = await this.#options.driver.getAvailableResource(nodeUuid);
    if (view === undefined) return this.refresh();
    await this.#options.computeNodes.upsert({ ...view, host: this.#options.host });
    this.#written.delete(nodeUuid);
  }

  async #run(): Promise<void> {
    const { clock, logger, onPass, intervalMs = 10_000 } = this.#options;
    for (;;) {
      try {
        await clock.sleep(intervalMs, this.#stop.signal);
      } catch {
        return;
      }
      try {
        await this.refresh();
        await onPass?.();
      } catch (error) {
        logger.error(`the resource report failed: ${describeError(error)}`);
      }
    }
  }

  async #report(): Promise<void> {
    const { driver, computeNodes, services, host, logger } = this.#options;
    await services.heartbeat(host, "nova-compute");
    const uuids = await driver.getAvailableNodes();
    const seen: string[] = [];
    for (const uuid of uuids) {
      try {
        const view = await driver.getAvailableResource(uuid);
        if (view === undefined) continue;
        seen.push(uuid);
        const text = JSON.stringify(view);
        if (this.#written.get(uuid) === text) continue;
        await computeNodes.upsert({ ...view, host });
        this.#written.set(uuid, text);
      } catch (error) {
        // One node that cannot be read keeps its last view; the others are still reported.
        seen.push(uuid);
        logger.error(`the resources of node ${uuid} could not be reported: ${describeError(error)}`, { node: uuid });
      }
    }
    await computeNodes.removeMissing(host, seen);
    const known = new Set(seen);
    for (const uuid of this.#written.keys()) if (!known.has(uuid)) this.#written.delete(uuid);
  }
}
