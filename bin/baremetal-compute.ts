#!/usr/bin/env node
// baremetal-compute: the API, the scheduler, and the compute driver of this host.
import { join } from "node:path";
import { ApiServer, createApi, IdentityService } from "../api/index.ts";
import { ComputeServices } from "../compute/compute-services.ts";
import { HostLease } from "../compute/host-lease.ts";
import { ImageStore } from "../compute/image-store.ts";
import { ConsoleRecorder } from "../driver/console/console-recorder.ts";
import { IpmiSerialLines } from "../driver/console/serial-lines.ts";
import type { DriverContext } from "../driver/context.ts";
import { BareMetalDriver } from "../driver/driver.ts";
import { ImageCache } from "../driver/images.ts";
import { IpmiPower } from "../driver/power/ipmi.ts";
import type { PowerSync } from "../driver/power-sync/power-sync.ts";
import { Reconciler } from "../driver/reconciler.ts";
import { systemClock } from "../lib/clock.ts";
import type { Config } from "../lib/config/index.ts";
import { describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { driverSettings } from "./driver-settings.ts";
import { openRepositories } from "./open-repositories.ts";
import { openPowerSync } from "./power-sync.ts";
import { runService } from "./run-service.ts";

const GIB = 1024 ** 3;
/** A host's lease lasts this many report intervals. */
const LEASE_REPORTS = 3;
const RECONCILE = { intervalMs: 60_000, parallel: 8, orphanMs: 10 * 60_000, imageUnusedMs: 24 * 3_600_000 };

await runService(async (config, logger, signal) => {
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let one = closers.pop(); one !== undefined; one = closers.pop()) await one();
  };
  try {
    return { address: await start(config, logger, closers, signal), close };
  } catch (error) {
    await close().catch((failure: unknown) => logger.error(`the end of a failed start: ${describeError(failure)}`));
    throw error;
  }
});

/** Starts the parts, and adds the end of each to `closers`, which are called from the last to the first. */
async function start(
  config: Config,
  logger: Logger,
  closers: (() => Promise<void>)[],
  signal: AbortSignal,
): Promise<string> {
  const { default: common, baremetal, api } = config;
  const repositories = await openRepositories(config, logger);
  closers.push(() => repositories.close());
  const imageStore = new ImageStore(api.imageStorePath, repositories.images, { maxBytes: api.maxImageSizeGb * GIB });
  const powerDeadlineMs = Math.max(baremetal.powerDeadline, baremetal.ipmiPowerRetry) * 1000;
  const power = new IpmiPower({
    clock: systemClock,
    powerDeadlineMs,
    pollIntervalMs: baremetal.powerPollInterval * 1000,
    operationDeadlineMs: Math.min(30_000, powerDeadlineMs),
  });
  closers.push(() => power.close());
  const consoles = new ConsoleRecorder({
    host: common.host,
    folder: baremetal.consoleLogDir,
    maxFileBytes: baremetal.consoleLogMaxKb * 1024,
    isRecording: baremetal.consoleLog,
    nodes: repositories.nodes,
    lines: new IpmiSerialLines(),
    clock: systemClock,
    logger,
  });
  closers.push(() => consoles.close());
  const context: DriverContext = {
    ...repositories,
    settings: await driverSettings(config, logger),
    power,
    images: new ImageCache(baremetal.imageCachePath, imageStore),
    consoles,
    clock: systemClock,
    logger,
  };
  const driver = new BareMetalDriver(context);
  const services = new ComputeServices({
    host: common.host,
    repositories,
    imageStore,
    driver,
    clock: systemClock,
    logger,
    schedulerMaxAttempts: common.schedulerMaxAttempts,
    reportIntervalMs: common.reportInterval * 1000,
    serviceDownMs: common.serviceDownTime * 1000,
  });
  const settings = { ...api, publicUrl: api.publicUrl ?? undefined, usersFile: api.usersFile ?? undefined };
  const identity = await IdentityService.open(settings, join(common.statePath, "token.key"), systemClock);
  let lease: HostLease | undefined;
  let reconciler: Reconciler | undefined;
  let powerSync: PowerSync | undefined;
  closers.push(async () => lease?.close());
  closers.push(async () => reconciler?.close());
  closers.push(() => services.close());
  closers.push(async () => powerSync?.close());
  let isReady = false;
  // Trap: the recovery undoes what nothing works on; only the process that has the port and the host may do it.
  const server = await ApiServer.listen({
    app: createApi({ config: settings, services, identity, logger, isReady: () => isReady }),
    host: api.host,
    port: api.port,
  });
  closers.push(() => server.close());
  lease = await HostLease.take(
    {
      host: common.host,
      services: repositories.services,
      clock: systemClock,
      logger,
      ttlMs: LEASE_REPORTS * common.reportInterval * 1000,
      // Nobody waits for it: it ends this process as an uncaught error, in order and with status 1.
      onLost: (error) => void Promise.reject(error),
    },
    signal,
  );
  consoles.follow();
  await services.start();
  isReady = true;
  const isInstanceAlive = async (uuid: string) => {
    const instance = await repositories.instances.get(uuid);
    return instance !== undefined && instance.vmState !== "error";
  };
  reconciler = new Reconciler(context, driver, isInstanceAlive, RECONCILE);
  powerSync = openPowerSync(config, context, driver, services);
  powerSync.start();
  return `${server.host}:${server.port}`;
}
