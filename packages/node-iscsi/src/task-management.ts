// Task management by the initiator (RFC 7143 11.5, 11.6): ABORT TASK after a deadline or an abort, resets on request.
import { AbortedError, type ErrorContext, type IscsiError, ProtocolError, TransportError } from "./errors.ts";
import { RESERVED_TAG } from "./pdu/header.ts";
import {
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
  TaskManagementFunction,
} from "./pdu/task-management.ts";
import type { ScsiTask } from "./task.ts";

/** How long an ABORT TASK may take before the connection is given up. */
const ABORT_DEADLINE_MS = 2000;
/** Function complete, and task does not exist (RFC 7143 11.6.1): after any other answer the task may still run. */
const TASK_IS_GONE: readonly number[] = [0, 1];

/** RFC 7143 11.6.1. */
const RESPONSE_TEXTS: ReadonlyMap<number, string> = new Map([
  [0, "function complete"],
  [1, "task does not exist"],
  [2, "LUN does not exist"],
  [3, "task still allegiant"],
  [4, "task allegiance reassignment not supported"],
  [5, "function not supported"],
  [6, "function authorization failed"],
  [255, "function rejected"],
]);

/** Resets a caller may ask for. */
export type ResetFunction = "LUN RESET" | "TARGET WARM RESET";

/** What task management needs of its session. */
export interface TaskManagementPort {
  /** Sends an immediate request and waits for the PDU with the same tag. */
  request(
    operation: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    encode: (tag: number, cmdSn: number, expStatSn: number) => Buffer,
  ): Promise<{ header: Buffer; data: Buffer }>;
  contextOf(operation: string): ErrorContext;
  destroy(error: IscsiError): void;
}

const responseText = (response: number) => `"${RESPONSE_TEXTS.get(response) ?? "reserved"}" (response ${response})`;

/**
 * Aborts a task that was sent, so that a late write cannot land after its promise has settled; a target that refuses that, or does
 * not even answer, loses the connection. Resolves when the task has settled.
 */
export async function abortTask(port: TaskManagementPort, task: ScsiTask, reason: IscsiError): Promise<void> {
  task.abortReason = reason;
  const giveUp = (what: string, cause?: unknown) =>
    port.destroy(new TransportError(`the target ${what}; the connection was given up`, task.context, cause));
  try {
    const { header } = await port.request("ABORT TASK", ABORT_DEADLINE_MS, undefined, (tag, cmdSn, expStatSn) =>
      encodeTaskManagementRequest({
        function: TaskManagementFunction.AbortTask,
        lun: task.lun,
        initiatorTaskTag: tag,
        referencedTaskTag: task.initiatorTaskTag,
        cmdSn,
        expStatSn,
        refCmdSn: task.cmdSn,
      }),
    );
    const { response } = decodeTaskManagementResponse(header);
    if (!task.isSettled && !TASK_IS_GONE.includes(response)) giveUp(`refuses ABORT TASK: ${responseText(response)}`);
  } catch (cause) {
    giveUp("does not answer ABORT TASK", cause);
  }
  task.fail(reason);
}

/**
 * Resets the unit or the whole target. Tasks that were sent before and are covered by it are gone then, without an answer of their
 * own (SAM-5 7.3): they reject with AbortedError.
 * @throws ProtocolError when the target answers anything but "function complete"; TimeoutError, AbortedError, TransportError.
 */
export async function reset(
  port: TaskManagementPort,
  kind: ResetFunction,
  lun: number,
  covered: readonly ScsiTask[],
  options: { deadlineMs: number; signal: AbortSignal | undefined },
): Promise<void> {
  const { header } = await port.request(kind, options.deadlineMs, options.signal, (tag, cmdSn, expStatSn) =>
    encodeTaskManagementRequest({
      function: kind === "LUN RESET" ? TaskManagementFunction.LogicalUnitReset : TaskManagementFunction.TargetWarmReset,
      lun: kind === "LUN RESET" ? lun : 0,
      initiatorTaskTag: tag,
      referencedTaskTag: RESERVED_TAG,
      cmdSn,
      expStatSn,
      refCmdSn: 0,
    }),
  );
  const { response } = decodeTaskManagementResponse(header);
  if (response !== 0) throw new ProtocolError(`the target answered ${responseText(response)}`, port.contextOf(kind));
  for (const task of covered) task.fail(new AbortedError(task.context, `${kind} was requested`));
}
