// What compute/ asks of a driver: the methods of the original ComputeDriver (facts section 1.4) that it calls.
import type { InstanceRecord } from "../db/records.ts";
import type { ResourceView } from "../driver/resources.ts";

export type { ResourceView };

/** How a spawn that succeeded ended. */
export interface SpawnResult {
  /** Where the node was seen on the network, if it was. */
  readonly address?: string;
}

export interface InstanceInfo {
  readonly state: "running" | "shutdown" | "nostate";
  readonly memoryMb: number;
  readonly numCpu: number;
}

/** Every call ends within the driver's own deadlines; a `signal` ends it sooner, with `Cancelled`. */
export interface ComputeDriver {
  /**
   * Resolves when the instance runs on the node. It throws the cause after its undo.
   * An abort for which `isShutdown` (lib/shutdown.ts) holds means that this process ends: what a successor can `resume` is to be left as it is.
   */
  spawn(instance: InstanceRecord, nodeUuid: string, options: { signal: AbortSignal }): Promise<SpawnResult>;
  /** After a restart: goes on waiting for the instance's unfinished deployment; ends as `spawn` does. */
  resume(instance: InstanceRecord, options: { signal: AbortSignal }): Promise<SpawnResult>;
  /** Idempotent; a node or association that is gone already is no error. The console log goes with it, unless it is to be kept. */
  destroy(instance: InstanceRecord, options: { signal: AbortSignal; keepConsoleLog?: boolean }): Promise<void>;
  reboot(instance: InstanceRecord, type: "SOFT" | "HARD"): Promise<void>;
  powerOff(instance: InstanceRecord): Promise<void>;
  powerOn(instance: InstanceRecord): Promise<void>;
  getInfo(instance: InstanceRecord): Promise<InstanceInfo>;
  /** The last `lines` lines of the instance's serial console, or all that are told; empty if nothing was recorded. */
  getConsoleOutput(instance: InstanceRecord, lines: number | undefined): Promise<string>;
  listInstances(): Promise<string[]>;
  /** The uuids of this host's enrolled nodes, free or not. */
  getAvailableNodes(): Promise<string[]>;
  /** Undefined: the node is gone. */
  getAvailableResource(nodeUuid: string): Promise<ResourceView | undefined>;
}
