// Building an instance: schedule -> spawn -> ACTIVE, another node on failure, ERROR with the cause at the end.
import type { ComputeNodeRepository } from "../db/compute-nodes.ts";
import type { InstanceRepository } from "../db/instances.ts";
import type { ComputeNodeRecord, InstanceRecord, NodeRecord } from "../db/records.ts";
import type { ServiceRepository } from "../db/services.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError, isBaremetalError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { isShutdown } from "../lib/shutdown.ts";
import type { ComputeDriver } from "./driver-interface.ts";
import { faultOf, isUsersMistake } from "./instance-fault.ts";
import type { ResourceReporter } from "./resource-reporter.ts";
import { chooseNode } from "./scheduler.ts";

export interface InstanceBuilderOptions {
  readonly host: string;
  readonly instances: InstanceRepository;
  readonly computeNodes: Pick<ComputeNodeRepository, "list">;
  readonly services: Pick<ServiceRepository, "list">;
  readonly nodes: { getByInstanceUuid(uuid: string): Promise<NodeRecord | undefined> };
  readonly driver: Pick<ComputeDriver, "spawn" | "resume">;
  readonly reporter: Pick<ResourceReporter, "refresh" | "refreshNode">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** scheduler_max_attempts; default 3. */
  readonly maxAttempts?: number;
  /** A host without a heartbeat for longer is down; default 60 s. */
  readonly serviceDownMs?: number;
}

/** From `availability_zone` `zone:host:node`. */
export interface ForcedPlacement {
  readonly forcedHost?: string | undefined;
  readonly forcedNode?: string | undefined;
}

interface FailedAttempt {
  readonly nodeUuid: string;
  readonly error: unknown;
}

/** Puts instances on nodes. Every write expects the task state it left, so that a delete in between wins. */
export class InstanceBuilder {
  readonly #options: InstanceBuilderOptions;
  /** Nodes that a build of this process holds, from the choice until the scheduler's view of them is true again. */
  readonly #claims = new Set<string>();

  constructor(options: InstanceBuilderOptions) {
    this.#options = options;
  }

