// Many machines in memory, with rows and BMCs of their own, for the power sync: states are set, writes and looks are counted.
import type { PowerReport } from "../../db/node-power.ts";
import type { InstancePowerState, NodePower, NodeRecord } from "../../db/records.ts";
import { PowerSync, type PowerSyncOptions } from "../../driver/power-sync/power-sync.ts";
import { BaremetalError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { silentLogger } from "../../lib/log.ts";
import { ManualClock } from "./manual-clock.ts";

export interface Machine {
  node: NodePower;
  instance: InstancePowerState | undefined;
  isOn: boolean;
  /** Its BMC answers nothing. */
  isSilent: boolean;
  isBusy: boolean;
  looks: number;
}

export class PowerRack {
  readonly clock = new ManualClock();
  readonly machines = new Map<number, Machine>();
  readonly log: string[] = [];
  /** `<instance> on` or `off`: what the compute side was told to put right. */
  readonly synced: string[] = [];
  /** The nodes whose BMC's client is kept. */
  readonly kept = new Set<number>();
  writes = 0;
  pages = 0;
  isDatabaseAway = false;
  isListingAway = false;
  /** Milliseconds that a write takes. */
  writeMs = 0;
  /** What the compute side answers to a sync. */
  isSyncTaken = true;
  /** Milliseconds that a BMC takes. */
  lookMs = 10;
  inFlight = 0;
  mostInFlight = 0;

  add(id: number, patch: Partial<Machine> & { vmState?: string } = {}): Machine {
    const { vmState, ...rest } = patch;
    const uuid = `instance-${id}`;
    const powerState = vmState === "stopped" ? 4 : 1;
    const machine: Machine = {
      node: nodeRow(id, vmState === undefined ? {} : { instanceUuid: uuid, taskState: "active" }),
      instance: vmState === undefined ? undefined : { id, uuid, vmState, taskState: null, powerState },
      isOn: vmState === "active",
      isSilent: false,
      isBusy: false,
      looks: 0,
      ...rest,
    };
    this.machines.set(id, machine);
    return machine;
  }

  get(id: number): Machine {
    const machine = this.machines.get(id);
    if (machine === undefined) throw new Error(`there is no machine ${id}`);
    return machine;
  }

  open(options: Partial<PowerSyncOptions> = {}): PowerSync {
    const limits = { intervalMs: 60_000, maxInFlight: 256, maxFailures: 3, lookDeadlineMs: 10_000, random: () => 0 };
    return new PowerSync(
      {
        host: "h",
        nodes: {
          listPower: async (_host, after, limit) =>
            this.#page(
              [...this.machines.values()].map(({ node }) => node),
              after,
              limit,
            ),
          get: async (id) => this.#row(this.machines.get(id)?.node as NodeRecord | undefined),
          notePower: (seen, report) => this.#note(seen, report),
        },
        instances: {
          list: async (after, limit) =>
            this.#page(
              [...this.machines.values()].flatMap(({ instance }) => instance ?? []),
              after,
              limit,
            ),
          sync: async (uuid, isOn) => {
            this.#row(undefined);
            this.synced.push(`${uuid} ${isOn ? "on" : "off"}`);
            return this.isSyncTaken;
          },
        },
        power: {
          for: (target) => ({ ...NO_ACTIONS, isPowerOn: (given) => this.#look(target.id, given?.signal) }),
          forgetOthers: (ids) => {
            for (const id of this.kept) if (!ids.has(id)) this.kept.delete(id);
          },
        },
        isBusy: (id) => this.machines.get(id)?.isBusy ?? false,
        clock: this.clock,
        logger: this.#logger(),
      },
      { ...limits, ...options },
    );
  }

  async #look(id: number, signal: AbortSignal | undefined): Promise<boolean> {
    const machine = this.machines.get(id);
    if (machine !== undefined) machine.looks += 1;
    this.kept.add(id);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      await this.clock.sleep(machine?.isSilent ? 10_000 : this.lookMs, signal);
    } finally {
      this.inFlight -= 1;
    }
    if (machine === undefined || machine.isSilent) throw new BaremetalError("PeerUnreachable", `no answer from ${id}`);
    return machine.isOn;
  }

  #row<T>(row: T): T {
    if (this.isDatabaseAway) throw new BaremetalError("PeerUnreachable", "the database did not answer");
    return row;
  }

  #page<T extends { readonly id: number }>(rows: T[], after: number, limit: number): T[] {
    this.pages += 1;
    if (this.isListingAway) throw new BaremetalError("PeerUnreachable", "the database did not answer");
    return this.#row(rows.filter(({ id }) => id > after).slice(0, limit));
  }

  async #note(seen: NodePower, report: PowerReport): Promise<boolean> {
    if (this.writeMs > 0) await this.clock.sleep(this.writeMs);
    const machine = this.#row(this.machines.get(seen.id));
    if (machine === undefined || machine.node.fault !== seen.fault) return false;
    this.writes += 1;
    machine.node = { ...machine.node, ...(report as Partial<NodePower>) };
    return true;
  }

  #logger(): Logger {
    const keep = (level: string) => (message: string) => void this.log.push(`${level}: ${message}`);
    return { ...silentLogger, info: keep("info"), warn: keep("warn"), error: keep("error") };
  }
}

const NO_ACTIONS = {
  powerOn: () => Promise.reject(new Error("nobody switches here")),
  powerOff: () => Promise.reject(new Error("nobody switches here")),
  setBootDevicePxe: () => Promise.reject(new Error("nobody switches here")),
};

export function nodeRow(id: number, patch: Partial<NodePower> = {}): NodePower {
  return {
    id,
    pmAddress: `10.0.0.${id}`,
    pmUser: "admin",
    pmPassword: "secret",
    instanceUuid: null,
    taskState: null,
    powerState: null,
    targetPowerState: null,
    maintenance: false,
    fault: null,
    deploymentId: null,
    ...patch,
  };
}
