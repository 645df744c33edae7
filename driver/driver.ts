// BareMetalDriver: maps instances onto enrolled nodes. The methods are those of a Nova compute driver.
import type { InstanceRecord, NodeRecord } from "../db/records.ts";
import { BaremetalError } from "../lib/errors.ts";
import { KeyedLock } from "../lib/keyed-lock.ts";
import { isShutdown } from "../lib/shutdown.ts";
import { pxePaths } from "./boot/pxelinux.ts";
import { rollBack, undoOfInstance, withUndoFailure } from "./cleanup.ts";
import { type DriverContext, timelineOf, withPower } from "./context.ts";
import { nodeResources, type ResourceView } from "./resources.ts";
import {
  finishSpawn,
  newJob,
  partitionSizes,
  registerFileUndo,
  registerPowerUndo,
  resultOf,
  runSpawn,
  type SpawnJob,
  type SpawnResult,
  startDeployRamdisk,
} from "./spawn.ts";
import { UndoList } from "./undo.ts";

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** What get_info of the original answers; memory in MB. */
export interface InstanceInfo {
  readonly state: "running" | "shutdown" | "nostate";
  readonly memoryMb: number;
  readonly numCpu: number;
}

/** The compute driver of one host. Actions on one node run one at a time; nodes do not wait for each other. */
export class BareMetalDriver {
  readonly #context: DriverContext;
  readonly #lock = new KeyedLock<number>();

  constructor(context: DriverContext) {
    this.#context = context;
  }

  /** True while an action of this process works on the node. */
  isBusy(nodeId: number): boolean {
    return this.#lock.isHeld(nodeId);
  }

  /** Runs `work` when no other action works on the node. */
  exclusive<T>(nodeId: number, work: () => Promise<T>): Promise<T> {
    return this.#lock.run(nodeId, work);
  }

  /**
   * Puts `instance` on the node: resolves when its system was written and the node boots it.
   * @throws BaremetalError with the cause; the node is free again then, or in `error` with the reason
   */
  async spawn(instance: InstanceRecord, nodeUuid: string, options: CallOptions = {}): Promise<SpawnResult> {
    const { nodes, settings } = this.#context;
    const node = await nodes.getByUuid(nodeUuid);
    if (node === undefined)
      throw new BaremetalError("NotFound", `node ${nodeUuid} could not be found`, {
        data: { kind: "node", id: nodeUuid },
      });
    this.#assertOurs(node);
    // Before the lock: of two spawns at once for one node, one wins here, and the other is told at once.
    const deployment = await nodes.associate(nodeUuid, {
      instanceUuid: instance.uuid,
      instanceName: instance.hostname,
      serviceHost: settings.host,
      ...partitionSizes(instance),
      ephemeralFormat: settings.ephemeralFormat,
      preserveEphemeral: false,
    });
    return this.exclusive(node.id, () => this.#undoOnFailure(this.#job(instance, node, deployment, options), runSpawn));
  }

  /**
   * Takes up the deployment of an instance after a restart of this process.
   * Ends as spawn does. @throws BaremetalError `NotFound` if the instance is on no node
   */
  async resume(instance: InstanceRecord, options: CallOptions = {}): Promise<SpawnResult> {
    const found = await this.#nodeOf(instance);
    return this.exclusive(found.id, async () => {
      // Read under the lock: what went before may have moved both on.
      const node = await this.#nodeOf(instance);
      const deployment = await this.#context.deployments.get(node.deploymentId ?? 0);
      if (deployment === undefined) throw notOnNode(instance);
      // The machine is the tenant's; only the instance's own row was not written. There is nothing to undo.
      if (deployment.state === "active") return resultOf(deployment);
      return this.#undoOnFailure(this.#job(instance, node, deployment, options), (job) => this.#resumeJob(job));
    });
  }

  async #resumeJob(job: SpawnJob): Promise<SpawnResult> {
    const { context, node, instance, deployment } = job;
    const macs = (await context.interfaces.listByNode(node.id)).map(({ address }) => address);
    registerFileUndo({ ...job, instanceUuid: instance.uuid }, pxePaths(context.settings.tftpRoot, instance.uuid), macs);
    await job.timeline.note("resume", `taken up again after a restart, in state ${deployment.state}`);
    if (deployment.state === "building") {
      throw new BaremetalError("DeployFailed", "baremetal-compute was restarted before the deployment was prepared", {
        data: { step: deployment.step, instanceUuid: instance.uuid },
      });
    }
    const history = await context.events.list({ deploymentId: deployment.id });
    const isPoweredOn = history.some(({ step, kind }) => step === "power on" && kind === "end");
    if (deployment.state === "prepared" && !isPoweredOn) await startDeployRamdisk(job);
    else registerPowerUndo(job);
    return finishSpawn(job);
  }

  #job(instance: InstanceRecord, node: NodeRecord, deployment: SpawnJob["deployment"], options: CallOptions): SpawnJob {
    const signal = options.signal ?? new AbortController().signal;
    return newJob({ context: this.#context, instance, node, deployment, undo: new UndoList(), signal });
  }

  async #undoOnFailure(job: SpawnJob, work: (job: SpawnJob) => Promise<SpawnResult>): Promise<SpawnResult> {
    try {
      return await work(job);
    } catch (error) {
      if (isShutdown(job.signal)) throw error;
      const left = await rollBack(this.#context, job.node, job.deployment.id, job.undo, job.timeline, error);
      throw withUndoFailure(error, job.node, left);
    }
  }

  /** Takes the instance off its node. An instance without a node is gone already: no error. */
  async destroy(instance: InstanceRecord, options: { keepConsoleLog?: boolean } = {}): Promise<void> {
    const { nodes, logger } = this.#context;
    const found = await nodes.getByInstanceUuid(instance.uuid);
    if (found === undefined) {
      logger.warn(`destroy: no node carries instance ${instance.uuid}; nothing to do`);
      await this.#endConsole(instance.uuid, options);
      return;
    }
    // Another host's node is an error, never "not found": its machine would be left running (R10).
    this.#assertOurs(found);
    await this.exclusive(found.id, async () => {
      const node = await nodes.getByInstanceUuid(instance.uuid);
      if (node !== undefined) await this.cleanUp(node);
    });
    await this.#endConsole(instance.uuid, options);
  }

  #endConsole(instanceUuid: string, { keepConsoleLog = false }: { keepConsoleLog?: boolean }): Promise<void> {
    const { consoles } = this.#context;
    return keepConsoleLog ? consoles.stop(instanceUuid) : consoles.remove(instanceUuid);
  }

