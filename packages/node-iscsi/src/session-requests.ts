// Requests about the session itself, answered by one PDU each: NOP-Out ping (RFC 7143 11.18) and Logout (11.14, 11.15).
import { RESERVED_TAG } from "./pdu/header.ts";
import { decodeLogoutResponse, encodeLogoutRequest, LogoutReason } from "./pdu/logout.ts";
import { encodeNopOut, type NopInPdu } from "./pdu/nop.ts";
import type { TaskManagementPort } from "./task-management.ts";

type RequestPort = Pick<TaskManagementPort, "request">;

/** Resolves with the NOP-In. */
export async function ping(port: RequestPort, deadlineMs: number, signal: AbortSignal | undefined): Promise<void> {
  await port.request("NOP-Out", deadlineMs, signal, (tag, cmdSn, expStatSn) =>
    encodeNopOut({
      lunField: undefined,
      initiatorTaskTag: tag,
      targetTransferTag: RESERVED_TAG,
      cmdSn,
      expStatSn,
    }),
  );
}

/** The NOP-Out that a target's ping asks for: its tag and its LUN, no tag of ours (RFC 7143 11.18). */
export function pingAnswer(ping: NopInPdu, cmdSn: number, expStatSn: number): Buffer {
  const { lunField, targetTransferTag } = ping;
  return encodeNopOut({ lunField, initiatorTaskTag: RESERVED_TAG, targetTransferTag, cmdSn, expStatSn });
}

/** Closes the session. Resolves with Time2Wait in seconds; undefined when the target closed first or does not answer. */
export async function closeSession(port: RequestPort, deadlineMs: number): Promise<number | undefined> {
  const answer = port.request("logout", deadlineMs, undefined, (tag, cmdSn, expStatSn) =>
    encodeLogoutRequest({
      reason: LogoutReason.CloseSession,
      initiatorTaskTag: tag,
      connectionId: 0,
      cmdSn,
      expStatSn,
    }),
  );
  return answer.then(
    ({ header }) => decodeLogoutResponse(header).time2Wait,
    () => undefined,
  );
}
