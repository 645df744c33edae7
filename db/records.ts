// What the rows of both schemas look like outside db/: camelCase, dates as Date, JSON parsed, secrets opened.

/** `bm_nodes.task_state`, the legacy projection of a node's state (baremetal_states of the original). */
export type TaskState =
  | "active"
  | "building"
  | "deploying"
  | "deploy failed"
  | "deploy complete"
  | "deleted"
  | "error"
  | "prepared";

/** Ironic's provisioning vocabulary, as far as we use it; the truth about a node. */
export type ProvisionState =
  | "available"
  | "deploying"
  | "wait call-back"
  | "deploy failed"
  | "active"
  | "deleting"
  | "error";

export type PowerState = "power on" | "power off" | "error";

export interface NodeRecord {
  readonly id: number;
  readonly uuid: string;
  readonly name: string | null;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
  readonly cpus: number | null;
  readonly memoryMb: number | null;
  readonly localGb: number | null;
  readonly pmAddress: string | null;
  readonly pmUser: string | null;
  /** Opened from AES-256-GCM; never leaves the process but to the BMC. */
  readonly pmPassword: string | null;
  /** Why the sealed password does not open; `pmPassword` is null then. */
  readonly pmPasswordError?: string;
  readonly terminalPort: number | null;
  readonly serviceHost: string | null;
  readonly instanceUuid: string | null;
  readonly instanceName: string | null;
  readonly taskState: TaskState | null;
  readonly provisionState: ProvisionState;
  readonly targetProvisionState: ProvisionState | null;
  readonly powerState: PowerState | null;
  readonly targetPowerState: PowerState | null;
  readonly imagePath: string | null;
  readonly pxeConfigPath: string | null;
  readonly rootMb: number | null;
  readonly swapMb: number | null;
  readonly ephemeralMb: number | null;
  readonly preserveEphemeral: boolean;
  readonly driver: string | null;
  readonly driverInfo: Readonly<Record<string, unknown>>;
  readonly maintenance: boolean;
  /** `power failure` and the like; null when well. */
  readonly fault: string | null;
  readonly lastError: string | null;
  /** The open deployment, if any: every later write is keyed by it. */
  readonly deploymentId: number | null;
}

/** The part of a node that looks at its power need: what its BMC is, and what was last known. */
export type NodePower = Pick<
  NodeRecord,
  | "id"
  | "pmAddress"
  | "pmUser"
  | "pmPassword"
  | "pmPasswordError"
  | "instanceUuid"
  | "taskState"
  | "powerState"
  | "targetPowerState"
  | "maintenance"
  | "fault"
  | "deploymentId"
>;

export interface InterfaceRecord {
  readonly id: number;
  readonly nodeId: number;
  /** Lower case, colons. */
  readonly address: string;
  readonly datapathId: string | null;
  readonly portNo: number | null;
  readonly vifUuid: string | null;
}

/**
 * One attempt to put an instance on a node: job, progress and result.
 * building -> prepared -> queued -> deploying -> deploy complete -> active; from any of them to failed.
 */
export type DeploymentState =
  | "building"
  | "prepared"
  | "queued"
  | "deploying"
  | "deploy complete"
  | "active"
  | "failed"
  | "cancelled";

export interface DeploymentRecord {
  readonly id: number;
  readonly nodeId: number;
  readonly nodeUuid: string;
  readonly instanceUuid: string;
  readonly instanceName: string;
  readonly serviceHost: string;
  readonly state: DeploymentState;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | null;
  /** SHA-256 of the deploy key, lower-case hex; null once used. */
  readonly deployKeyHash: string | null;
  /** The iSCSI target name that was issued; no other is accepted. */
  readonly iqn: string | null;
  readonly imagePath: string | null;
  readonly imageFormat: "raw" | "qcow2" | null;
  readonly imageSha256: string | null;
  readonly pxeConfigPath: string | null;
  /** A JSON file `{ "<path in the drive>": "<base64>" }`, mode 0600; null: no config drive. */
  readonly configDrivePath: string | null;
  readonly rootMb: number;
  readonly swapMb: number;
  readonly ephemeralMb: number;
  readonly ephemeralFormat: string | null;
  readonly preserveEphemeral: boolean;
  /** Where the ramdisk exports its disk; set when it calls. */
  readonly agentAddress: string | null;
  readonly agentPort: number | null;
  readonly agentLun: number | null;
  readonly step: string | null;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly rootUuid: string | null;
  /** What the helper measured: bytes written, SHA-256 read back, milliseconds per step. */
  readonly result: Readonly<Record<string, unknown>>;
  readonly error: string | null;
  readonly cancelRequested: boolean;
  readonly leaseHolder: string | null;
  readonly leaseExpiresAt: Date | null;
  readonly attempts: number;
}

