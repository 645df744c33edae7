// One session of the test target in full feature phase: dispatch, task management, pings, text, logout (RFC 7143 4.2, 11.5, 11.18).
import { setTimeout as delay } from "node:timers/promises";
import { ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import { encodeAsyncMessage, encodeReject } from "../pdu/async-message.ts";
import { HEADER_BYTES, isImmediate, Opcode, opcodeOf, RESERVED_TAG } from "../pdu/header.ts";
import { decodeLogoutRequest, encodeLogoutResponse } from "../pdu/logout.ts";
import { decodeNopOut, encodeNopIn } from "../pdu/nop.ts";
import { decodeTaskManagementRequest, encodeTaskManagementResponse } from "../pdu/task-management.ts";
import { decodeTextRequest, encodeTextResponse } from "../pdu/text.ts";
import { decodeTextPairs, encodeTextPairs } from "../pdu/text-keys.ts";
import type { TargetAsyncMessage } from "./faults.ts";
import type { TargetWire } from "./target-connection-wire.ts";
import { manageTasks, type TaskManagementDomain } from "./target-session-management.ts";
import { nexusOf, type RegisteredSession, type SessionIdentity } from "./target-session-registry.ts";
import type { TargetSequenceNumbers } from "./target-session-sequence.ts";
import { TargetTaskSet, type TaskSetContext } from "./target-session-tasks.ts";

/** What a session needs of its target. */
export interface TargetSessionContext extends TaskSetContext {
  /** All sessions with tasks: a reset ends those of the others too. */
  sessions(): readonly TargetSession[];
  /** Text of the SendTargets answer; `portal` is the address the initiator came to. */
  sendTargets(portal: string): [key: string, value: string][];
}

/** Reject reasons and logout answers (RFC 7143 11.17.1, 11.15.1). */
const DATA_DIGEST_ERROR = 0x02;
const COMMAND_NOT_SUPPORTED = 0x05;
const CLOSED = 0;
const RECOVERY_NOT_SUPPORTED = 2;
const LONGEST_PING_WAIT = 64;

export class TargetSession implements RegisteredSession {
  readonly identity: SessionIdentity;
  readonly tsih: number;
  readonly tasks: TargetTaskSet;
  readonly #context: TargetSessionContext;
  readonly #wire: TargetWire;
  readonly #numbers: TargetSequenceNumbers;
  readonly #parameters: SessionParameters;
  /** Transfer tags of NOP-Ins that wait for their answer. */
  readonly #openPings = new Set<number>();
  #nextPingTag = 0x40000000;
  #isStalled = false;
  /** Set once the session is over: waits of its own end then. */
  readonly #ended = new AbortController();

  constructor(
    context: TargetSessionContext,
    wire: TargetWire,
    numbers: TargetSequenceNumbers,
    options: { identity: SessionIdentity; tsih: number; parameters: SessionParameters },
  ) {
    this.#context = context;
    this.#wire = wire;
    this.#numbers = numbers;
    this.#parameters = options.parameters;
    this.identity = options.identity;
    this.tsih = options.tsih;
    this.tasks = new TargetTaskSet(context, wire, numbers, options.parameters, nexusOf(options.identity));
    for (let left = context.faults.unitAttentionCount ?? 0; left > 0; left -= 1)
      this.tasks.unitAttentions.push({ asc: 0x29, ascq: 0 });
  }

  get socket() {
    return this.#wire.socket;
  }

  /** Cuts the connection; resolves when nothing of the session can touch the medium any more. */
  async end(): Promise<void> {
    this.#ended.abort();
    this.#wire.socket.destroy();
    await this.tasks.end();
  }

  placeData(header: Buffer, bytes: number): Buffer | undefined {
    return opcodeOf(header) === Opcode.DataOut ? this.tasks.placeData(header, bytes) : undefined;
  }

  /** @throws ProtocolError, which ends the connection. */
  onPdu(header: Buffer, data: Buffer): void {
    const { faults, triggers } = this.#context;
    if (this.#isStalled || faults.neverAnswers === true) return;
    const opcode = opcodeOf(header);
    const isClaimed = data.length > 0 && triggers.strikesOn(faults.claimsDataDigestError, opcode, this.socket);
    if (isClaimed) this.#onClaimedDigestError(opcode, header);
    else if (opcode === Opcode.DataOut) this.tasks.onDataOut(header);
    else if (opcode === Opcode.LoginRequest) throw new ProtocolError("a login request after the login");
    else if (this.#numbers.accept(header.readUInt32BE(24), isImmediate(header))) this.#onRequest(opcode, header, data);
  }

  onDamagedPdu(header: Buffer): void {
    this.#reject(DATA_DIGEST_ERROR, header);
  }

  /** Sends an Asynchronous Message (RFC 7143 11.9). */
  sendAsyncMessage(message: TargetAsyncMessage): void {
    const { event, vendorCode = 0, parameter1 = 0, parameter2 = 0, parameter3 = 0, sense, dropsAfterMs } = message;
    const data = Buffer.alloc(sense === undefined ? 0 : 2 + sense.length);
    if (sense !== undefined) {
      data.writeUInt16BE(sense.length, 0);
      sense.copy(data, 2);
    }
    const pdu = { event, vendorCode, parameter1, parameter2, parameter3, ...this.#numbers.next(true) };
    this.#wire.send(encodeAsyncMessage(pdu, data.length), data);
    if (dropsAfterMs !== undefined) void this.#after(dropsAfterMs, () => this.#wire.end());
  }

  /** Sends a NOP-In that wants an answer. */
  ping(): void {
    if (this.#openPings.size >= LONGEST_PING_WAIT) return;
    const targetTransferTag = this.#nextPingTag;
    this.#nextPingTag += 1;
    this.#openPings.add(targetTransferTag);
    this.#sendNopIn(RESERVED_TAG, targetTransferTag, Buffer.alloc(0));
  }

  #onRequest(opcode: number, header: Buffer, data: Buffer): void {
    if (opcode === Opcode.ScsiCommand) this.#onScsiCommand(header, data);
    else if (opcode === Opcode.NopOut) this.#onNopOut(header, data);
    else if (opcode === Opcode.TextRequest) this.#onText(header, data);
    else if (opcode === Opcode.TaskManagementRequest) void this.#guarded(this.#onTaskManagement(header));
    else if (opcode === Opcode.LogoutRequest) void this.#guarded(this.#onLogout(header));
    else this.#reject(COMMAND_NOT_SUPPORTED, header);
  }

  #onScsiCommand(header: Buffer, data: Buffer): void {
    const { faults, triggers } = this.#context;
    const strikes = (trigger: Parameters<typeof triggers.strikesOn>[0]) =>
      triggers.strikesOn(trigger, header.readUInt8(32), this.socket);
    if (this.identity.isDiscovery) throw new ProtocolError("a SCSI command in a discovery session");
    if (faults.stalls !== undefined && strikes(faults.stalls)) {
      this.#isStalled = true;
      if (faults.stalls.stopsReading === true) this.socket.pause();
      return;
    }
    if (faults.pings !== undefined && strikes(faults.pings)) this.ping();
    if (faults.asyncMessage !== undefined && strikes(faults.asyncMessage)) this.sendAsyncMessage(faults.asyncMessage);
    if (faults.closesWindow !== undefined && strikes(faults.closesWindow)) this.#closeWindow(faults.closesWindow.forMs);
    if (faults.rejects !== undefined && strikes(faults.rejects)) {
      this.#reject(faults.rejects.reason, header);
      return;
    }
    const reason = this.tasks.onCommand(header, data);
    if (reason !== undefined) this.#reject(reason, header);
  }

  /** RFC 7143 7.8: the PDU is thrown away; a damaged Data-Out also makes its task fail. */
  #onClaimedDigestError(opcode: number, header: Buffer): void {
    if (opcode !== Opcode.DataOut && !this.#numbers.accept(header.readUInt32BE(24), isImmediate(header))) return;
    this.#reject(DATA_DIGEST_ERROR, header);
    if (opcode === Opcode.DataOut) this.tasks.onDamagedDataOut(header);
  }

  #reject(reason: number, header: Buffer): void {
    const pdu = { reason, ...this.#numbers.next(true) };
    this.#wire.send(encodeReject(pdu, HEADER_BYTES), Buffer.from(header));
  }

  #closeWindow(forMs: number): void {
    this.#numbers.isWindowFrozen = true;
    void this.#after(forMs, () => {
      this.#numbers.isWindowFrozen = false;
      // Nobody else may be about to say that the window is open again.
      this.#sendNopIn(RESERVED_TAG, RESERVED_TAG, Buffer.alloc(0));
    });
  }

  #onNopOut(header: Buffer, data: Buffer): void {
    const { counts } = this.#context;
    const pdu = decodeNopOut(header);
    if (pdu.initiatorTaskTag !== RESERVED_TAG) {
      counts.pings += 1;
      this.#sendNopIn(pdu.initiatorTaskTag, RESERVED_TAG, data);
    } else if (pdu.targetTransferTag !== RESERVED_TAG) {
      if (!this.#openPings.delete(pdu.targetTransferTag)) throw new ProtocolError("NOP-Out answers no ping of ours");
      counts.pingAnswers += 1;
    }
  }

  /** StatSN is used up only by the answer to a NOP-Out (RFC 7143 11.19.2). */
  #sendNopIn(initiatorTaskTag: number, targetTransferTag: number, data: Buffer): void {
    const numbers = this.#numbers.next(initiatorTaskTag !== RESERVED_TAG);
    const pdu = { lunField: Buffer.alloc(8), initiatorTaskTag, targetTransferTag, ...numbers };
    const echoed = data.subarray(0, this.#parameters.maxSendDataSegmentBytes);
    this.#wire.send(encodeNopIn(pdu, echoed.length), echoed);
  }

  #onText(header: Buffer, data: Buffer): void {
    const pdu = decodeTextRequest(header);
    const asked = decodeTextPairs(data).find(([key]) => key === "SendTargets");
    const text = encodeTextPairs(asked === undefined ? [] : this.#context.sendTargets(this.#localPortal()));
    const response = {
      final: true,
      continues: false,
      initiatorTaskTag: pdu.initiatorTaskTag,
      targetTransferTag: RESERVED_TAG,
      ...this.#numbers.next(true),
    };
    this.#wire.send(encodeTextResponse(response, text.length), text);
  }

  async #onTaskManagement(header: Buffer): Promise<void> {
    const { faults, counts, device, sessions } = this.#context;
    counts.taskManagement += 1;
    if (faults.ignoresTaskManagement === true) return;
    const pdu = decodeTaskManagementRequest(header);
    const domain: TaskManagementDomain = {
      lun: device.lun,
      own: this.tasks,
      all: sessions().map(({ tasks }) => tasks),
    };
    const response = faults.taskManagementResponse ?? (await manageTasks(pdu, domain));
    const answer = { response, initiatorTaskTag: pdu.initiatorTaskTag, ...this.#numbers.next(true) };
    this.#wire.send(encodeTaskManagementResponse(answer));
  }

  async #onLogout(header: Buffer): Promise<void> {
    const { faults } = this.#context;
    const { initiatorTaskTag, reason } = decodeLogoutRequest(header);
    if (faults.neverLogsOut === true) return;
    if (faults.logoutDelayMs !== undefined) await this.#after(faults.logoutDelayMs, () => undefined);
    const isRefused = reason > 1;
    if (!isRefused) await this.tasks.end();
    const answer = {
      response: isRefused ? RECOVERY_NOT_SUPPORTED : CLOSED,
      initiatorTaskTag,
      ...this.#numbers.next(true),
      time2Wait: this.#parameters.time2WaitSeconds,
      time2Retain: 0,
    };
    this.#wire.send(encodeLogoutResponse(answer));
    if (!isRefused) this.#wire.end();
  }

  /** Acts later, unless the session is over by then. */
  async #after(ms: number, act: () => void): Promise<void> {
    await delay(ms, undefined, { signal: this.#ended.signal }).then(act, () => undefined);
  }

  async #guarded(work: Promise<void>): Promise<void> {
    await work.catch((error) => this.#wire.fail(error));
  }

  #localPortal(): string {
    const address = this.socket.localAddress ?? "127.0.0.1";
    const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
    return plain.includes(":") ? `[${plain}]:${this.socket.localPort}` : `${plain}:${this.socket.localPort}`;
  }
}
