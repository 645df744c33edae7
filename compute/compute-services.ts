// The compute side put together: reporter, scheduler, instances, key pairs; started and closed as one.
import type { ComputeNodeRepository } from "../db/compute-nodes.ts";
import type { DeploymentRepository } from "../db/deployments.ts";
import type { EventRepository } from "../db/events.ts";
import type { FlavorRepository } from "../db/flavors.ts";
import type { ImageRepository } from "../db/images.ts";
import type { InstanceRepository } from "../db/instances.ts";
import type { InterfaceRepository } from "../db/interfaces.ts";
import type { KeyPairRepository } from "../db/key-pairs.ts";
import type { NodeRepository } from "../db/nodes.ts";
import type { ServiceRepository } from "../db/services.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { ComputeDriver } from "./driver-interface.ts";
import type { ImageStore } from "./image-store.ts";
import { InstanceBuilder } from "./instance-build.ts";
import { InstanceTasks } from "./instance-tasks.ts";
import { InstanceService } from "./instances.ts";
import { KeyPairService } from "./key-pairs.ts";
import { recoverInstances } from "./recovery.ts";
import { ResourceReporter } from "./resource-reporter.ts";

/** The repositories of both schemas that the compute side and its API use. */
export interface ComputeRepositories {
  readonly instances: InstanceRepository;
  readonly flavors: FlavorRepository;
  readonly keyPairs: KeyPairRepository;
  readonly images: ImageRepository;
  readonly services: ServiceRepository;
  readonly computeNodes: ComputeNodeRepository;
  readonly nodes: NodeRepository;
  readonly interfaces: InterfaceRepository;
  readonly deployments: DeploymentRepository;
  readonly events: EventRepository;
}

export interface ComputeServicesOptions {
  readonly host: string;
  readonly repositories: ComputeRepositories;
  readonly imageStore: ImageStore;
  readonly driver: ComputeDriver;
  readonly clock: Clock;
  readonly logger: Logger;
  /** scheduler_max_attempts; default 3. */
  readonly schedulerMaxAttempts?: number;
  /** Default 10 s. */
  readonly reportIntervalMs?: number;
  /** Default 60 s. */
  readonly serviceDownMs?: number;
  /** A row in the middle of something, that nothing works on, is taken up after this time; default 60 s. */
  readonly orphanAgeMs?: number;
}

/** What stands in for nova-conductor, nova-scheduler and nova-compute's manager. */
export class ComputeServices {
  readonly host: string;
  readonly repositories: ComputeRepositories;
  readonly imageStore: ImageStore;
  readonly instances: InstanceService;
  readonly keyPairs: KeyPairService;
  readonly reporter: ResourceReporter;
  readonly tasks: InstanceTasks;
  readonly clock: Clock;
  readonly serviceDownMs: number;
  readonly #options: ComputeServicesOptions;
  readonly #builder: InstanceBuilder;

  constructor(options: ComputeServicesOptions) {
    const { host, repositories, imageStore, driver, clock, logger } = options;
    this.#options = options;
    this.host = host;
    this.repositories = repositories;
    this.imageStore = imageStore;
    this.clock = clock;
    this.serviceDownMs = options.serviceDownMs ?? 60_000;
    this.tasks = new InstanceTasks(logger);
    this.keyPairs = new KeyPairService(repositories.keyPairs);
    const { computeNodes, services, instances, nodes, flavors, images, keyPairs } = repositories;
    const { reportIntervalMs: intervalMs, schedulerMaxAttempts: maxAttempts } = options;
    const shared = { host, driver, clock, logger };
    this.reporter = new ResourceReporter({
      ...shared,
      computeNodes,
      services,
      onPass: () => this.#recover(options.orphanAgeMs ?? 60_000),
      ...(intervalMs === undefined ? {} : { intervalMs }),
    });
    this.#builder = new InstanceBuilder({
      ...shared,
      instances,
      computeNodes,
      services,
      nodes,
      reporter: this.reporter,
      serviceDownMs: this.serviceDownMs,
      ...(maxAttempts === undefined ? {} : { maxAttempts }),
    });
    this.instances = new InstanceService({
      ...shared,
      instances,
      builder: this.#builder,
      tasks: this.tasks,
      reporter: this.reporter,
      catalog: {
        flavor: (id) => flavors.get(id),
        image: (id) => images.get(id),
        keyPair: (userId, name) => keyPairs.get(userId, name),
      },
    });
  }

  /** Recovers what a restart cut off, reports the nodes, and goes on reporting. */
  async start(): Promise<void> {
    await this.imageStore.recover();
    await this.reporter.refresh();
    await this.#recover(0);
    await this.reporter.start();
  }

  /** Reports now what changed; a failure is logged, for the next pass reports it again. */
  async reportSoon(): Promise<void> {
    await this.reporter.refresh().catch((error: unknown) => {
      this.#options.logger.error(`the resource report failed: ${describeError(error)}`);
    });
  }

  #recover(minAgeMs: number): Promise<void> {
    const { host, driver, clock, logger, repositories } = this.#options;
    const { instances, deployments } = repositories;
    const parts = { service: this.instances, builder: this.#builder, tasks: this.tasks };
    return recoverInstances({ host, driver, clock, logger, instances, deployments, ...parts }, minAgeMs);
  }

  /** Aborts and drains the background work, then ends the reports. Requests must have ended before. */
  async close(): Promise<void> {
    await this.tasks.close();
    await this.reporter.close();
  }
}

/** The error of a thing that is not there, worded as Nova's clients show it. */
export function notFound(kind: string, id: string | number): BaremetalError {
  return new BaremetalError("NotFound", `${kind} ${id} could not be found.`, { data: { kind, id } });
}