  /** Undoes what is on an associated node and releases it. @throws the cause; the node is in `error` then */
  async cleanUp(node: NodeRecord): Promise<void> {
    const { nodes } = this.#context;
    const instanceUuid = node.instanceUuid;
    const deploymentId = node.deploymentId;
    if (instanceUuid === null || deploymentId === null) return;
    const timeline = timelineOf(this.#context, node, instanceUuid);
    // Not ours any more: somebody else cleaned it up, and the node may carry another tenant.
    if (!(await nodes.transition(deploymentId, "startDelete"))) return;
    const undo = await undoOfInstance(this.#context, node, instanceUuid);
    const cause = new BaremetalError("Cancelled", "the instance was deleted", { data: { step: "destroy" } });
    const left = await rollBack(this.#context, node, deploymentId, undo, timeline, cause);
    if (left !== undefined) {
      throw new BaremetalError(
        "PeerMisbehaved",
        `instance ${instanceUuid} could not be taken off node ${node.id}: ${left}`,
        {
          data: { node: node.id },
        },
      );
    }
  }

  /** Soft and hard are one: off, network boot, on. A failed power-off ends it (R21). */
  async reboot(instance: InstanceRecord, _type: "SOFT" | "HARD" = "HARD"): Promise<void> {
    await this.#withNode(instance, "reboot", async (node) => {
      await withPower(this.#context, node, "power off", (power) => power.powerOff());
      await withPower(this.#context, node, "power on", async (power) => {
        await power.setBootDevicePxe();
        await power.powerOn();
      });
    });
  }

  async powerOff(instance: InstanceRecord): Promise<void> {
    await this.#withNode(instance, "stop", (node) =>
      withPower(this.#context, node, "power off", (power) => power.powerOff()),
    );
  }

  async powerOn(instance: InstanceRecord): Promise<void> {
    await this.#withNode(instance, "start", (node) =>
      withPower(this.#context, node, "power on", async (power) => {
        await power.setBootDevicePxe();
        await power.powerOn();
      }),
    );
  }

  /** The machine's power as its BMC tells it; a BMC that does not answer is `nostate`, never `shutdown`. */
  async getInfo(instance: InstanceRecord): Promise<InstanceInfo> {
    const node = await this.#nodeOf(instance);
    const sizes = { memoryMb: node.memoryMb ?? 0, numCpu: node.cpus ?? 0 };
    try {
      return { state: (await this.#context.power.for(node).isPowerOn()) ? "running" : "shutdown", ...sizes };
    } catch {
      return { state: "nostate", ...sizes };
    }
  }

  /** The last `lines` lines that the instance wrote to its serial console, or all that are told. */
  getConsoleOutput(instance: InstanceRecord, lines: number | undefined): Promise<string> {
    return this.#context.consoles.read(instance.uuid, lines);
  }

  /** Names of the instances on this host's nodes. */
  async listInstances(): Promise<string[]> {
    const nodes = await this.#context.nodes.list({ serviceHost: this.#context.settings.host, associated: true });
    return nodes.flatMap(({ instanceName }) => (instanceName === null ? [] : [instanceName]));
  }

  /** Uuids of all this host's nodes, free or not: one that is left out would be forgotten by the resource tracker. */
  async getAvailableNodes(): Promise<string[]> {
    return (await this.#context.nodes.list({ serviceHost: this.#context.settings.host })).map(({ uuid }) => uuid);
  }

  async getAvailableResource(nodeUuid: string): Promise<ResourceView | undefined> {
    const node = await this.#context.nodes.getByUuid(nodeUuid);
    return node && nodeResources(node, this.#context.settings.extraSpecs);
  }

  async #withNode(instance: InstanceRecord, step: string, work: (node: NodeRecord) => Promise<void>): Promise<void> {
    const found = await this.#nodeOf(instance);
    await this.exclusive(found.id, async () => {
      // Read again under the lock: the action waited, and the node may carry another instance by now.
      const node = await this.#nodeOf(instance);
      await timelineOf(this.#context, node, instance.uuid).step(step, () => work(node));
    });
  }

  async #nodeOf(instance: InstanceRecord): Promise<NodeRecord> {
    const node = await this.#context.nodes.getByInstanceUuid(instance.uuid);
    if (node === undefined) throw notOnNode(instance);
    this.#assertOurs(node);
    return node;
  }

  #assertOurs(node: NodeRecord): void {
    if (node.serviceHost === this.#context.settings.host) return;
    throw new BaremetalError(
      "Conflict",
      `node ${node.id} belongs to host ${node.serviceHost ?? "(none)"}, not to ${this.#context.settings.host}: is its service_host the name of this compute host?`,
      { data: { node: node.id, serviceHost: node.serviceHost } },
    );
  }
}

function notOnNode(instance: InstanceRecord): BaremetalError {
  return new BaremetalError("NotFound", `instance ${instance.uuid} is on no node`, {
    data: { kind: "instance", id: instance.uuid },
  });
}
