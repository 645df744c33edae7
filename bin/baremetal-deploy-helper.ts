#!/usr/bin/env node
// baremetal-deploy-helper: takes the deploy ramdisks' calls and writes their disks.
import { DeployHelper } from "../deploy-helper/index.ts";
import { systemClock } from "../lib/clock.ts";
import { openRepositories } from "./open-repositories.ts";
import { runService } from "./run-service.ts";

await runService(async (config, logger) => {
  const repositories = await openRepositories(config, logger);
  const defaultEphemeralFormat = config.default.defaultEphemeralFormat ?? undefined;
  const helper = await DeployHelper.start({
    config: { ...config, default: { defaultEphemeralFormat } },
    repositories,
    logger,
    clock: systemClock,
  });
  const { address, port } = helper.address;
  return {
    address: `${address}:${port}`,
    close: async () => {
      await helper.close();
      await repositories.close();
    },
  };
});
