// Task management functions of the test target (RFC 7143 11.5, 11.6): answered when the tasks they end can do no more harm.
import type { decodeTaskManagementRequest } from "../pdu/task-management.ts";
import { TaskManagementFunction } from "../pdu/task-management.ts";
import type { TargetTask } from "./target-session-task.ts";
import type { UnitAttention } from "./target-session-tasks.ts";

/** Responses (RFC 7143 11.6.1). */
const COMPLETE = 0;
const NO_SUCH_TASK = 1;
const NO_SUCH_LUN = 2;
const REASSIGNMENT_NOT_SUPPORTED = 4;
const NOT_SUPPORTED = 5;
const TASK_REASSIGN = 8;

/** What a function acts on. */
export interface AbortableTasks {
  readonly unitAttentions: UnitAttention[];
  /** Resolves with the number of tasks ended once they are over. */
  abort(isVictim: (task: TargetTask) => boolean): Promise<number>;
}

/** The tasks that a session's functions reach. */
export interface TaskManagementDomain {
  /** The one unit there is. */
  readonly lun: number;
  readonly own: AbortableTasks;
  /** Of all sessions, this one included. */
  readonly all: readonly AbortableTasks[];
}

/** Carries a function out. Returns the response code. */
export async function manageTasks(
  pdu: ReturnType<typeof decodeTaskManagementRequest>,
  { lun, own, all }: TaskManagementDomain,
): Promise<number> {
  const isOnUnit = (task: TargetTask) => task.lun === lun;
  if (pdu.function === TaskManagementFunction.TargetWarmReset) {
    await endEverywhere(all, own, () => true, { asc: 0x29, ascq: 0x00 });
    return COMPLETE;
  }
  if (pdu.function === TaskManagementFunction.AbortTask) {
    const ended = await own.abort((task) => task.tag === pdu.referencedTaskTag);
    return ended > 0 ? COMPLETE : NO_SUCH_TASK;
  }
  if (pdu.function === TASK_REASSIGN) return REASSIGNMENT_NOT_SUPPORTED;
  switch (pdu.function) {
    case TaskManagementFunction.AbortTaskSet:
      if (pdu.lun !== lun) return NO_SUCH_LUN;
      await own.abort(isOnUnit);
      return COMPLETE;
    case TaskManagementFunction.ClearTaskSet:
      if (pdu.lun !== lun) return NO_SUCH_LUN;
      // Commands cleared by another initiator.
      await endEverywhere(all, own, isOnUnit, { asc: 0x2f, ascq: 0x00 });
      return COMPLETE;
    case TaskManagementFunction.LogicalUnitReset:
      if (pdu.lun !== lun) return NO_SUCH_LUN;
      // Bus device reset function occurred.
      await endEverywhere(all, own, isOnUnit, { asc: 0x29, ascq: 0x03 });
      return COMPLETE;
    default:
      return NOT_SUPPORTED;
  }
}

/** The others learn of it by a unit attention; whoever asked for it knows. */
async function endEverywhere(
  all: readonly AbortableTasks[],
  own: AbortableTasks,
  isVictim: (task: TargetTask) => boolean,
  attention: UnitAttention,
): Promise<void> {
  await Promise.all(all.map((tasks) => tasks.abort(isVictim)));
  for (const tasks of all) if (tasks !== own) tasks.unitAttentions.push(attention);
}
