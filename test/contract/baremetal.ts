// Nodes and deployments for the contract suites, brought to a wanted state by the repositories themselves.
import { randomBytes, randomUUID } from "node:crypto";
import type { Databases } from "../../db/database.ts";
import { DeploymentRepository } from "../../db/deployments.ts";
import { EventRepository } from "../../db/events.ts";
import { InterfaceRepository } from "../../db/interfaces.ts";
import { type Association, NodeRepository } from "../../db/nodes.ts";
import type { DeploymentRecord, NodeRecord } from "../../db/records.ts";
import { SecretBox } from "../../db/secret-box.ts";
import { TestClock } from "./engines.ts";

export const secretBox = new SecretBox(randomBytes(32));
export const KEY_HASH = "5e".repeat(32);
export const LEASE_MS = 30_000;

/** The repositories on one pair of databases, with a clock of their own. */
export class Rack {
  readonly clock = new TestClock();
  readonly nodes: NodeRepository;
  readonly deployments: DeploymentRepository;
  readonly interfaces: InterfaceRepository;
  readonly events: EventRepository;

  constructor(databases: Databases) {
    this.nodes = new NodeRepository(databases.baremetal, secretBox, this.clock);
    this.deployments = new DeploymentRepository(databases.baremetal, this.clock);
    this.interfaces = new InterfaceRepository(databases.baremetal, this.clock);
    this.events = new EventRepository(databases.baremetal, this.clock);
  }

  enrol(): Promise<NodeRecord> {
    return this.nodes.create({
      serviceHost: "compute-1",
      cpus: 4,
      memoryMb: 8192,
      localGb: 100,
      pmAddress: "127.0.0.9",
      pmUser: "ADMIN",
      pmPassword: "s3cret",
    });
  }

  async taken(node?: NodeRecord): Promise<DeploymentRecord> {
    return this.nodes.associate((node ?? (await this.enrol())).uuid, associationFor(randomUUID()));
  }

  async prepared(): Promise<DeploymentRecord> {
    const { id } = await this.taken();
    await this.deployments.prepare(id, preparation);
    return this.reread(id);
  }

  async queued(): Promise<DeploymentRecord> {
    const { id, nodeId } = await this.prepared();
    await this.deployments.acceptCall(nodeId, call);
    return this.reread(id);
  }

  async claimed(holder: string): Promise<DeploymentRecord> {
    await this.queued();
    const job = await this.deployments.claim(holder, LEASE_MS);
    if (job === undefined) throw new Error("nothing to claim");
    return job;
  }

  async reread(id: number): Promise<DeploymentRecord> {
    const record = await this.deployments.get(id);
    if (record === undefined) throw new Error(`deployment ${id} is gone`);
    return record;
  }

  async node(id: number): Promise<NodeRecord> {
    const record = await this.nodes.get(id);
    if (record === undefined) throw new Error(`node ${id} is gone`);
    return record;
  }
}

export const call = { keyHash: KEY_HASH, agentAddress: "127.0.0.20", agentPort: 3260, agentLun: 1 };

export const preparation = {
  deployKeyHash: KEY_HASH,
  iqn: "iqn-1",
  imagePath: "/cache/image",
  imageFormat: "qcow2",
  imageSha256: "ab".repeat(32),
  pxeConfigPath: "/tftpboot/x/config",
  configDrivePath: null,
} as const;

export function associationFor(instanceUuid: string): Association {
  return {
    instanceUuid,
    instanceName: "web-1",
    serviceHost: "compute-1",
    rootMb: 2048,
    swapMb: 1,
    ephemeralMb: 512,
    ephemeralFormat: "ext3",
    preserveEphemeral: false,
  };
}

/** The error that `work` ends in; fails if it ends well. */
export async function failureOf(work: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await work;
  } catch (error) {
    return error as Error & { code?: string };
  }
  throw new Error("it did not fail");
}
