// The one table of a node's life (nova-baremetal 1.2): which write may follow which, in both vocabularies, and its deployment's.
import type { DeploymentState, ProvisionState, TaskState } from "./records.ts";

/** One allowed write. task_state, provision_state and target_provision_state go in one statement. */
export interface NodeTransition {
  /** task_state must be one of these; null is a node never used. */
  readonly from: readonly (TaskState | null)[];
  /** provision_state must be one of these. */
  readonly provisionFrom: readonly ProvisionState[];
  /** `unchanged`: the column keeps its value. */
  readonly taskState: TaskState | "unchanged";
  readonly provisionState: ProvisionState;
  readonly targetProvisionState: ProvisionState | null;
  /** The deployment must be in one of these; empty: the transition opens the deployment. */
  readonly deploymentFrom: readonly DeploymentState[];
  /** Where it goes from a state that is not final; `unchanged` keeps it. */
  readonly deploymentState: DeploymentState | "unchanged";
}

/** States of a deployment that still has work to do; after a restart they are picked up again. */
export const UNFINISHED_DEPLOYMENT_STATES = [
  "building",
  "prepared",
  "queued",
  "deploying",
  "deploy complete",
] as const satisfies readonly DeploymentState[];

/** States of a deployment that are its end; finished_at is set on the way in. */
export const FINAL_DEPLOYMENT_STATES = ["active", "failed", "cancelled"] as const satisfies readonly DeploymentState[];

const ANY_DEPLOYMENT = [...UNFINISHED_DEPLOYMENT_STATES, ...FINAL_DEPLOYMENT_STATES] as const;
const ASSOCIATED = [
  "building",
  "prepared",
  "deploying",
  "deploy complete",
  "deploy failed",
  "active",
  "error",
] as const satisfies readonly TaskState[];
const IN_USE = [
  "deploying",
  "wait call-back",
  "deploy failed",
  "active",
  "deleting",
  "error",
] as const satisfies readonly ProvisionState[];

/**
 * Every write of a node's state, by name:
 * `associate` takes a free node; `prepare` has all files in place, before power; `queue` is the ramdisk's call;
 * `startDeploy` a helper's claim (again after a lost lease); `completeDeploy`, `failDeploy` the helper's end;
 * `activate` the driver's end; `startDelete` begins the undo of a destroy; `fail` keeps the node, with its instance, out of
 * use; `release` gives it back after a whole undo; `restore` takes back a `fail` when the machine proves well.
 */
export const NODE_TRANSITIONS = {
  associate: {
    from: [null, "deleted"],
    provisionFrom: ["available"],
    taskState: "building",
    provisionState: "deploying",
    targetProvisionState: "active",
    deploymentFrom: [],
    deploymentState: "building",
  },
  prepare: {
    from: ["building"],
    provisionFrom: ["deploying"],
    taskState: "prepared",
    provisionState: "wait call-back",
    targetProvisionState: "active",
    deploymentFrom: ["building"],
    deploymentState: "prepared",
  },
  queue: {
    from: ["prepared"],
    provisionFrom: ["wait call-back"],
    taskState: "prepared",
    provisionState: "deploying",
    targetProvisionState: "active",
    deploymentFrom: ["prepared"],
    deploymentState: "queued",
  },
  startDeploy: {
    from: ["prepared", "deploying"],
    provisionFrom: ["deploying"],
    taskState: "deploying",
    provisionState: "deploying",
    targetProvisionState: "active",
    deploymentFrom: ["queued", "deploying"],
    deploymentState: "deploying",
  },
  completeDeploy: {
    from: ["deploying"],
    provisionFrom: ["deploying"],
    taskState: "deploy complete",
    provisionState: "deploying",
    targetProvisionState: "active",
    deploymentFrom: ["deploying"],
    deploymentState: "deploy complete",
  },
  failDeploy: {
    from: ["building", "prepared", "deploying"],
    provisionFrom: ["deploying", "wait call-back"],
    taskState: "deploy failed",
    provisionState: "deploy failed",
    targetProvisionState: "active",
    deploymentFrom: ["building", "prepared", "queued", "deploying"],
    deploymentState: "failed",
  },
  activate: {
    from: ["deploy complete"],
    provisionFrom: ["deploying"],
    taskState: "active",
    provisionState: "active",
    targetProvisionState: null,
    deploymentFrom: ["deploy complete"],
    deploymentState: "active",
  },
  startDelete: {
    from: ASSOCIATED,
    provisionFrom: IN_USE,
    taskState: "unchanged",
    provisionState: "deleting",
    targetProvisionState: "available",
    deploymentFrom: ANY_DEPLOYMENT,
    deploymentState: "unchanged",
  },
  fail: {
    from: ASSOCIATED,
    provisionFrom: IN_USE,
    taskState: "error",
    provisionState: "error",
    targetProvisionState: "available",
    deploymentFrom: ANY_DEPLOYMENT,
    deploymentState: "failed",
  },
  release: {
    from: ASSOCIATED,
    provisionFrom: IN_USE,
    taskState: "deleted",
    provisionState: "available",
    targetProvisionState: null,
    deploymentFrom: ANY_DEPLOYMENT,
    deploymentState: "cancelled",
  },
  restore: {
    from: ["error"],
    provisionFrom: ["error"],
    taskState: "active",
    provisionState: "active",
    targetProvisionState: null,
    deploymentFrom: ["active"],
    deploymentState: "active",
  },
} as const satisfies Record<string, NodeTransition>;

/** The name of a write of a node's state. */
export type NodeTransitionName = keyof typeof NODE_TRANSITIONS;

/** What a deployment in `state` becomes by `name`. A final state is history: it stays. Undefined: not allowed. */
export function nextDeploymentState(name: NodeTransitionName, state: DeploymentState): DeploymentState | undefined {
  const transition: NodeTransition = NODE_TRANSITIONS[name];
  if (!transition.deploymentFrom.includes(state)) return undefined;
  if (transition.deploymentState === "unchanged" || isFinal(state)) return state;
  return transition.deploymentState;
}

/** True if a deployment in `state` has ended. */
export function isFinal(state: DeploymentState): boolean {
  return (FINAL_DEPLOYMENT_STATES as readonly DeploymentState[]).includes(state);
}
