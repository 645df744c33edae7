// Writes one row of the state table: the node's conditional UPDATE, then its deployment's, or neither.
import type { Knex } from "knex";
import {
  FINAL_DEPLOYMENT_STATES,
  NODE_TRANSITIONS,
  type NodeTransition,
  type NodeTransitionName,
} from "./node-states.ts";
import type { DeploymentRecord, NodeRecord } from "./records.ts";
import { dialectOf, type Row, timeToDb } from "./table-map.ts";
import { deploymentsTable, nodesTable } from "./tables.ts";
import { notAllowed } from "./transaction.ts";

type NodePatch = Pick<NodeRecord, "lastError" | "fault" | "powerState" | "targetPowerState">;
type DeploymentPatch = Pick<DeploymentRecord, "step" | "error" | "result" | "rootUuid" | "cancelRequested">;

/** What may be written along with a step. `error` also becomes the node's `lastError`, unless that is given. */
export type TransitionPatch = Partial<NodePatch & DeploymentPatch>;

export interface TransitionWrites {
  readonly patch?: TransitionPatch;
  /** More columns of the node. */
  readonly nodeRow?: Row;
  /** More columns of the deployment. */
  readonly deploymentRow?: Row;
  /** More conditions on the node. */
  readonly nodeWhere?: (query: Knex.QueryBuilder) => void;
  /** More conditions on the deployment. */
  readonly deploymentWhere?: (query: Knex.QueryBuilder) => void;
}

/**
 * Does the step `name` inside a transaction of `transactIf`; calls `notAllowed` when either row forbids it.
 * Trap: the order is always node, then deployment; two writers in two orders would be a deadlock.
 */
export async function applyTransition(
  trx: Knex.Transaction,
  now: Date,
  deploymentId: number,
  name: Exclude<NodeTransitionName, "associate">,
  writes: TransitionWrites = {},
): Promise<void> {
  const rule: NodeTransition = NODE_TRANSITIONS[name];
  const [nodePatch, deploymentPatch] = splitPatch(writes.patch ?? {});
  const dialect = dialectOf(trx);
  const updatedAt = timeToDb(dialect, now);

  const nodes = trx("bm_nodes")
    .where({ deployment_id: deploymentId, deleted: 0 })
    .whereIn(
      "task_state",
      rule.from.filter((state) => state !== null),
    )
    .whereIn("provision_state", [...rule.provisionFrom]);
  writes.nodeWhere?.(nodes);
  const taken = await nodes.update({
    ...nodesTable.toRow(dialect, nodePatch),
    ...writes.nodeRow,
    ...(rule.taskState === "unchanged" ? {} : { task_state: rule.taskState }),
    provision_state: rule.provisionState,
    target_provision_state: rule.targetProvisionState,
    updated_at: updatedAt,
  });
  if (taken !== 1) notAllowed();

  const deployments = trx("bm_deployments")
    .where({ id: deploymentId })
    .whereIn("state", [...rule.deploymentFrom]);
  writes.deploymentWhere?.(deployments);
  const written = await deployments.update({
    ...deploymentsTable.toRow(dialect, deploymentPatch),
    ...writes.deploymentRow,
    updated_at: updatedAt,
  });
  if (written !== 1) notAllowed();
  if (rule.deploymentState === "unchanged") return;

  const state = rule.deploymentState;
  const isEnd = (FINAL_DEPLOYMENT_STATES as readonly string[]).includes(state);
  // A deployment that has ended is history: only its columns above change, never its end.
  await trx("bm_deployments")
    .where({ id: deploymentId })
    .whereNotIn("state", [...FINAL_DEPLOYMENT_STATES])
    .update({ state, ...(isEnd ? { finished_at: updatedAt } : {}) });
}

function splitPatch(patch: TransitionPatch): [Partial<NodePatch>, Partial<DeploymentPatch>] {
  const { lastError, fault, powerState, targetPowerState, ...deployment } = patch;
  const reason = lastError === undefined ? deployment.error : lastError;
  const node = { lastError: reason, fault, powerState, targetPowerState };
  const given = Object.entries(node).filter(([, value]) => value !== undefined);
  return [Object.fromEntries(given) as Partial<NodePatch>, deployment];
}
