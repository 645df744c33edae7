// What the driver's parts are made of: settings, repositories and providers, wired once in bin/.
import type { DeploymentRepository } from "../db/deployments.ts";
import type { EventRepository } from "../db/events.ts";
import type { InterfaceRepository } from "../db/interfaces.ts";
import type { NodeRepository } from "../db/nodes.ts";
import type { NodeRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Consoles } from "./console/console-recorder.ts";
import type { ImageCache } from "./images.ts";
import type { PowerControl, PowerControls } from "./power/power-control.ts";
import { Timeline } from "./timeline.ts";

/** The driver's part of nova.conf. Durations in milliseconds, paths absolute. */
export interface DriverSettings {
  readonly host: string;
  readonly tftpRoot: string;
  readonly instancesPath: string;
  /** The text of pxe_config_template. */
  readonly pxeConfigTemplate: string;
  readonly pxeAppendParams: string;
  readonly deployKernel: string | undefined;
  readonly deployRamdisk: string | undefined;
  /** pxe_deploy_timeout. */
  readonly deployDeadlineMs: number;
  /** Between two looks at a deployment that is waited for. */
  readonly waitIntervalMs: number;
  readonly ephemeralFormat: string;
  /** Every instance gets a config drive, asked for or not: there is no metadata service to ask. */
  readonly isConfigDriveForced: boolean;
  /** flavor_extra_specs, split. */
  readonly extraSpecs: Readonly<Record<string, string>>;
}

export interface DriverContext {
  readonly settings: DriverSettings;
  readonly nodes: NodeRepository;
  readonly interfaces: InterfaceRepository;
  readonly deployments: DeploymentRepository;
  readonly events: EventRepository;
  readonly power: PowerControls;
  readonly images: ImageCache;
  readonly consoles: Consoles;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** `fault` of a node whose BMC did not do what it was told; it takes no instance until the BMC answers again. */
export const POWER_FAULT = "power failure";

/** The timeline of the node's open deployment. */
export function timelineOf(context: DriverContext, node: NodeRecord, instanceUuid: string | null): Timeline {
  return new Timeline(context.events, context.clock, context.logger, {
    deploymentId: node.deploymentId,
    nodeId: node.id,
    instanceUuid,
  });
}

/** Runs a power action; what it learnt of the machine, or the fault it met, is written to the node. */
export async function withPower(
  context: DriverContext,
  node: NodeRecord,
  target: "power on" | "power off",
  action: (power: PowerControl) => Promise<void>,
): Promise<void> {
  await context.nodes.setPower(node.id, { targetPowerState: target });
  try {
    await action(context.power.for(node));
  } catch (error) {
    const isCancelled = error instanceof BaremetalError && error.code === "Cancelled";
    await context.nodes.setPower(node.id, {
      targetPowerState: null,
      ...(isCancelled ? {} : { fault: POWER_FAULT, lastError: describeError(error) }),
    });
    throw error;
  }
  await context.nodes.setPower(node.id, { powerState: target, targetPowerState: null, fault: null });
}
