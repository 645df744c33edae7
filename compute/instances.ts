// The instances service: what nova-api and nova-compute's manager do for boot, delete, stop, start and reboot.
import type { InstanceFilter, InstancePatch, InstanceRepository } from "../db/instances.ts";
import type { InstanceRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError, isBaremetalError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { isShutdown } from "../lib/shutdown.ts";
import type { ComputeDriver } from "./driver-interface.ts";
import type { InstanceBuilder } from "./instance-build.ts";
import { faultOf } from "./instance-fault.ts";
import type { InstanceTasks } from "./instance-tasks.ts";
import { type BootCatalog, type BootRequest, instanceValues, parseZone, type Requester } from "./instance-values.ts";

export interface InstanceServiceOptions {
  readonly host: string;
  readonly instances: InstanceRepository;
  readonly catalog: BootCatalog;
  readonly builder: InstanceBuilder;
  readonly tasks: InstanceTasks;
  readonly driver: ComputeDriver;
  readonly reporter: { refresh(): Promise<void> };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a power action does: from which states, through which task, to which state. */
interface PowerAction {
  /** As the API words it. */
  readonly name: string;
  readonly from: readonly string[];
  readonly taskState: string;
  readonly vmState: string;
  readonly powerState: number;
  run(driver: ComputeDriver, instance: InstanceRecord): Promise<void>;
}

const STOP: PowerAction = {
  name: "stop",
  from: ["active"],
  taskState: "powering-off",
  vmState: "stopped",
  powerState: 4,
  run: (driver, instance) => driver.powerOff(instance),
};
const START: PowerAction = {
  name: "start",
  from: ["stopped"],
  taskState: "powering-on",
  vmState: "active",
  powerState: 1,
  run: (driver, instance) => driver.powerOn(instance),
};
const REBOOT_SOFT: PowerAction = {
  name: "reboot",
  from: ["active"],
  taskState: "rebooting",
  vmState: "active",
  powerState: 1,
  run: (driver, instance) => driver.reboot(instance, "SOFT"),
};
const REBOOT_HARD: PowerAction = {
  name: "reboot",
  from: ["active", "stopped"],
  taskState: "rebooting_hard",
  vmState: "active",
  powerState: 1,
  run: (driver, instance) => driver.reboot(instance, "HARD"),
};
const POWER_ACTIONS = [STOP, START, REBOOT_SOFT, REBOOT_HARD];

/** What is done about an instance whose machine is not as its row says; undefined: the power is written, no more. */
function answerTo(
  { vmState, stoppedByUser }: InstanceRecord,
  isOn: boolean,
): { patch: InstancePatch; text: string; isForced: boolean } | undefined {
  if (vmState === "active" && !isOn) {
    const patch = { vmState: STOP.vmState, stoppedByUser: false };
    return { patch, text: "it counts as stopped; nothing is sent to the machine", isForced: false };
  }
  if (vmState !== "stopped" || !isOn) return undefined;
  if (!stoppedByUser) {
    const patch = { vmState: START.vmState };
    return { patch, text: "its user did not stop it, so it counts as active again", isForced: false };
  }
  return {
    patch: { taskState: STOP.taskState },
    text: "its user stopped it: switching the machine off",
    isForced: true,
  };
}

/** Rents nodes out. Calls return when the row says what is to be; the work is a task of `InstanceTasks`. */
export class InstanceService {
  readonly #options: InstanceServiceOptions;

  constructor(options: InstanceServiceOptions) {
    this.#options = options;
  }

  /** Checks the request, writes the instance (BUILD, scheduling) and starts its build. @throws BaremetalError `BadInput`, `Forbidden` */
  async boot(request: BootRequest, requester: Requester): Promise<InstanceRecord> {
    const { instances, catalog, builder, tasks, host } = this.#options;
    const forced = parseZone(request.availabilityZone, requester.isAdmin);
    const values = await instanceValues(request, requester, catalog);
    // launched_on says whose the build is, until a host is chosen: after a restart it is this host's to end.
    const instance = await instances.create({ ...values, launchedOn: host });
    tasks.start(instance.uuid, "build", (signal) => builder.build(instance, forced, signal));
    return instance;
  }

  /** Undefined for an id that is unknown, or another project's. */
  async get(uuid: string, requester: Requester): Promise<InstanceRecord | undefined> {
    const instance = await this.#options.instances.get(uuid);
    if (instance === undefined) return undefined;
    return requester.isAdmin || instance.projectId === requester.projectId ? instance : undefined;
  }

  list(filter: InstanceFilter): Promise<InstanceRecord[]> {
    return this.#options.instances.list(filter);
  }

  /** Ends what runs for the instance and takes it off its node. A repeated call changes nothing. @throws BaremetalError `Conflict` */
  async delete(instance: InstanceRecord): Promise<void> {
    const { instances, tasks } = this.#options;
    this.#checkHost(instance);
    if (tasks.isRunning(instance.uuid, "delete")) return;
    if (!(await instances.update(instance.uuid, { taskState: "deleting" }))) return;
    this.startDelete(instance.uuid);
  }

  /** The background half of `delete`, for a row in task state `deleting`. */
  startDelete(uuid: string): void {
    const { tasks } = this.#options;
    if (tasks.isRunning(uuid, "delete")) return;
    tasks.abort(uuid, "the instance is being deleted");
    tasks.start(uuid, "delete", (signal) => this.#destroy(uuid, signal));
  }

  stop(instance: InstanceRecord): Promise<void> {
    return this.#power(instance, STOP);
  }

  start(instance: InstanceRecord): Promise<void> {
    return this.#power(instance, START);
  }

  reboot(instance: InstanceRecord, type: "SOFT" | "HARD"): Promise<void> {
    return this.#power(instance, type === "SOFT" ? REBOOT_SOFT : REBOOT_HARD);
  }

  /** Does a power action again that a restart cut off; true if the instance's task state is one that its user asked for. */
  resumePower(instance: InstanceRecord): boolean {
    const action = POWER_ACTIONS.find((one) => one.taskState === instance.taskState);
    // Trap: a stop of what is stopped already is the power sync's. What it saw is old by now: it is to look twice again.
    if (action === undefined || !action.from.includes(instance.vmState)) return false;
    this.#startPower(instance.uuid, action);
    return true;
  }

  /**
   * What becomes of an instance whose machine was seen on or off, for good, since `sinceMs`: its row follows the machine, so
   * that a BMC that lied for a while has done nothing to it. Only a machine that is on although its user stopped it is powered
   * off. A row in any other state than active and stopped is only told the power. False: the row is in work, or was written
   * since then; nothing was done.
   */
  async syncPower(uuid: string, isOn: boolean, sinceMs: number): Promise<boolean> {
    const { instances, tasks, host, logger } = this.#options;
    const instance = await instances.get(uuid);
    if (instance === undefined || instance.host !== host || instance.updatedAt.getTime() >= sinceMs) return false;
    if (instance.taskState !== null || instance.vmState === "building" || tasks.isRunning(uuid)) return false;
    const { vmState, updatedAt } = instance;
    const answer = answerTo(instance, isOn);
    const patch = { powerState: isOn ? START.powerState : STOP.powerState, ...answer?.patch };
    const expected = { expectedVmState: vmState, expectedTaskState: null, expectedUpdatedAt: updatedAt };
    if (!(await instances.update(uuid, patch, expected))) return false;
    if (answer === undefined) return true;
    const text = `instance ${uuid} is ${vmState}, but its machine is ${isOn ? "on" : "off"}: ${answer.text}`;
    logger.warn(text, { instance: uuid });
    if (answer.isForced) this.#startPower(uuid, STOP);
    return true;
  }

  /** The end of what the instance wrote to its serial console. @throws BaremetalError `Conflict` on another host */
  consoleOutput(instance: InstanceRecord, lines: number | undefined): Promise<string> {
    this.#checkHost(instance);
    return this.#options.driver.getConsoleOutput(instance, lines);
  }

  /** os-resetState: an administrator's word against the row's. */
  async resetState(instance: InstanceRecord, vmState: "active" | "error"): Promise<void> {
    await this.#options.instances.update(instance.uuid, { vmState, taskState: null });
  }

  /** New values for some metadata keys; the whole metadata afterwards. */
  async setMetadata(instance: InstanceRecord, metadata: Readonly<Record<string, string>>): Promise<void> {
    await this.#options.instances.update(instance.uuid, { metadata });
  }

  async rename(instance: InstanceRecord, displayName: string): Promise<void> {
    await this.#options.instances.update(instance.uuid, { displayName });
  }

  #checkHost(instance: InstanceRecord): void {
    const { host } = this.#options;
    if (instance.host === null || instance.host === host) return;
    throw new BaremetalError(
      "Conflict",
      `instance ${instance.uuid} is on the compute host ${instance.host}; ask that host's API (this is ${host})`,
      { data: { host: instance.host } },
    );
  }

  async #power(instance: InstanceRecord, action: PowerAction): Promise<void> {
    this.#checkHost(instance);
    const expected = { expectedVmState: action.from, expectedTaskState: null };
    // Who stops it is written when it is stopped: after a start that failed late the machine may be on, and is to stay so.
    const patch = { taskState: action.taskState, stoppedByUser: false };
    if (!(await this.#options.instances.update(instance.uuid, patch, expected))) {
      throw await this.#wrongState(instance.uuid, action);
    }
    this.#startPower(instance.uuid, action);
  }

  async #wrongState(uuid: string, action: PowerAction): Promise<BaremetalError> {
    const now = await this.#options.instances.get(uuid);
    if (now === undefined) return new BaremetalError("NotFound", `Instance ${uuid} could not be found.`);
    const state = action.from.includes(now.vmState) ? `task_state ${now.taskState}` : `vm_state ${now.vmState}`;
    return new BaremetalError("Conflict", `Cannot '${action.name}' instance ${uuid} while it is in ${state}`, {
      data: { vmState: now.vmState, taskState: now.taskState },
    });
  }

  #startPower(uuid: string, action: PowerAction): void {
    const { instances, tasks, driver, clock, logger } = this.#options;
    tasks.start(uuid, action.name, async (signal) => {
      const expected = { expectedTaskState: action.taskState };
      const instance = await instances.get(uuid);
      if (signal.aborted || instance === undefined || instance.taskState !== action.taskState) return;
      try {
        await action.run(driver, instance);
      } catch (error) {
        logger.error(`${action.name} of instance ${uuid} failed: ${describeError(error)}`, { instance: uuid });
        const fault = faultOf(error, clock.now(), `${action.name} failed: `);
        await instances.update(uuid, { taskState: null, fault }, expected);
        return;
      }
      const { vmState, powerState } = action;
      const stoppedByUser = action === STOP;
      await instances.update(uuid, { vmState, powerState, stoppedByUser, taskState: null, fault: null }, expected);
    });
  }

  async #destroy(uuid: string, signal: AbortSignal): Promise<void> {
    const { instances, driver, reporter, clock, logger } = this.#options;
    const instance = await instances.get(uuid);
    if (instance === undefined || isShutdown(signal)) return;
    try {
      await driver.destroy(instance, { signal });
    } catch (error) {
      // The row stays `deleting` when the process ends: the next one resumes it. A node that is gone needs no more.
      if (isShutdown(signal)) return;
      if (!isBaremetalError(error, "NotFound")) {
        logger.error(`delete of instance ${uuid} failed: ${describeError(error)}`, { instance: uuid });
        const fault = faultOf(error, clock.now(), "Delete failed: ");
        await instances.update(uuid, { vmState: "error", taskState: null, fault });
        return;
      }
    }
    await reporter
      .refresh()
      .catch((error: unknown) => logger.error(`the resource report failed: ${describeError(error)}`));
    await instances.destroy(uuid);
  }
}
