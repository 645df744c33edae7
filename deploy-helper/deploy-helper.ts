// The deploy helper: the ramdisks' calls become rows, rows become deployments. Built and closed by bin/.
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type CallStore, receiveCall } from "./agent-call.ts";
import { type DeploymentSettings, runDeployment } from "./deployment.ts";
import { type OpenDisk, openIscsiDisk } from "./iscsi-disk.ts";
import { JobQueue, type JobStore } from "./jobs.ts";
import { RefusalLimit } from "./refusal-limit.ts";
import { CallServer } from "./server.ts";
import type { EventSink } from "./timeline.ts";

/** The options of nova.conf that matter here; times in seconds, as they are written there. */
export interface DeployHelperConfig {
  readonly default: { readonly defaultEphemeralFormat?: string | undefined };
  readonly baremetal: {
    readonly deployHelperHost: string;
    readonly deployHelperPort: number;
    readonly deployWorkers: number;
    readonly deployLease: number;
    readonly donePort: number;
    readonly iscsiVerify: boolean;
    /** Also the most that one job may take; 0: no limit. */
    readonly pxeDeployTimeout: number;
  };
}

export interface DeployHelperOptions {
  readonly config: DeployHelperConfig;
  readonly repositories: { readonly deployments: JobStore & CallStore; readonly events: EventSink };
  readonly logger: Logger;
  readonly clock: Clock;
  /** Default: node-iscsi. */
  readonly openDisk?: OpenDisk;
  /** How often the queue is looked at for other helpers' work; default 1000 ms. */
  readonly pollMs?: number;
  /** Default 30000 ms each. */
  readonly loginDeadlineMs?: number;
  readonly notifyDeadlineMs?: number;
}

export class DeployHelper {
  readonly #server: CallServer;
  readonly #jobs: JobQueue;

  private constructor(server: CallServer, jobs: JobQueue) {
    this.#server = server;
    this.#jobs = jobs;
  }

  /** Listens and starts to work; jobs that a dead helper left are taken up when their leases end. @throws BaremetalError `BadInput` */
  static async start(options: DeployHelperOptions): Promise<DeployHelper> {
    const { repositories, logger, clock, config } = options;
    const { deployments, events } = repositories;
    const settings: DeploymentSettings = {
      donePort: config.baremetal.donePort,
      verify: config.baremetal.iscsiVerify,
      defaultEphemeralFormat: config.default.defaultEphemeralFormat ?? null,
      loginDeadlineMs: options.loginDeadlineMs ?? 30_000,
      notifyDeadlineMs: options.notifyDeadlineMs ?? 30_000,
    };
    // A lost line of history must not turn an accepted call into an error.
    const log: EventSink = {
      append: (event) =>
        events
          .append(event)
          .catch((error: unknown) => logger.warn(`could not keep the event "${event.step}": ${describeError(error)}`)),
    };
    const openDisk = options.openDisk ?? openIscsiDisk;
    const limit = new RefusalLimit(clock);
    let jobs: JobQueue | undefined;
    const server = await CallServer.listen({
      host: config.baremetal.deployHelperHost,
      port: config.baremetal.deployHelperPort,
      logger,
      receive: async (body, peer) => {
        const answer = await receiveCall(body, peer, deployments, log, limit);
        if (answer.isQueued) jobs?.wake();
        logger.info(`call from ${peer}: ${answer.status} ${answer.text}`);
        return answer;
      },
    });
    jobs = new JobQueue({
      store: deployments,
      events,
      clock,
      logger,
      name: `${hostname()}:${process.pid}:${randomBytes(6).toString("hex")}`,
      workers: config.baremetal.deployWorkers,
      leaseMs: config.baremetal.deployLease * 1000,
      jobDeadlineMs: config.baremetal.pxeDeployTimeout * 1000,
      pollMs: options.pollMs ?? 1000,
      run: (row, timeline, signal, markWritten) =>
        runDeployment(row, { openDisk, timeline, clock, signal, settings, markWritten }),
    });
    const { address, port } = server.address;
    logger.info(`the deploy helper listens on ${address}:${port}`);
    return new DeployHelper(server, jobs);
  }

  /** Where it listens. */
  get address(): AddressInfo {
    return this.#server.address;
  }

  /**
   * Takes no more calls and no more work, lets running deployments finish for `drainMs` (default 10000), then stops the
   * rest and hands them to another helper, which begins them again.
   */
  async close(drainMs = 10_000): Promise<void> {
    await this.#server.close();
    await this.#jobs.close(drainMs);
  }
}
