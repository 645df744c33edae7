// The driver, the compute side and the power sync of one host in this process, with machines whose BMCs speak IPMI.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { BmcSimulator, SimulatorFaults } from "ipmi-js";
import { type ComputeRepositories, ComputeServices, ImageStore } from "../../compute/index.ts";
import { type Databases, openDatabases } from "../../db/database.ts";
import type { InstanceRecord, NodeRecord } from "../../db/records.ts";
import type { DriverContext } from "../../driver/context.ts";
import { BareMetalDriver } from "../../driver/driver.ts";
import { IpmiPower } from "../../driver/power/ipmi.ts";
import { PowerSync } from "../../driver/power-sync/power-sync.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { openRepositories } from "./api-bench.ts";
import { type DriverBench, openDriverBench } from "./driver-bench.ts";
import { SimulatedNode } from "./simulated-node.ts";

const HOST = "compute1";
/** Between two looks: short, for a test takes several. */
export const INTERVAL_MS = 200;
let nextAddress = 0;

/** One machine with its row, and its instance's if it has one. */
export interface BenchMachine {
  readonly machine: SimulatedNode;
  readonly bmc: BmcSimulator;
  readonly nodeId: number;
  readonly instanceUuid: string;
}

export class PowerBench {
  readonly driverBench: DriverBench;
  readonly repositories: ComputeRepositories;
  readonly driver: BareMetalDriver;
  readonly services: ComputeServices;
  readonly sync: PowerSync;
  readonly #power: IpmiPower;
  readonly #databases: Databases;
  readonly #machines: SimulatedNode[] = [];

  private constructor(driverBench: DriverBench, databases: Databases) {
    this.driverBench = driverBench;
    this.#databases = databases;
    this.repositories = openRepositories(databases);
    const clock = systemClock;
    const logger = silentLogger;
    this.#power = new IpmiPower({ clock, powerDeadlineMs: 5000, pollIntervalMs: 50, operationDeadlineMs: 2500 });
    const context: DriverContext = { ...driverBench.context, power: this.#power };
    this.driver = new BareMetalDriver(context);
    const imageStore = new ImageStore(join(driverBench.folder, "store"), this.repositories.images);
    const { driver, repositories } = this;
    this.services = new ComputeServices({ host: HOST, repositories, imageStore, driver, clock, logger });
    this.sync = new PowerSync(
      {
        ...context,
        host: HOST,
        instances: {
          list: (after, limit) => repositories.instances.listPowerStates(HOST, after, limit),
          sync: (uuid, isOn, sinceMs) => this.services.instances.syncPower(uuid, isOn, sinceMs),
        },
        isBusy: (nodeId) => driver.isBusy(nodeId),
      },
      { intervalMs: INTERVAL_MS, maxInFlight: 16, maxFailures: 3, lookDeadlineMs: 1500 },
    );
  }

  static async open(): Promise<PowerBench> {
    const driverBench = await openDriverBench();
    const url = (name: string) => `sqlite:///${join(driverBench.folder, name)}`;
    const urls = { baremetalUrl: url("bm.sqlite"), novaUrl: url("nova.sqlite") };
    return new PowerBench(driverBench, await openDatabases({ ...urls, logger: silentLogger }));
  }

  /** Enrols a machine. With `vmState` it carries such an instance, as a deployment leaves it. */
  async machine(isOn: boolean, vmState?: "active" | "stopped", bmcFaults: SimulatorFaults = {}): Promise<BenchMachine> {
    nextAddress += 1;
    const machine = await SimulatedNode.start({
      address: `127.0.67.${nextAddress}`,
      mac: `52:54:00:67:00:${nextAddress.toString(16).padStart(2, "0")}`,
      tftpRoot: this.driverBench.tftpRoot,
      helper: { address: "127.0.0.1", port: 1 },
      donePort: 10_000,
      disk: { path: join(this.driverBench.folder, `disk${nextAddress}`), sizeBytes: 1 << 20 },
      bmcFaults,
    });
    machine.isOn = isOn;
    this.#machines.push(machine);
    const node = await this.driverBench.enrol({ mac: machine.options.mac });
    await this.repositories.nodes.update(node.id, { pmAddress: `${machine.options.address}:${machine.bmc.port}` });
    const instanceUuid = randomUUID();
    if (vmState !== undefined) {
      await this.#occupy(node, instanceUuid);
      await this.instance(
        instanceUuid,
        { vmState, powerState: isOn ? 1 : 4, stoppedByUser: vmState === "stopped" },
        node.uuid,
      );
    }
    return { machine, bmc: machine.bmc, nodeId: node.id, instanceUuid };
  }

  /** Writes the row of an instance of this host. */
  instance(uuid: string, patch: Partial<InstanceRecord>, nodeUuid: string): Promise<InstanceRecord> {
    const { id: _id, ...values } = this.driverBench.instance({ uuid, memoryMb: 512, vcpus: 1 });
    const place = { host: HOST, node: nodeUuid, vmState: "active" };
    return this.repositories.instances.create({ ...values, ...place, ...patch });
  }

  async instanceRow(uuid: string): Promise<InstanceRecord> {
    const row = await this.repositories.instances.get(uuid);
    if (row === undefined) throw new Error(`instance ${uuid} is gone`);
    return row;
  }

  async nodeRow(id: number): Promise<NodeRecord> {
    const row = await this.repositories.nodes.get(id);
    if (row === undefined) throw new Error(`node ${id} is gone`);
    return row;
  }

  /** Resolves when the BMC was looked at `count` more times. */
  async looks({ bmc }: BenchMachine, count: number): Promise<void> {
    const end = bmc.counters.commands + count;
    while (bmc.counters.commands < end) await systemClock.sleep(10);
  }

  async close(): Promise<void> {
    await this.sync.close();
    await this.services.close();
    await this.#power.close();
    for (const machine of this.#machines) await machine.close();
    await this.#databases.close();
    await this.driverBench.close();
  }

  /** Walks a deployment to its end, as driver and helper write it. */
  async #occupy(node: NodeRecord, instanceUuid: string): Promise<void> {
    const { nodes, deployments } = this.repositories;
    const sizes = { rootMb: 1024, swapMb: 1, ephemeralMb: 0, ephemeralFormat: null, preserveEphemeral: false };
    const names = { instanceUuid, instanceName: "web", serviceHost: HOST };
    const { id } = await nodes.associate(node.uuid, { ...names, ...sizes });
    await deployments.prepare(id, {
      deployKeyHash: "0".repeat(64),
      iqn: "iqn",
      imagePath: "/i",
      imageFormat: "raw",
      imageSha256: null,
      pxeConfigPath: "/c",
      configDrivePath: null,
    });
    const call = { keyHash: "0".repeat(64), agentAddress: "10.0.0.9", agentPort: 3260, agentLun: 1 };
    await deployments.acceptCall(node.id, call);
    await deployments.claim("helper", 60_000);
    await deployments.complete(id, "helper", { rootUuid: null, result: {} });
    await nodes.transition(id, "activate");
  }
}
