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
 * Starts the work that a restart cut off, for the instances of this host; to be called once, before new requests.
 * A build with a live deployment goes on waiting for it; another build is undone and becomes ERROR; `deleting` and power
 * actions are done again.
 */
export async function recoverInstances(options: RecoveryOptions): Promise<void> {
  const { instances, host, service, tasks, builder, logger } = options;
  const mine = (await instances.list()).filter(
    (one) => one.host === host || (one.host === null && one.launchedOn === host),
  );
  for (const instance of mine) {
    if (instance.taskState === "deleting") {
      logger.info(`deletion of instance ${instance.uuid} is resumed`, { instance: instance.uuid });
      service.startDelete(instance.uuid);
    } else if (instance.vmState === "building") {
      const live = await liveDeployment(options, instance);
      if (live === undefined) {
        tasks.start(instance.uuid, "undo", (signal) => undo(options, instance, signal));
      } else {
        logger.info(`deployment ${live.id} of instance ${instance.uuid} is picked up again: ${live.state}`, {
          instance: instance.uuid,
        });
        const current = { ...instance, node: live.nodeUuid };
        tasks.start(instance.uuid, "build", (signal) => builder.resume(current, signal));
      }
    } else if (instance.taskState !== null && !service.resumePower(instance)) {
      await instances.update(instance.uuid, { taskState: null }, { expectedTaskState: instance.taskState });
    }
  }
}

async function liveDeployment(
  options: RecoveryOptions,
  instance: InstanceRecord,
): Promise<DeploymentRecord | undefined> {
  const attempts = await options.deployments.listByInstance(instance.uuid);
  const latest = attempts.reduce<DeploymentRecord | undefined>(
    (best, one) => (best === undefined || one.id > best.id ? one : best),
    undefined,
  );
  return latest !== undefined && RESUMABLE.has(latest.state) ? latest : undefined;
}

async function undo(options: RecoveryOptions, instance: InstanceRecord, signal: AbortSignal): Promise<void> {
  const { instances, driver, clock } = options;
  const cause = new BaremetalError(
    "DeployFailed",
    "The compute service was restarted while it built the instance, before its node was powered on; boot it again.",
  );
  const details: string[] = [];
  try {
    await driver.destroy(instance, { signal });
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
