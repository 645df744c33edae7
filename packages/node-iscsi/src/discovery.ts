// SendTargets discovery (RFC 7143 4.3, 11.10, 11.11, appendix C): a discovery session that asks for targets and logs out.
import type { ReceivedPdu } from "./connection.ts";
import { remainingMs } from "./deadline.ts";
import { type ErrorContext, IscsiError, ProtocolError, TransportError } from "./errors.ts";
import { checkIscsiName } from "./iscsi-name.ts";
import type { LoginResult } from "./login.ts";
import type { ParameterWishes } from "./negotiation.ts";
import { openAndLogin, type PortalOptions } from "./open-and-login.ts";
import { decodeReject, rejectReasonText } from "./pdu/async-message.ts";
import { Opcode, opcodeName, opcodeOf, RESERVED_TAG } from "./pdu/header.ts";
import { encodeLogoutRequest, LogoutReason } from "./pdu/logout.ts";
import { decodeNopIn, encodeNopOut } from "./pdu/nop.ts";
import { decodeTextResponse, encodeTextRequest } from "./pdu/text.ts";
import { decodeTextPairs, encodeTextPairs, type TextPairs } from "./pdu/text-keys.ts";
import { serialAdd } from "./serial.ts";
import type { SessionHooks } from "./session-options.ts";
import { type Portal, parseTargetAddress } from "./target-address.ts";

export { type Portal, parseTargetAddress };

/** Options of {@link discover}. */
export interface DiscoverOptions extends PortalOptions {
  /** Ask for this target only (RFC 7143 appendix C). Default: all that this initiator may see. */
  readonly targetName?: string | undefined;
  /** Changes to the offer of operational parameters, digests among them. */
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
}

export interface DiscoveredTarget {
  readonly targetName: string;
  /** Empty means: the portal that was asked (RFC 7143 appendix C). */
  readonly portals: Portal[];
}

/** All text of the answer; a real list of thousands of targets stays far below. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** PDUs of the answer: a target that sends empty ones for ever is not waited for until the deadline. */
const MAX_TEXT_PDUS = 8192;
const TEXT_TASK_TAG = 1;
const LOGOUT_TASK_TAG = 2;
/** The list is complete by then; a target that does not answer the logout is left. */
const LOGOUT_DEADLINE_MS = 1000;

/** The part of a connection the exchange needs. */
interface DiscoveryConnection {
  send(header: Buffer, data?: Buffer): void;
  receive(): Promise<ReceivedPdu>;
}

/**
 * Lists the targets behind a portal.
 * @throws InvalidArgumentError, TransportError, LoginError, TimeoutError, AbortedError, or ProtocolError for an answer that cannot be read
 * or has no end.
 */
export async function discover(options: DiscoverOptions): Promise<DiscoveredTarget[]> {
  const { targetName, deadlineMs = 15_000 } = options;
  if (targetName !== undefined) checkIscsiName(targetName, "targetName", { operation: "discovery" });
  const deadlineAt = performance.now() + deadlineMs;
  const { connection, login, portal } = await openAndLogin(options, undefined, deadlineMs);
  const context: ErrorContext = { portal, operation: "discovery" };
  let disarm = connection.guard(context, remainingMs(deadlineAt), options.signal);
  try {
    const exchange = new SendTargetsExchange(connection, login);
    const targets = parseSendTargets(decodeTextPairs(await exchange.ask(targetName ?? "All")));
    disarm();
    disarm = connection.guard(context, Math.min(LOGOUT_DEADLINE_MS, remainingMs(deadlineAt)), options.signal);
    await exchange.logOut();
    return targets;
  } catch (error) {
    if (error instanceof ProtocolError) throw new ProtocolError(error.reason, context, error);
    throw error instanceof IscsiError ? error : new TransportError("internal error", context, error);
  } finally {
    disarm();
    await connection.close();
  }
}

/** The Text exchange with its continuations, then a Logout. */
export class SendTargetsExchange {
  readonly #connection: DiscoveryConnection;
  #cmdSn: number;
  #expStatSn: number;

