// Full feature phase of a normal session (RFC 7143 4.2): command window, task table, dispatch of what the target sends.
import type { ConnectionListener, SessionConnection } from "./connection.ts";
import {
  AbortedError,
  type ErrorContext,
  type IscsiError,
  ProtocolError,
  ScsiError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
import { Exchanges } from "./exchanges.ts";
import { Keepalive } from "./keepalive.ts";
import type { LoginResult } from "./login.ts";
import type { SessionParameters } from "./negotiation.ts";
import { AsyncEvent, decodeAsyncMessage, decodeReject, rejectedHeader, rejectReasonText } from "./pdu/async-message.ts";
import { decodeDataIn, decodeReadyToTransfer } from "./pdu/data.ts";
import { Opcode, opcodeName, opcodeOf, RESERVED_TAG, readTargetSequence } from "./pdu/header.ts";
import { decodeLogoutResponse, encodeLogoutRequest, LogoutReason } from "./pdu/logout.ts";
import { decodeNopIn, encodeNopOut } from "./pdu/nop.ts";
import { decodeScsiResponse, senseBytes } from "./pdu/scsi.ts";
import {
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
  TaskManagementFunction,
} from "./pdu/task-management.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { decodeSense, ScsiStatus } from "./scsi/sense.ts";
import { CommandWindow, isSerialAfter, serialAdd } from "./serial.ts";
import type { ExecuteOptions, SessionOptions } from "./session-options.ts";
import { ScsiTask, type TaskOutcome } from "./task.ts";

/** How long an ABORT TASK may take before the connection is given up. */
const ABORT_DEADLINE_MS = 2000;
/** Function complete, and task does not exist (RFC 7143 11.6.1): after any other answer the task may still run. */
const TASK_IS_GONE: readonly number[] = [0, 1];

/**
 * A logged-in session with one connection. Any number of commands may be started; those beyond the target's window or
 * `maxOutstandingCommands` wait in order. When the connection ends, every outstanding command rejects with the cause.
 */
export class FullFeaturePhase implements ConnectionListener {
  readonly targetName: string;
  readonly lun: number;
  readonly parameters: SessionParameters;
  readonly options: SessionOptions;
  readonly #connection: SessionConnection;
  readonly #window: CommandWindow;
  readonly #waiting = new Set<ScsiTask>();
  readonly #tasks = new Map<number, ScsiTask>();
  readonly #exchanges = new Exchanges();
  readonly #keepalive: Keepalive;
  #expStatSn: number;
  #nextTag = 1;
  #isLoggingOut = false;
  #logout: Promise<void> | undefined;
  #closeError: IscsiError | undefined;
  #onIdle: (() => void) | undefined;

  constructor(connection: SessionConnection, login: LoginResult, options: SessionOptions) {
    this.#connection = connection;
    this.parameters = login.parameters;
    this.options = options;
    this.targetName = options.targetName;
    this.lun = options.lun;
    this.#window = new CommandWindow(login.cmdSn, login.expCmdSn, login.maxCmdSn);
    this.#expStatSn = login.expStatSn;
    this.#keepalive = new Keepalive(this, options);
    connection.attach(this);
  }

  get portal(): string {
    return this.#connection.portal;
  }

  get isClosed(): boolean {
    return this.#closeError !== undefined;
  }

  /** Runs one command once. @throws ScsiError for any status but GOOD; TimeoutError, AbortedError, TransportError, ProtocolError. */
  async execute<T>(command: ScsiCommand<T>, options: ExecuteOptions = {}): Promise<T> {
    const context = this.contextOf(command.name);
    const outcome = await this.#run(command, context, options);
    if (outcome.status !== ScsiStatus.Good)
      throw new ScsiError(
        outcome.status,
        outcome.sense === undefined ? undefined : decodeSense(outcome.sense),
        context,
      );
    try {
      return command.decode(outcome.data);
    } catch (error) {
      throw error instanceof ProtocolError ? new ProtocolError(error.reason, context, error) : error;
    }
  }

  /** Sends a NOP-Out ping and waits for its NOP-In. */
  async ping(deadlineMs: number, signal?: AbortSignal): Promise<void> {
    await this.#request("NOP-Out", deadlineMs, signal, (tag) =>
      encodeNopOut({
        lunField: undefined,
        initiatorTaskTag: tag,
        targetTransferTag: RESERVED_TAG,
        cmdSn: this.#window.cmdSn,
        expStatSn: this.#expStatSn,
      }),
    );
  }

  /** Ends the session in order: waits for outstanding commands, logs out, closes. Never rejects because the target is gone. */
  logout(): Promise<void> {
    if (this.#closeError !== undefined) return Promise.resolve();
    // The target may ask for a logout while the caller starts one: there is only one.
    this.#logout ??= this.#logOut();
    return this.#logout;
  }

  async #logOut(): Promise<void> {
    this.#isLoggingOut = true;
    this.#keepalive.stop();
    if (this.#tasks.size + this.#waiting.size > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    try {
      await this.#request("logout", this.options.keepaliveDeadlineMs, undefined, (tag) =>
        encodeLogoutRequest({
          reason: LogoutReason.CloseSession,
          initiatorTaskTag: tag,
          connectionId: 0,
          cmdSn: this.#window.cmdSn,
          expStatSn: this.#expStatSn,
        }),
      );
    } catch {
      // The target closed first or does not answer: the session is over either way.
    }
    await this.#connection.close();
  }

  /** Ends the session at once; outstanding commands reject with `error` or a TransportError. */
  destroy(error?: IscsiError): void {
    this.#connection.destroy(error);
  }

  /** ConnectionListener: a read's bytes go straight into the caller's buffer. */
  placeData(header: Buffer, dataBytes: number): Buffer | undefined {
    if (opcodeOf(header) !== Opcode.DataIn) return undefined;
    return this.#tasks.get(header.readUInt32BE(16))?.placeData(header.readUInt32BE(40), dataBytes);
  }

  /** ConnectionListener: one PDU from the target. A throw ends the connection. */
  onPdu(header: Buffer, data: Buffer): void {
    this.#keepalive.noteTraffic();
    const { expCmdSn, maxCmdSn } = readTargetSequence(header);
    this.#window.update(expCmdSn, maxCmdSn);
    switch (opcodeOf(header)) {
      case Opcode.ScsiResponse:
        this.#onScsiResponse(header, data);
        break;
      case Opcode.DataIn:
        this.#onDataIn(header);
        break;
      case Opcode.ReadyToTransfer:
        this.#onReadyToTransfer(header);
        break;
      case Opcode.NopIn:
        this.#onNopIn(header);
        break;
      case Opcode.TaskManagementResponse:
        this.#onAnswer(header, data, decodeTaskManagementResponse(header).initiatorTaskTag);
        break;
      case Opcode.LogoutResponse:
        this.#onAnswer(header, data, decodeLogoutResponse(header).initiatorTaskTag);
        break;
      case Opcode.AsyncMessage:
        this.#onAsyncMessage(header);
        break;
      case Opcode.Reject:
        this.#onReject(header, data);
        break;
      default:
        throw new ProtocolError(`unexpected ${opcodeName(opcodeOf(header))}`, this.contextOf("session"));
    }
    this.#pump();
  }

  onDrain(): void {
    this.#pump();
  }

  onClose(error: IscsiError): void {
    if (this.#closeError !== undefined) return;
    this.#closeError = error;
    this.#keepalive.stop();
    this.#exchanges.failAll(error);
    for (const task of [...this.#tasks.values(), ...this.#waiting])
      task.fail(task.abortReason ?? this.#closedError(task.context));
    this.options.hooks.onClose?.(this.#isLoggingOut ? undefined : error);
  }

  /** Context of errors about `operation` on this session. */
  contextOf(operation: string): ErrorContext {
    return { target: this.targetName, portal: this.portal, operation };
  }

  #run(command: ScsiCommand<unknown>, context: ErrorContext, options: ExecuteOptions): Promise<TaskOutcome> {
    const { signal, lun = this.lun, deadlineMs = this.options.commandDeadlineMs } = options;
    if (signal?.aborted) return Promise.reject(new AbortedError(context, signal.reason));
    if (this.#closeError !== undefined) return Promise.reject(this.#closedError(context));
    if (this.#isLoggingOut) return Promise.reject(new TransportError("the session is logging out", context));
    const onAbort = () => this.#abort(task, new AbortedError(context, signal?.reason));
    const timer = setTimeout(() => this.#abort(task, new TimeoutError(deadlineMs, context)), deadlineMs);
    const task = new ScsiTask(command, lun, context, () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#forget(task);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(task);
    this.#pump();
    return task.outcome;
  }

  /** Sends waiting commands while the target's window, our own limit and the socket allow. */
  #pump(): void {
    for (const task of this.#waiting) {
      if (!this.#window.isOpen || this.#tasks.size >= this.options.maxOutstandingCommands) return;
      if (this.#connection.isCongested || this.#closeError !== undefined) return;
      this.#waiting.delete(task);
      task.initiatorTaskTag = this.#takeTag();
      task.cmdSn = this.#window.take();
      this.#tasks.set(task.initiatorTaskTag, task);
      task.send(this.#connection, this.parameters, this.#expStatSn);
    }
  }

  #forget(task: ScsiTask): void {
    this.#waiting.delete(task);
    if (task.initiatorTaskTag !== RESERVED_TAG) this.#tasks.delete(task.initiatorTaskTag);
    if (this.#tasks.size + this.#waiting.size === 0) this.#onIdle?.();
  }

  /**
   * Ends a task early. One that was sent is first aborted at the target, so that a late write cannot land after its promise
   * has settled; a target that refuses that, or does not even answer, loses the connection.
   */
  #abort(task: ScsiTask, reason: IscsiError): void {
    if (task.isSettled || task.abortReason !== undefined) return;
    if (this.#waiting.has(task)) {
      task.fail(reason);
      return;
    }
    task.abortReason = reason;
    const giveUp = (what: string, cause?: unknown) =>
      this.destroy(new TransportError(`the target ${what}; the connection was given up`, task.context, cause));
    this.#request("ABORT TASK", ABORT_DEADLINE_MS, undefined, (tag) =>
      encodeTaskManagementRequest({
        function: TaskManagementFunction.AbortTask,
        lun: task.lun,
        initiatorTaskTag: tag,
        referencedTaskTag: task.initiatorTaskTag,
        cmdSn: this.#window.cmdSn,
        expStatSn: this.#expStatSn,
        refCmdSn: task.cmdSn,
      }),
    ).then(
      ({ header }) => {
        const { response } = decodeTaskManagementResponse(header);
        if (!task.isSettled && !TASK_IS_GONE.includes(response)) giveUp(`refuses ABORT TASK (response ${response})`);
        task.fail(reason);
        this.#pump();
      },
      (cause) => {
        giveUp("does not answer ABORT TASK", cause);
        task.fail(reason);
      },
    );
  }

  /** Sends an immediate request that the target answers with the same tag. */
  #request(
    operation: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    encode: (tag: number) => Buffer,
  ): Promise<{ header: Buffer; data: Buffer }> {
    const context = this.contextOf(operation);
    if (this.#closeError !== undefined) return Promise.reject(this.#closedError(context));
    const tag = this.#takeTag();
    const answer = this.#exchanges.open(tag, context, deadlineMs, signal);
    this.#connection.send(encode(tag));
    return answer;
  }

  #takeTag(): number {
    let tag = this.#nextTag;
    while (tag === RESERVED_TAG || this.#tasks.has(tag) || this.#exchanges.has(tag)) tag = serialAdd(tag, 1);
    this.#nextTag = serialAdd(tag, 1);
    return tag;
  }

  /** Counts a status-bearing PDU. A gap means a lost status, which level 0 can only recover by dropping the connection. */
  #acceptStatSn(statSn: number): void {
    if (isSerialAfter(statSn, this.#expStatSn))
      throw new ProtocolError(`StatSN jumped from ${this.#expStatSn} to ${statSn}`, this.contextOf("session"));
    if (statSn === this.#expStatSn) this.#expStatSn = serialAdd(statSn, 1);
  }

  #onScsiResponse(header: Buffer, data: Buffer): void {
    const pdu = decodeScsiResponse(header);
    this.#acceptStatSn(pdu.statSn);
    const task = this.#tasks.get(pdu.initiatorTaskTag);
    if (task === undefined) return;
    // RFC 7143 11.4.3: any response but "command completed at target" means that there is no SCSI status.
    if (pdu.response !== 0)
      task.fail(new ProtocolError(`target failure, response 0x${pdu.response.toString(16)}`, task.context));
    else task.complete(pdu.status, senseBytes(data), pdu.residual);
  }

  #onDataIn(header: Buffer): void {
    const pdu = decodeDataIn(header);
    if (pdu.status !== undefined) this.#acceptStatSn(pdu.statSn);
    const task = this.#tasks.get(pdu.initiatorTaskTag);
    if (task === undefined) return;
    task.acceptData(pdu);
    if (pdu.status !== undefined) task.complete(pdu.status, undefined, pdu.residual);
  }

  #onReadyToTransfer(header: Buffer): void {
    const pdu = decodeReadyToTransfer(header);
    this.#tasks.get(pdu.initiatorTaskTag)?.answerR2t(pdu, this.#connection, this.parameters, this.#expStatSn);
  }

  #onNopIn(header: Buffer): void {
    const pdu = decodeNopIn(header);
    if (pdu.initiatorTaskTag !== RESERVED_TAG) {
      this.#acceptStatSn(pdu.statSn);
      this.#exchanges.resolve(pdu.initiatorTaskTag, header, Buffer.alloc(0));
      return;
    }
    // RFC 7143 11.18: a NOP-In that carries a target tag wants that tag and its LUN back.
    if (pdu.targetTransferTag === RESERVED_TAG) return;
    this.#connection.send(
      encodeNopOut({
        lunField: pdu.lunField,
        initiatorTaskTag: RESERVED_TAG,
        targetTransferTag: pdu.targetTransferTag,
        cmdSn: this.#window.cmdSn,
        expStatSn: this.#expStatSn,
      }),
    );
  }

  #onAnswer(header: Buffer, data: Buffer, tag: number): void {
    this.#acceptStatSn(header.readUInt32BE(24));
    this.#exchanges.resolve(tag, header, data);
  }

  #onAsyncMessage(header: Buffer): void {
    const pdu = decodeAsyncMessage(header);
    this.#acceptStatSn(pdu.statSn);
    this.options.hooks.onAsyncMessage?.(pdu);
    const context = this.contextOf("session");
    // RFC 7143 11.9.1: on a request to log out or to renegotiate we leave in order; the target waits Parameter3 seconds.
    if (pdu.event === AsyncEvent.LogoutRequest || pdu.event === AsyncEvent.NegotiationRequest) void this.logout();
    else if (pdu.event === AsyncEvent.ConnectionDrop || pdu.event === AsyncEvent.SessionDrop)
      this.destroy(new TransportError("the target announced that it drops the connection", context));
  }

  #onReject(header: Buffer, data: Buffer): void {
    const pdu = decodeReject(header);
    this.#acceptStatSn(pdu.statSn);
    const refused = rejectedHeader(data);
    if (refused === undefined) return;
    const error = (context: ErrorContext) =>
      new ProtocolError(
        `the target rejected the ${opcodeName(opcodeOf(refused))}: ${rejectReasonText(pdu.reason)}`,
        context,
      );
    const tag = refused.readUInt32BE(16);
    this.#exchanges.reject(tag, error);
    // A rejected Data-Out is followed by the command's own status (RFC 7143 11.17); only a rejected command gets none.
    const task = this.#tasks.get(tag);
    if (opcodeOf(refused) === Opcode.ScsiCommand && task !== undefined) task.fail(error(task.context));
  }

  #closedError(context: ErrorContext): IscsiError {
    const cause = this.#closeError;
    return new TransportError(cause === undefined ? "the session is closed" : cause.reason, context, cause);
  }
}
