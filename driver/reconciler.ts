// The reconciler: retries undos that failed, ends work that was lost, and clears the image cache.
import type { NodeRecord } from "../db/records.ts";
import { describeError } from "../lib/errors.ts";
import type { DriverContext } from "./context.ts";
import type { BareMetalDriver } from "./driver.ts";

export interface ReconcilerOptions {
  readonly intervalMs: number;
  /** Nodes looked at together, so that dead BMCs do not hold up the others. */
  readonly parallel: number;
  /** An associated node that nothing works on, and whose instance has failed or is gone, is cleaned up after this time. */
  readonly orphanMs: number;
  /** A cached image that no deployment needs is removed when nobody used it for this time. */
  readonly imageUnusedMs: number;
}

/** What the compute side knows: true while the instance is alive, or being made. */
export type IsInstanceAlive = (instanceUuid: string) => Promise<boolean>;

/** A periodic task of one compute host; close() ends it and waits. */
export class Reconciler {
  readonly #context: DriverContext;
  readonly #driver: BareMetalDriver;
  readonly #options: ReconcilerOptions;
  readonly #isInstanceAlive: IsInstanceAlive;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  constructor(
    context: DriverContext,
    driver: BareMetalDriver,
    isInstanceAlive: IsInstanceAlive,
    options: ReconcilerOptions,
  ) {
    this.#context = context;
    this.#driver = driver;
    this.#isInstanceAlive = isInstanceAlive;
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

  /** One look at every node that needs one, and at the image cache. */
  async pass(): Promise<void> {
    const nodes = await this.#context.nodes.list({ serviceHost: this.#context.settings.host });
    const pending = nodes.filter((node) => !this.#driver.isBusy(node.id) && this.#needsLook(node));
    const worker = async () => {
      for (let node = pending.shift(); node !== undefined && !this.#stop.signal.aborted; node = pending.shift()) {
        await this.#look(node.id);
      }
    };
    await Promise.all(Array.from({ length: this.#options.parallel }, worker));
    await this.#pruneImages();
  }

  #needsLook(node: NodeRecord): boolean {
    return isUndoDue(node) || this.#isStale(node);
  }

  /** Associated, neither the tenant's nor in error, and untouched for long: the work on it may have been lost. */
  #isStale(node: NodeRecord): boolean {
    if (node.instanceUuid === null || node.maintenance || node.taskState === "active") return false;
    const age = this.#context.clock.now() - (node.updatedAt?.getTime() ?? 0);
    return age > this.#options.orphanMs;
  }

  async #look(nodeId: number): Promise<void> {
    try {
      // Under the node's lock, and read again there: what stood in the list may be done by now.
      await this.#driver.exclusive(nodeId, async () => {
        const node = await this.#context.nodes.get(nodeId);
        if (node === undefined) return;
        if (isUndoDue(node) || (await this.#isOrphan(node))) await this.#driver.cleanUp(node);
      });
    } catch (error) {
      this.#context.logger.warn(`node ${nodeId} is still not well: ${describeError(error)}`);
    }
  }

  async #isOrphan(node: NodeRecord): Promise<boolean> {
    if (!this.#isStale(node) || node.instanceUuid === null) return false;
    if (await this.#isInstanceAlive(node.instanceUuid)) return false;
    this.#context.logger.warn(
      `node ${node.id} carries instance ${node.instanceUuid}, which failed or is gone: cleaning up`,
    );
    return true;
  }

  async #pruneImages(): Promise<void> {
    const { deployments, images, settings, clock, logger } = this.#context;
    const needed = (await deployments.listUnfinished(settings.host)).flatMap(({ imageSha256 }) => imageSha256 ?? []);
    const count = await images.prune(new Set(needed), clock.now() - this.#options.imageUnusedMs);
    if (count > 0) logger.info(`image cache: ${count} unused files removed`);
  }
}

/** `error` while associated is only written when an undo is due; an operator's maintenance holds it off. */
function isUndoDue(node: NodeRecord): boolean {
  return node.taskState === "error" && node.instanceUuid !== null && !node.maintenance;
}