  /** Runs a build to its end. It throws only what the database throws. */
  async build(instance: InstanceRecord, forced: ForcedPlacement, signal: AbortSignal): Promise<void> {
    const { maxAttempts = 3, logger } = this.#options;
    const failed: FailedAttempt[] = [];
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      let node: ComputeNodeRecord;
      try {
        node = await this.#claim(instance, forced, failed);
      } catch (error) {
        return this.#giveUp(instance, failed, error, signal);
      }
      try {
        const outcome = await this.#spawnOn(instance, node, signal);
        if (outcome === "done") return;
        failed.push({ nodeUuid: node.hypervisorHostname, error: outcome.error });
        logger.warn(
          `attempt ${attempt} of ${maxAttempts} for instance ${instance.uuid} failed: ${describeError(outcome.error)}`,
          { instance: instance.uuid, node: node.hypervisorHostname },
        );
        if (isUsersMistake(outcome.error)) break;
      } finally {
        await this.#unclaim(node.hypervisorHostname);
      }
    }
    await this.#giveUp(instance, failed, undefined, signal);
  }

  /** After a restart: waits for the deployment that is under way; its failure is the instance's, without another try. */
  async resume(instance: InstanceRecord, signal: AbortSignal): Promise<void> {
    const nodeUuid = instance.node ?? "(unknown)";
    this.#claims.add(nodeUuid);
    try {
      await this.#options.driver.resume(instance, { signal });
      await this.#activate(instance.uuid);
    } catch (error) {
      if (!signal.aborted) await this.#giveUp(instance, [{ nodeUuid, error }], undefined, signal);
    } finally {
      await this.#unclaim(nodeUuid);
    }
  }

  async #spawnOn(
    instance: InstanceRecord,
    node: ComputeNodeRecord,
    signal: AbortSignal,
  ): Promise<"done" | { error: unknown }> {
    const { instances, driver, clock } = this.#options;
    const nodeUuid = node.hypervisorHostname;
    const placement = { host: node.host, node: nodeUuid, launchedOn: node.host, scheduledAt: new Date(clock.now()) };
    const isOurs = await instances.update(
      instance.uuid,
      { ...placement, vmState: "building", taskState: "spawning" },
      { expectedTaskState: ["scheduling", "spawning"] },
    );
    const current = isOurs ? await instances.get(instance.uuid) : undefined;
    if (current === undefined) return "done";
    try {
      await driver.spawn(current, nodeUuid, { signal });
    } catch (error) {
      // A delete goes on with the destroy; a stop of the process leaves the row to the next one.
      return signal.aborted ? "done" : { error };
    }
    await this.#activate(instance.uuid);
    return "done";
  }

  async #activate(uuid: string): Promise<void> {
    const { instances, clock } = this.#options;
    const launchedAt = new Date(clock.now());
    const patch = { vmState: "active", taskState: null, powerState: 1, progress: 100, launchedAt, fault: null };
    await instances.update(uuid, patch, { expectedTaskState: "spawning" });
  }

  /** Chooses and holds a node, in one go between two awaits: two builds never hold the same one. */
  async #claim(
    instance: InstanceRecord,
    forced: ForcedPlacement,
    failed: readonly FailedAttempt[],
  ): Promise<ComputeNodeRecord> {
    try {
      return await this.#choose(instance, forced, failed);
    } catch (error) {
      if (!isBaremetalError(error, "Conflict")) throw error;
      // The view may be older than a node that another process enrolled: look once more.
      await this.#options.reporter.refresh();
      return this.#choose(instance, forced, failed);
    }
  }

  async #choose(
    instance: InstanceRecord,
    forced: ForcedPlacement,
    failed: readonly FailedAttempt[],
  ): Promise<ComputeNodeRecord> {
    const { computeNodes, services, host, clock, serviceDownMs = 60_000 } = this.#options;
    // This process can drive the nodes of its own host only.
    const [nodes, alive] = await Promise.all([computeNodes.list({ host }), services.list({ binary: "nova-compute" })]);
    const excluded = new Set([...this.#claims, ...failed.map((one) => one.nodeUuid)]);
    const request = { flavor: instance.flavor, ...forced, excluded };
    const node = chooseNode(request, { nodes, services: alive, now: clock.now(), serviceDownMs });
    this.#claims.add(node.hypervisorHostname);
    return node;
  }

  async #unclaim(nodeUuid: string): Promise<void> {
    try {
      await this.#options.reporter.refreshNode(nodeUuid);
    } catch (error) {
      this.#options.logger.error(`node ${nodeUuid} could not be reported: ${describeError(error)}`, { node: nodeUuid });
    } finally {
      this.#claims.delete(nodeUuid);
    }
  }

  async #giveUp(
    instance: InstanceRecord,
    failed: readonly FailedAttempt[],
    noHost: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    if (isShutdown(signal)) return;
    const { instances, nodes, clock } = this.#options;
    const details = failed.map((one) => `node ${one.nodeUuid}: ${describeError(one.error)}`);
    // A node that somebody else took first is no cause to show while there is a real one.
    const shown = failed.find((one) => !isBaremetalError(one.error, "Conflict"));
    const now = clock.now();
    const fault =
      shown !== undefined
        ? faultOf(shown.error, now, `Build on node ${shown.nodeUuid} failed: `, details)
        : noHost !== undefined
          ? faultOf(noHost, now, "", details)
          : faultOf(new Error("No valid host was found. Every node that was tried had been taken."), now, "", details);
    // Only a node that is still associated (its undo failed) stays in the view of the instance.
    const held = await nodes.getByInstanceUuid(instance.uuid);
    const place = held === undefined ? { host: null, node: null } : { host: held.serviceHost, node: held.uuid };
    await instances.update(
      instance.uuid,
      { ...place, vmState: "error", taskState: null, fault },
      { expectedTaskState: ["scheduling", "spawning"] },
    );
  }
}
