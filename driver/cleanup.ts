// Taking an instance off its node: the failure path of a spawn, a destroy, and what the reconciler retries are one procedure.
import type { DeploymentRecord, NodeRecord } from "../db/records.ts";
import { poll } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import { pxePaths } from "./boot/pxelinux.ts";
import type { DriverContext } from "./context.ts";
import { registerFileUndo, registerPowerUndo } from "./spawn.ts";
import type { Timeline } from "./timeline.ts";
import { UndoList } from "./undo.ts";

/** A helper lets go within its lease; this is the slack on top. */
const HELPER_SLACK_MS = 10_000;

/**
 * Waits until no deploy helper writes to the node: the image and the boot files must not vanish under a live write.
 * The deployment is in a final state already, so that the helper's next renewal tells it to stop.
 */
export async function waitForHelperToStop(context: DriverContext, deploymentId: number): Promise<void> {
  const { clock, deployments } = context;
  const held = async (): Promise<DeploymentRecord | undefined> => {
    const row = await deployments.get(deploymentId);
    const isLeased =
      row?.leaseHolder != null && row.leaseExpiresAt !== null && row.leaseExpiresAt.getTime() > clock.now();
    return isLeased ? row : undefined;
  };
  const row = await held();
  if (row === undefined) return;
  const leaseMs = (row.leaseExpiresAt?.getTime() ?? 0) - clock.now();
  await poll(async () => ((await held()) === undefined ? true : undefined), {
    clock,
    step: `the deploy helper ${row.leaseHolder} to stop writing`,
    deadlineMs: leaseMs + HELPER_SLACK_MS,
    intervalMs: 200,
  });
}

/**
 * Moves the node to `error`, still associated, runs `undo`, and gives the node back only if the undo was whole.
 * Returns undefined then; else the text of what is left, and the node keeps `error`, its instance and the reason.
 * A node that carries another deployment by now is not touched: what we would undo is somebody else's (R2).
 */
export async function rollBack(
  context: DriverContext,
  node: NodeRecord,
  deploymentId: number,
  undo: UndoList,
  timeline: Timeline,
  cause: unknown,
): Promise<string | undefined> {
  const { nodes } = context;
  const lastError = describeError(cause);
  try {
    if (!(await nodes.transition(deploymentId, "fail", { lastError, error: lastError }))) {
      await assertStillOurs(context, node, deploymentId);
      throw new BaremetalError("Internal", `node ${node.id} could not be moved to error`, { data: { deploymentId } });
    }
    await waitForHelperToStop(context, deploymentId);
    await undo.run((name, work) =>
      timeline.step(`undo: ${name}`, async () => {
        await assertStillOurs(context, node, deploymentId);
        await work();
      }),
    );
    if (!(await nodes.release(deploymentId))) {
      await assertStillOurs(context, node, deploymentId);
      throw new BaremetalError("Internal", `node ${node.id} is still ours, and could not be released`, {
        data: { deploymentId },
      });
    }
    await timeline.note("released", "the undo is complete; the node is free");
    return undefined;
  } catch (error) {
    if (isTakenAway(error)) {
      await timeline.note("undo", "nothing is undone: the node carries another deployment by now");
      return undefined;
    }
    const text = describeError(error);
    await timeline.fail("undo", error);
    // Keyed by the deployment, like every write of ours: a later tenant's node must not get our reason.
    await nodes.transition(deploymentId, "fail", { lastError: `${lastError}; ${text}` }).catch((failure: unknown) => {
      context.logger.error(`could not write last_error of node ${node.id}: ${describeError(failure)}`);
    });
    return text;
  }
}

/** @throws BaremetalError `Conflict` with `isTakenAway` if the node carries another deployment, or none */
async function assertStillOurs(context: DriverContext, node: NodeRecord, deploymentId: number): Promise<void> {
  const now = await context.nodes.get(node.id);
  if (now?.deploymentId === deploymentId) return;
  throw new BaremetalError("Conflict", `node ${node.id} does not carry deployment ${deploymentId} any more`, {
    data: { isTakenAway: true },
  });
}

/** The undo list wraps what its steps throw, so the causes are looked at too. */
function isTakenAway(error: unknown): boolean {
  if (!(error instanceof BaremetalError)) return false;
  return error.data.isTakenAway === true || isTakenAway(error.cause);
}

/** The whole undo of a node that carries, or carried, an instance: power off, boot configuration, files. */
export async function undoOfInstance(
  context: DriverContext,
  node: NodeRecord,
  instanceUuid: string,
): Promise<UndoList> {
  const undo = new UndoList();
  const paths = pxePaths(context.settings.tftpRoot, instanceUuid);
  const macs = (await context.interfaces.listByNode(node.id)).map(({ address }) => address);
  registerFileUndo({ context, instanceUuid, undo }, paths, macs);
  registerPowerUndo({ context, node, undo });
  return undo;
}

/** The original error, told with what could not be undone. */
export function withUndoFailure(error: unknown, node: NodeRecord, left: string | undefined): unknown {
  if (left === undefined) return error;
  const code = error instanceof BaremetalError ? error.code : "Internal";
  return new BaremetalError(
    code,
    `${describeError(error)} (node ${node.id} is kept in state error, and will be retried: ${left})`,
    { data: { ...(error instanceof BaremetalError ? error.data : {}), node: node.id }, cause: error },
  );
}
