// What a restart does with the instances it finds half way (facts section 1.6, and better: deployments are picked up).
import type { InstanceRepository } from "../db/instances.ts";
import type { DeploymentRecord, InstanceRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { ComputeDriver } from "./driver-interface.ts";
import type { InstanceBuilder } from "./instance-build.ts";
import { faultOf } from "./instance-fault.ts";
import type { InstanceTasks } from "./instance-tasks.ts";
import type { InstanceService } from "./instances.ts";

export interface RecoveryOptions {
  readonly host: string;
  readonly instances: InstanceRepository;
  /** Attempts of an instance, in any order. */
  readonly deployments: { listByInstance(instanceUuid: string): Promise<DeploymentRecord[]> };
  readonly service: InstanceService;
  readonly builder: InstanceBuilder;
  readonly tasks: InstanceTasks;
  readonly driver: Pick<ComputeDriver, "destroy">;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RESUMABLE = new Set(["prepared", "queued", "deploying", "deploy complete", "active"]);

/**
 * Starts the work that was cut off, for the instances of this host: by a restart (`minAgeMs` 0, before new requests), or by
 * a database that was away for a while (rows that nothing works on and nobody has written for `minAgeMs`).
 * A build with a live deployment goes on waiting for it; another build is undone and becomes ERROR; `deleting` and power
 * actions are done again.
 */
export async function recoverInstances(options: RecoveryOptions, minAgeMs = 0): Promise<void> {
  const { instances, host, tasks, clock } = options;
  for (const instance of await instances.list()) {
    const isMine = instance.host === host || (instance.host === null && instance.launchedOn === host);
    const isOldEnough = clock.now() - instance.updatedAt.getTime() >= minAgeMs;
    if (isMine && isOldEnough && !tasks.isRunning(instance.uuid)) await recoverInstance(options, instance);
  }
}

async function recoverInstance(options: RecoveryOptions, instance: InstanceRecord): Promise<void> {
  const { instances, service, tasks, builder, logger } = options;
  if (instance.taskState === "deleting") {
    logger.info(`deletion of instance ${instance.uuid} is resumed`, { instance: instance.uuid });
    service.startDelete(instance.uuid);
  } else if (instance.vmState === "building") {
    const latest = await latestDeployment(options, instance);
    if (latest === undefined || !RESUMABLE.has(latest.state)) {
      tasks.start(instance.uuid, "undo", (signal) => undo(options, instance, latest, signal));
      return;
    }
    logger.info(`deployment ${latest.id} of instance ${instance.uuid} is picked up again: ${latest.state}`, {
      instance: instance.uuid,
    });
    const current = { ...instance, node: latest.nodeUuid };
    tasks.start(instance.uuid, "build", (signal) => builder.resume(current, signal));
  } else if (instance.taskState !== null && !service.resumePower(instance)) {
    await instances.update(instance.uuid, { taskState: null }, { expectedTaskState: instance.taskState });
  }
}

async function latestDeployment(
  options: RecoveryOptions,
  instance: InstanceRecord,
): Promise<DeploymentRecord | undefined> {
  const attempts = await options.deployments.listByInstance(instance.uuid);
  return attempts.reduce<DeploymentRecord | undefined>(
    (best, one) => (best === undefined || one.id > best.id ? one : best),
    undefined,
  );
}

/** The cause of an instance's failure: what its deployment says of itself, if it had failed by then. */
function causeOf(latest: DeploymentRecord | undefined): BaremetalError {
  const error = latest?.error;
  const text =
    error === null || error === undefined
      ? "The compute service was restarted while it built the instance, before its node was powered on; boot it again."
      : `Build on node ${latest?.nodeUuid} failed: ${error}`;
  return new BaremetalError("DeployFailed", text);
}

async function undo(
  options: RecoveryOptions,
  instance: InstanceRecord,
  latest: DeploymentRecord | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { instances, driver, clock } = options;
  const cause = causeOf(latest);
  const details: string[] = [];
  try {
    // The instance stays, as an ERROR that its user may look into.
    await driver.destroy(instance, { signal, keepConsoleLog: true });
  } catch (error) {
    if (signal.aborted) return;
    details.push(`undo: ${describeError(error)}`);
  }
  const place = details.length === 0 ? { host: null, node: null } : {};
  await instances.update(
    instance.uuid,
    { ...place, vmState: "error", taskState: null, fault: faultOf(cause, clock.now(), "", details) },
    { expectedVmState: "building", expectedTaskState: instance.taskState },
  );
}