  constructor(connection: DiscoveryConnection, login: Pick<LoginResult, "cmdSn" | "expStatSn">) {
    this.#connection = connection;
    this.#cmdSn = login.cmdSn;
    this.#expStatSn = login.expStatSn;
  }

  /**
   * All text of the answer, continuations joined: a target asks for an empty request with its tag before each further part.
   * @param value `All` or a target's name
   */
  async ask(value: string): Promise<Buffer> {
    let question = encodeTextPairs([["SendTargets", value]]);
    let toGoOn: { targetTransferTag: number; lunField?: Buffer | undefined } = { targetTransferTag: RESERVED_TAG };
    const parts: Buffer[] = [];
    for (let total = 0; parts.length < MAX_TEXT_PDUS; ) {
      const sequence = { cmdSn: this.#cmdSn, expStatSn: this.#expStatSn };
      const request = { final: true, continues: false, initiatorTaskTag: TEXT_TASK_TAG, ...toGoOn, ...sequence };
      this.#connection.send(encodeTextRequest(request, question.length), question);
      this.#cmdSn = serialAdd(this.#cmdSn, 1);
      const { header, data } = await this.#receiveText();
      const response = decodeTextResponse(header);
      if (response.initiatorTaskTag !== TEXT_TASK_TAG) throw new ProtocolError("the answer has another task's tag");
      if (response.final && response.continues) throw new ProtocolError("a text response has both F and C set");
      parts.push(data);
      total += data.length;
      if (total > MAX_TEXT_BYTES) throw new ProtocolError(`the list of targets is longer than ${MAX_TEXT_BYTES} bytes`);
      if (response.final) return Buffer.concat(parts);
      if (response.targetTransferTag === RESERVED_TAG)
        throw new ProtocolError("unfinished answer without a tag to go on");
      toGoOn = { targetTransferTag: response.targetTransferTag, lunField: response.lunField };
      question = Buffer.alloc(0);
    }
    throw new ProtocolError(`the list of targets has no end after ${MAX_TEXT_PDUS} PDUs`);
  }

  /** Waits for the answer, so that a target sees an orderly end; what it says, and whether, does not matter any more. */
  async logOut(): Promise<void> {
    const sequence = { cmdSn: this.#cmdSn, expStatSn: this.#expStatSn };
    const request = { reason: LogoutReason.CloseSession, initiatorTaskTag: LOGOUT_TASK_TAG, connectionId: 0 };
    this.#connection.send(encodeLogoutRequest({ ...request, ...sequence }));
    await this.#connection.receive().catch(() => undefined);
  }

  /** The next Text Response; pings on the way are answered. */
  async #receiveText(): Promise<ReceivedPdu> {
    for (;;) {
      const pdu = await this.#connection.receive();
      const opcode = opcodeOf(pdu.header);
      if (opcode === Opcode.NopIn) {
        this.#answerPing(pdu.header);
        continue;
      }
      if (opcode !== Opcode.TextResponse && opcode !== Opcode.AsyncMessage) {
        const why = opcode === Opcode.Reject ? `: ${rejectReasonText(decodeReject(pdu.header).reason)}` : "";
        throw new ProtocolError(`the target answered with ${opcodeName(opcode)}${why}`);
      }
      // StatSN stands at the same place in both.
      const statSn = pdu.header.readUInt32BE(24);
      if (statSn !== this.#expStatSn) throw new ProtocolError(`StatSN ${statSn}, expected ${this.#expStatSn}`);
      this.#expStatSn = serialAdd(statSn, 1);
      if (opcode === Opcode.TextResponse) return pdu;
    }
  }

  #answerPing(header: Buffer): void {
    const { targetTransferTag, lunField } = decodeNopIn(header);
    if (targetTransferTag === RESERVED_TAG) return;
    const sequence = { cmdSn: this.#cmdSn, expStatSn: this.#expStatSn };
    this.#connection.send(encodeNopOut({ lunField, initiatorTaskTag: RESERVED_TAG, targetTransferTag, ...sequence }));
  }
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
