// The driver's settings out of nova.conf.
import { readFile } from "node:fs/promises";
import type { DriverSettings } from "../driver/context.ts";
import { parseExtraSpecs } from "../driver/resources.ts";
import type { Config } from "../lib/config/index.ts";
import type { Logger } from "../lib/log.ts";
import { tftpRootOf } from "./tftp-root.ts";

/** A deployment without a limit would be watched by nobody; a month is longer than any. */
const UNLIMITED_MS = 30 * 86_400_000;

/** Reads the template, and makes the folders that the original wanted made by hand. */
export async function driverSettings(config: Config, logger: Logger): Promise<DriverSettings> {
  const { default: common, baremetal } = config;
  return {
    host: common.host,
    tftpRoot: await tftpRootOf(config, logger),
    instancesPath: common.instancesPath,
    pxeConfigTemplate: await readFile(baremetal.pxeConfigTemplate, "utf8"),
    pxeAppendParams: baremetal.pxeAppendParams,
    deployKernel: baremetal.deployKernel ?? undefined,
    deployRamdisk: baremetal.deployRamdisk ?? undefined,
    deployDeadlineMs: baremetal.pxeDeployTimeout === 0 ? UNLIMITED_MS : baremetal.pxeDeployTimeout * 1000,
    waitIntervalMs: 250,
    ephemeralFormat: common.defaultEphemeralFormat ?? "ext3",
    isConfigDriveForced: common.forceConfigDrive,
    extraSpecs: parseExtraSpecs(baremetal.flavorExtraSpecs),
  };
}
