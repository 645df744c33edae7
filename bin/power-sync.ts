// The power sync out of nova.conf: the driver looks at the machines, the compute side answers.
import type { ComputeServices } from "../compute/compute-services.ts";
import type { DriverContext } from "../driver/context.ts";
import type { BareMetalDriver } from "../driver/driver.ts";
import { PowerSync } from "../driver/power-sync/power-sync.ts";
import type { Config } from "../lib/config/index.ts";

const DEFAULT_INTERVAL_MS = 60_000;
/** A BMC that says nothing for so long does not answer. */
const LOOK_DEADLINE_MS = 10_000;

/** Makes it; it is not begun yet. */
export function openPowerSync(
  config: Config,
  context: DriverContext,
  driver: BareMetalDriver,
  services: ComputeServices,
): PowerSync {
  const { default: common, baremetal } = config;
  const { instances } = services.repositories;
  const isFaultsOnly = common.syncPowerStateInterval <= 0;
  if (isFaultsOnly) {
    const text = "instances whose machines are switched on or off by others will not be noticed";
    context.logger.warn(`sync_power_state_interval is ${common.syncPowerStateInterval}: ${text}`);
  }
  return new PowerSync(
    {
      ...context,
      host: common.host,
      instances: {
        list: (afterId, limit) => instances.listPowerStates(common.host, afterId, limit),
        sync: (uuid, isOn, sinceMs) => services.instances.syncPower(uuid, isOn, sinceMs),
      },
      isBusy: (nodeId) => driver.isBusy(nodeId),
    },
    {
      intervalMs: isFaultsOnly ? DEFAULT_INTERVAL_MS : common.syncPowerStateInterval * 1000,
      maxInFlight: common.syncPowerStatePoolSize,
      maxFailures: baremetal.powerStateSyncMaxRetries,
      lookDeadlineMs: LOOK_DEADLINE_MS,
      isFaultsOnly,
    },
  );
}