export interface EventRecord {
  readonly id: number;
  readonly at: Date;
  readonly deploymentId: number | null;
  readonly nodeId: number | null;
  readonly instanceUuid: string | null;
  /** Who saw it: `driver`, `deploy-helper`, `tftp`, `api`. */
  readonly source: string;
  /** Named step of the timeline: `power off`, `login`, `write image`. */
  readonly step: string;
  readonly kind: "start" | "end" | "info" | "error";
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** nova.instances, as far as a bare-metal instance needs it. */
export interface InstanceRecord {
  readonly id: number;
  readonly uuid: string;
  readonly displayName: string;
  readonly hostname: string;
  readonly projectId: string;
  readonly userId: string;
  readonly imageRef: string;
  readonly kernelId: string | null;
  readonly ramdiskId: string | null;
  /** The flavor as it was at boot (Nova embeds it from 2.47). */
  readonly flavor: FlavorSnapshot;
  readonly memoryMb: number;
  readonly vcpus: number;
  readonly rootGb: number;
  readonly ephemeralGb: number;
  readonly host: string | null;
  /** The node's uuid, as hypervisor_hostname. */
  readonly node: string | null;
  readonly launchedOn: string | null;
  /** building, active, stopped, error, deleted. */
  readonly vmState: string;
  /** scheduling, networking, spawning, deleting, powering-off, powering-on, rebooting... or null. */
  readonly taskState: string | null;
  /** Nova's numbers: 0 no state, 1 running, 4 shutdown. */
  readonly powerState: number;
  /** Of a stopped one: its user asked for it. False: its machine was found off. */
  readonly stoppedByUser: boolean;
  readonly progress: number;
  readonly keyName: string | null;
  readonly keyData: string | null;
  /** Base64, as the user gave it. */
  readonly userData: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Files to inject: `[{ path, contents: base64 }]`. */
  readonly personality: readonly { readonly path: string; readonly contents: string }[];
  readonly configDrive: boolean;
  readonly availabilityZone: string | null;
  readonly fault: {
    readonly code: number;
    readonly message: string;
    readonly details?: string;
    readonly created: string;
  } | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly scheduledAt: Date | null;
  readonly launchedAt: Date | null;
  readonly terminatedAt: Date | null;
  readonly deleted: boolean;
}

/** The part of an instance that says whether its machine should be on. */
export type InstancePowerState = Pick<InstanceRecord, "id" | "uuid" | "vmState" | "taskState" | "powerState">;

export interface FlavorSnapshot {
  readonly id: string;
  readonly name: string;
  readonly ram: number;
  readonly vcpus: number;
  readonly disk: number;
  readonly ephemeral: number;
  /** Megabytes. */
  readonly swap: number;
  readonly extraSpecs: Readonly<Record<string, string>>;
}

export interface FlavorRecord extends FlavorSnapshot {
  readonly rxtxFactor: number;
  readonly isPublic: boolean;
  readonly disabled: boolean;
  readonly description: string | null;
}

export interface KeyPairRecord {
  readonly userId: string;
  readonly name: string;
  readonly type: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly createdAt: Date;
}

/** Glance v2's image, embedded store. Sizes in bytes. */
export interface ImageRecord {
  readonly id: string;
  readonly name: string | null;
  readonly owner: string | null;
  readonly status: "queued" | "saving" | "active" | "killed" | "deleted" | "deactivated";
  readonly visibility: "public" | "private" | "shared" | "community";
  readonly protected: boolean;
  readonly hidden: boolean;
  readonly containerFormat: string | null;
  readonly diskFormat: string | null;
  readonly minDisk: number;
  readonly minRam: number;
  readonly sizeBytes: number | null;
  readonly virtualSizeBytes: number | null;
  /** MD5, as Glance's `checksum`. */
  readonly checksum: string | null;
  readonly osHashAlgo: string | null;
  readonly osHashValue: string | null;
  readonly sha256: string | null;
  readonly tags: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface ServiceRecord {
  readonly id: number;
  readonly host: string;
  readonly binary: string;
  readonly disabled: boolean;
  readonly createdAt: Date;
  /** Last heartbeat. */
  readonly lastSeenUp: Date;
}

/** nova.compute_nodes: one row per enrolled node, what the scheduler sees. */
export interface ComputeNodeRecord {
  readonly id: number;
  readonly host: string;
  readonly hypervisorHostname: string;
  readonly hypervisorType: string;
  readonly hypervisorVersion: number;
  readonly cpuInfo: string;
  readonly vcpus: number;
  readonly vcpusUsed: number;
  readonly memoryMb: number;
  readonly memoryMbUsed: number;
  readonly localGb: number;
  readonly localGbUsed: number;
  readonly freeRamMb: number;
  readonly freeDiskGb: number;
  readonly runningVms: number;
  readonly stats: Readonly<Record<string, unknown>>;
  readonly supportedInstances: readonly (readonly string[])[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
