// SendTargets discovery (RFC 7143 4.2.3, appendix C): a discovery session that asks for all targets and logs out.
import { openAndLogin, type PortalOptions } from "./connect.ts";
import type { Connection } from "./connection.ts";
import { type ErrorContext, IscsiError, ProtocolError, TransportError } from "./errors.ts";
import type { LoginResult } from "./login.ts";
import { Opcode, opcodeName, opcodeOf, RESERVED_TAG } from "./pdu/header.ts";
import { encodeLogoutRequest, LogoutReason } from "./pdu/logout.ts";
import { decodeTextResponse, encodeTextRequest } from "./pdu/text.ts";
import { decodeTextPairs, encodeTextPairs, type TextPairs } from "./pdu/text-keys.ts";
import { serialAdd } from "./serial.ts";

/** Where a target can be reached. */
export interface Portal {
  readonly address: string;
  readonly port: number;
  /** Target portal group tag; undefined when the target did not say. */
  readonly tpgt: number | undefined;
}

export interface DiscoveredTarget {
  readonly targetName: string;
  /** Empty means: the portal that was asked (RFC 7143 appendix C). */
  readonly portals: Portal[];
}

/** All text of the answer; a real list of thousands of targets stays far below. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/** Lists the targets behind a portal. @throws as `connect` does. */
export async function discover(options: PortalOptions): Promise<DiscoveredTarget[]> {
  const deadlineMs = options.deadlineMs ?? 15_000;
  const startedAt = performance.now();
  const { connection, login, portal } = await openAndLogin(options, undefined, deadlineMs);
  const context: ErrorContext = { portal, operation: "discovery" };
  const remainingMs = Math.max(1, Math.ceil(deadlineMs - (performance.now() - startedAt)));
  const disarm = connection.guard(context, remainingMs, options.signal);
  try {
    return parseSendTargets(decodeTextPairs(await sendTargets(connection, login, context)));
  } catch (error) {
    if (error instanceof ProtocolError) throw new ProtocolError(error.reason, context, error);
    throw error instanceof IscsiError ? error : new TransportError("internal error", context, error);
  } finally {
    disarm();
    await connection.close();
  }
}

/** The Text exchange with its continuations, then a Logout (whose answer nobody needs). */
async function sendTargets(connection: Connection, login: LoginResult, context: ErrorContext): Promise<Buffer> {
  let { expStatSn, cmdSn } = login;
  let question = encodeTextPairs([["SendTargets", "All"]]);
  let targetTransferTag = RESERVED_TAG;
  const parts: Buffer[] = [];
  for (let total = 0; ; ) {
    const request = {
      final: true,
      continues: false,
      initiatorTaskTag: 1,
      targetTransferTag,
      cmdSn,
      expStatSn,
    };
    connection.send(encodeTextRequest(request, question.length), question);
    cmdSn = serialAdd(cmdSn, 1);
    const { header, data } = await receiveText(connection, context);
    const response = decodeTextResponse(header);
    if (response.initiatorTaskTag !== 1) throw new ProtocolError("the answer has another task's tag");
    expStatSn = serialAdd(response.statSn, 1);
    parts.push(data);
    total += data.length;
    if (total > MAX_TEXT_BYTES) throw new ProtocolError("the list of targets has no end");
    if (response.final && !response.continues) break;
    if (response.targetTransferTag === RESERVED_TAG)
      throw new ProtocolError("unfinished answer without a tag to go on");
    targetTransferTag = response.targetTransferTag;
    question = Buffer.alloc(0);
  }
  const logout = { reason: LogoutReason.CloseSession, initiatorTaskTag: 2, connectionId: 0, cmdSn, expStatSn };
  connection.send(encodeLogoutRequest(logout));
  await connection.receive().catch(() => undefined);
  return Buffer.concat(parts);
}

/** The next Text Response; unasked NOP-Ins and async messages are not our business in this short session. */
async function receiveText(connection: Connection, context: ErrorContext): Promise<{ header: Buffer; data: Buffer }> {
  for (;;) {
    const pdu = await connection.receive();
    const opcode = opcodeOf(pdu.header);
    if (opcode === Opcode.TextResponse) return pdu;
    if (opcode !== Opcode.NopIn && opcode !== Opcode.AsyncMessage)
      throw new ProtocolError(`the target answered with ${opcodeName(opcode)}`, context);
  }
}

/** `address[:port][,tag]`, with IPv6 addresses in brackets (RFC 7143 13.8). */
export function parseTargetAddress(text: string): Portal {
  const match = /^(\[[^\]]+\]|[^:,]+)(?::(\d{1,5}))?(?:,(\d{1,5}))?$/.exec(text);
  const address = match?.[1];
  if (match === null || address === undefined) throw new ProtocolError(`TargetAddress=${text} cannot be read`);
  return {
    address: address.startsWith("[") ? address.slice(1, -1) : address,
    port: match[2] === undefined ? 3260 : Number(match[2]),
    tpgt: match[3] === undefined ? undefined : Number(match[3]),
  };
}

/** TargetName begins a record; the TargetAddress keys that follow belong to it. Unknown keys are skipped. */
export function parseSendTargets(pairs: TextPairs): DiscoveredTarget[] {
  const targets: DiscoveredTarget[] = [];
  for (const [key, value] of pairs) {
    if (key === "TargetName") targets.push({ targetName: value, portals: [] });
    else if (key === "TargetAddress") {
      const target = targets.at(-1);
      if (target === undefined) throw new ProtocolError("TargetAddress before any TargetName");
      target.portals.push(parseTargetAddress(value));
    }
  }
  return targets;
}
