// A compute driver without machines: it takes nodes and walks deployments through the real repositories; tests hold it,
// fail it and look at what it was asked.
import type { ComputeDriver, InstanceInfo, ResourceView, SpawnResult } from "../../compute/driver-interface.ts";
import type { DeploymentRepository } from "../../db/deployments.ts";
import type { NodeRepository } from "../../db/nodes.ts";
import type { InstanceRecord, NodeRecord } from "../../db/records.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { isShutdown } from "../../lib/shutdown.ts";

const KEY_HASH = "0".repeat(64);

/** Settles when it is opened, or when the signal aborts. */
class Gate {
  readonly #opened: Promise<void>;
  open: () => void = () => {};

  constructor() {
    this.#opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  async pass(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_resolve, reject) => {
      const fail = () => reject(new BaremetalError("Cancelled", "cancelled", { cause: signal.reason }));
      if (signal.aborted) fail();
      else signal.addEventListener("abort", fail, { once: true });
    });
    await Promise.race([this.#opened, aborted]);
  }
}

/** What a test may set. */
export interface FakeBehaviour {
  /** Thrown by the spawn on this node, after its undo. */
  failSpawn?: (nodeUuid: string) => Error | undefined;
  failDestroy?: () => Error | undefined;
  failPower?: () => Error | undefined;
  /** Where a spawn stops until `release`: before or after the deployment is `prepared`. */
  holdAt?: "building" | "prepared";
}

export class FakeComputeDriver implements ComputeDriver {
  readonly calls: string[] = [];
  readonly behaviour: FakeBehaviour = {};
  readonly #host: string;
  readonly #nodes: NodeRepository;
  readonly #deployments: DeploymentRepository;
  #gate = new Gate();

  constructor(host: string, nodes: NodeRepository, deployments: DeploymentRepository) {
    this.#host = host;
    this.#nodes = nodes;
    this.#deployments = deployments;
  }

  /** Lets everything go on that `holdAt` holds. */
  release(): void {
    this.#gate.open();
    this.#gate = new Gate();
    delete this.behaviour.holdAt;
  }

  async spawn(instance: InstanceRecord, nodeUuid: string, { signal }: { signal: AbortSignal }): Promise<SpawnResult> {
    this.calls.push(`spawn ${instance.displayName} ${nodeUuid}`);
    const deployment = await this.#nodes.associate(nodeUuid, {
      instanceUuid: instance.uuid,
      instanceName: instance.hostname,
      serviceHost: this.#host,
      rootMb: instance.rootGb * 1024,
      swapMb: 0,
      ephemeralMb: 0,
      ephemeralFormat: null,
      preserveEphemeral: false,
    });
    try {
      if (this.behaviour.holdAt === "building") await this.#gate.pass(signal);
      const error = this.behaviour.failSpawn?.(nodeUuid);
      if (error !== undefined) throw error;
      await this.#deployments.prepare(deployment.id, {
        deployKeyHash: KEY_HASH,
        iqn: "iqn.2026-11.test:fake",
        imagePath: "/images/fake",
        imageFormat: "raw",
        imageSha256: null,
        pxeConfigPath: "/tftpboot/fake/config",
        configDrivePath: null,
      });
      if (this.behaviour.holdAt === "prepared") await this.#gate.pass(signal);
      return await this.#finish(deployment.id, deployment.nodeId);
    } catch (error) {
      if (!isShutdown(signal)) await this.#nodes.release(deployment.id);
      throw error;
    }
  }

  async resume(instance: InstanceRecord, { signal }: { signal: AbortSignal }): Promise<SpawnResult> {
    this.calls.push(`resume ${instance.displayName}`);
    const node = await this.#nodes.getByInstanceUuid(instance.uuid);
    const id = node?.deploymentId ?? 0;
    if (this.behaviour.holdAt === "prepared") await this.#gate.pass(signal);
    const error = this.behaviour.failSpawn?.(node?.uuid ?? "");
    if (error === undefined) return this.#finish(id, node?.id ?? 0);
    await this.#nodes.release(id);
    throw error;
  }

  async destroy(instance: InstanceRecord, options: { keepConsoleLog?: boolean } = {}): Promise<void> {
    this.calls.push(
      `destroy ${instance.displayName}${options.keepConsoleLog === true ? ", keep its console log" : ""}`,
    );
    const error = this.behaviour.failDestroy?.();
    if (error !== undefined) throw error;
    const node = await this.#nodes.getByInstanceUuid(instance.uuid);
    if (node?.deploymentId) await this.#nodes.release(node.deploymentId);
  }

  reboot(instance: InstanceRecord, type: "SOFT" | "HARD"): Promise<void> {
    return this.#power(`reboot ${type} ${instance.displayName}`);
  }

  powerOff(instance: InstanceRecord): Promise<void> {
    return this.#power(`powerOff ${instance.displayName}`);
  }

  powerOn(instance: InstanceRecord): Promise<void> {
    return this.#power(`powerOn ${instance.displayName}`);
  }

  async getInfo(instance: InstanceRecord): Promise<InstanceInfo> {
    return { state: "running", memoryMb: instance.memoryMb, numCpu: instance.vcpus };
  }

  async getConsoleOutput(_instance: InstanceRecord, lines: number | undefined): Promise<string> {
    return ["first", "second", "third"].slice(lines === undefined ? 0 : -lines).join("\n");
  }

  async listInstances(): Promise<string[]> {
    const nodes = await this.#nodes.list({ serviceHost: this.#host, associated: true });
    return nodes.map((node) => node.instanceName ?? "");
  }

  async getAvailableNodes(): Promise<string[]> {
    return (await this.#nodes.list({ serviceHost: this.#host })).map((node) => node.uuid);
  }

  async getAvailableResource(nodeUuid: string): Promise<ResourceView | undefined> {
    const node = await this.#nodes.getByUuid(nodeUuid);
    return node === undefined ? undefined : resources(node);
  }

  async #power(call: string): Promise<void> {
    this.calls.push(call);
    const error = this.behaviour.failPower?.();
    if (error !== undefined) throw error;
  }

  async #finish(deploymentId: number, nodeId: number): Promise<SpawnResult> {
    await this.#deployments.acceptCall(nodeId, {
      keyHash: KEY_HASH,
      agentAddress: "10.9.0.20",
      agentPort: 3260,
      agentLun: 1,
    });
    await this.#deployments.claim("fake-helper", 60_000);
    await this.#deployments.complete(deploymentId, "fake-helper", { rootUuid: null, result: {} });
    await this.#nodes.transition(deploymentId, "activate");
    return { address: "10.9.0.20" };
  }
}

function resources(node: NodeRecord): ResourceView {
  const isUsed = node.instanceUuid !== null;
  const [vcpus, memoryMb, localGb] = [node.cpus ?? 0, node.memoryMb ?? 0, node.localGb ?? 0];
  return {
    hypervisorHostname: node.uuid,
    hypervisorType: "baremetal",
    hypervisorVersion: 1,
    cpuInfo: "baremetal cpu",
    vcpus,
    vcpusUsed: isUsed ? vcpus : 0,
    memoryMb,
    memoryMbUsed: isUsed ? memoryMb : 0,
    localGb,
    localGbUsed: isUsed ? localGb : 0,
    freeRamMb: isUsed ? 0 : memoryMb,
    freeDiskGb: isUsed ? 0 : localGb,
    runningVms: isUsed ? 1 : 0,
    stats: { cpu_arch: "x86_64", baremetal_driver: "fake" },
    supportedInstances: [["x86_64", "baremetal", "hvm"]],
  };
}
