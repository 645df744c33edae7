#!/usr/bin/env node
// baremetal-compute: the API, the scheduler, and the compute driver of this host.
import { join } from "node:path";
import { ApiServer, createApi, IdentityService } from "../api/index.ts";
import { ComputeServices } from "../compute/compute-services.ts";
import { ImageStore } from "../compute/image-store.ts";
import type { DriverContext } from "../driver/context.ts";
import { BareMetalDriver } from "../driver/driver.ts";
import { ImageCache } from "../driver/images.ts";
import { IpmiPower } from "../driver/power/ipmi.ts";
import { Reconciler } from "../driver/reconciler.ts";
import { systemClock } from "../lib/clock.ts";
import { driverSettings } from "./driver-settings.ts";
import { openRepositories } from "./open-repositories.ts";
import { runService } from "./run-service.ts";

const GIB = 1024 ** 3;
const RECONCILE = { intervalMs: 60_000, parallel: 8 };

await runService(async (config, logger) => {
  const { default: common, baremetal, api } = config;
  const repositories = await openRepositories(config, logger);
  const imageStore = new ImageStore(api.imageStorePath, repositories.images, { maxBytes: api.maxImageSizeGb * GIB });
  const powerDeadlineMs = Math.max(baremetal.powerDeadline, baremetal.ipmiPowerRetry) * 1000;
  const power = new IpmiPower({
    clock: systemClock,
    powerDeadlineMs,
    pollIntervalMs: baremetal.powerPollInterval * 1000,
    operationDeadlineMs: Math.min(30_000, powerDeadlineMs),
  });
  const context: DriverContext = {
    ...repositories,
    settings: await driverSettings(config),
    power,
    images: new ImageCache(baremetal.imageCachePath, imageStore),
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
  await services.start();
  const server = await ApiServer.listen({
    app: createApi({ config: settings, services, identity, logger }),
    host: api.host,
    port: api.port,
  });
  const reconciler = new Reconciler(context, driver, RECONCILE);
  return {
    address: `${server.host}:${server.port}`,
    close: async () => {
      await server.close();
      await services.close();
      await reconciler.close();
      await power.close();
      await repositories.close();
    },
  };
});
