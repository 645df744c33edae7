// What a look at a machine's power means for its node and its instance, as nova-compute sees it (facts section 1.6). Pure.
import type { PowerReport } from "../../db/node-power.ts";
import type { InstancePowerState, NodePower, TaskState } from "../../db/records.ts";
import { describeError } from "../../lib/errors.ts";
import { POWER_FAULT } from "../context.ts";

/** Nova's numbers of `power_state`. */
const RUNNING = 1;
const SHUTDOWN = 4;

/** The states in which nothing is being done with a node; `error` waits for an undo, and its power is nobody's. */
const AT_REST: readonly (TaskState | null)[] = [null, "deleted", "active", "error"];

/** True if no deployment is under way on the node, so that what its BMC says is worth a write. */
export function isAtRest(node: NodePower): boolean {
  return AT_REST.includes(node.taskState);
}

/**
 * True if the instance's row and the machine disagree in a way that nova-compute puts right: the row's power_state, an
 * `active` one whose machine is off, a `stopped` one whose machine is on. An instance in work, and a node in maintenance,
 * are let be: what the operator does with a machine is no business of ours.
 */
export function isAmiss(node: NodePower, instance: InstancePowerState | undefined, isOn: boolean): boolean {
  if (node.maintenance || node.taskState !== "active") return false;
  if (instance === undefined || instance.taskState !== null || instance.vmState === "building") return false;
  return instance.powerState !== (isOn ? RUNNING : SHUTDOWN) || instance.vmState === (isOn ? "stopped" : "active");
}

/** What is to be written to a node whose BMC answered; undefined: the row says so already. */
export function reportOfAnswer(node: NodePower, isOn: boolean): PowerReport | undefined {
  const powerState = isOn ? "power on" : "power off";
  const isRecovered = node.fault === POWER_FAULT;
  // A target outlives its power action only if the process was killed in it.
  if (node.powerState === powerState && node.targetPowerState === null && !isRecovered) return undefined;
  return {
    powerState,
    targetPowerState: null,
    ...(isRecovered ? { fault: null } : {}),
    // The reason of an error stays until its undo is done.
    ...(isRecovered && node.taskState !== "error" ? { lastError: null } : {}),
  };
}

/** What is to be written to a node whose BMC has not answered for too long; undefined: it has a fault already. */
export function reportOfSilence(node: NodePower, error: unknown): PowerReport | undefined {
  if (node.fault !== null) return undefined;
  return { fault: POWER_FAULT, ...(node.taskState === "error" ? {} : { lastError: describeError(error) }) };
}
