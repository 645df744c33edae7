// Full feature phase of a normal session (RFC 7143 4.2): command window, task table, dispatch of what the target sends.
import { listenForAbort } from "./abort-listener.ts";
import { reported } from "./command-report.ts";
import type { ConnectionListener, SessionConnection } from "./connection.ts";
import {
  AbortedError,
  type ErrorContext,
  type IscsiError,
  ProtocolError,
  ScsiError,
  SequenceError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
import { Exchanges } from "./exchanges.ts";
import { illegalLun, illegalRequest } from "./illegal-request.ts";
import { Keepalive } from "./keepalive.ts";
import type { LoginResult } from "./login.ts";
import type { SessionParameters } from "./negotiation.ts";
import {
  AsyncEvent,
  decodeAsyncMessage,
  decodeReject,
  RejectReason,
  rejectedHeader,
  rejectReasonText,
} from "./pdu/async-message.ts";
import { decodeDataIn, decodeReadyToTransfer } from "./pdu/data.ts";
import { Opcode, opcodeName, opcodeOf, RESERVED_TAG } from "./pdu/header.ts";
import { decodeLogoutResponse } from "./pdu/logout.ts";
import { decodeNopIn } from "./pdu/nop.ts";
import { decodeScsiResponse, senseBytes } from "./pdu/scsi.ts";
import { decodeTaskManagementResponse } from "./pdu/task-management.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { decodeSense, isRecoveredError, ScsiStatus } from "./scsi/sense.ts";
import { CommandWindow, isSerialAfter, serialAdd } from "./serial.ts";
import type { ExecuteOptions, SessionOptions } from "./session-options.ts";
import { closeSession, ping, pingAnswer } from "./session-requests.ts";
import { ScsiTask, type TaskOutcome, unsent } from "./task.ts";
import { TaskDeadlines } from "./task-deadlines.ts";
import { abortTask, type ResetFunction, reset } from "./task-management.ts";
import { TaskTable } from "./task-table.ts";

/** A target that reads nothing and pings without end would fill our memory with answers. */
const MAX_PINGS_WHILE_CONGESTED = 1024;

/** A target that asks for a logout waits Parameter3 seconds for it (RFC 7143 11.9.1): the request has to arrive by then. */
const SHARE_OF_LOGOUT_TIME = 0.5;

/**
 * The life of one connection after its login. Any number of commands may be started; those beyond the target's window or
 * `maxOutstandingCommands` wait in order. When the connection ends, every outstanding command rejects with the cause, and with what
 * it may have done to the medium.
 */
export class FullFeaturePhase implements ConnectionListener {
  readonly targetName: string;
  readonly lun: number;
  readonly parameters: SessionParameters;
  readonly options: SessionOptions;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #onEnd: (error: IscsiError | undefined) => void;
  readonly #connection: SessionConnection;
  readonly #window: CommandWindow;
  readonly #tasks: TaskTable;
  readonly #exchanges = new Exchanges();
  readonly #keepalive: Keepalive;
  readonly #deadlines = new TaskDeadlines(
    () => this.#tasks.all(),
    (task) => this.#abort(task, new TimeoutError(task.deadlineMs, task.contextNow)),
  );
  #expStatSn: number;
  #isLoggingOut = false;
  #logout: Promise<void> | undefined;
  #closeError: IscsiError | undefined;
  #pingsWhileCongested = 0;
  #resolveClosed: () => void = () => undefined;
  #time2WaitSeconds: number;

  /** `onEnd` is told of the end before any command is: with its error, or undefined after a logout. */
  constructor(
    connection: SessionConnection,
    login: LoginResult,
    options: SessionOptions,
    onEnd: (error: IscsiError | undefined) => void = () => undefined,
  ) {
    this.#connection = connection;
    this.parameters = login.parameters;
    this.options = options;
    this.targetName = options.targetName;
    this.lun = options.lun;
    this.#window = new CommandWindow(login.cmdSn, login.expCmdSn, login.maxCmdSn);
    this.#expStatSn = login.expStatSn;
    this.#tasks = new TaskTable(this.#window, {
      maxOutstandingCommands: options.maxOutstandingCommands,
      maySend: () => !connection.isCongested && this.#closeError === undefined,
      send: (task) => task.send(connection, this.parameters, this.#expStatSn),
      isTagTaken: (tag) => this.#exchanges.has(tag),
    });
    this.#keepalive = new Keepalive(this, options);
    this.#onEnd = onEnd;
    this.#time2WaitSeconds = login.parameters.time2WaitSeconds;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    connection.attach(this);
  }

  get portal(): string {
    return this.#connection.portal;
  }

  /** No command can be started any more: the connection is gone, or a logout is under way. */
  get isEnding(): boolean {
    return this.#closeError !== undefined || this.#isLoggingOut;
  }

  /** Seconds the target wants to pass between the end of this connection and the next login (RFC 7143 13.15, 11.9, 11.15). */
  get time2WaitSeconds(): number {
    return this.#time2WaitSeconds;
  }

  /** Runs one command once. @throws ScsiError for any status but GOOD; TimeoutError, AbortedError, TransportError, ProtocolError. */
  async execute<T>(command: ScsiCommand<T>, options: ExecuteOptions = {}): Promise<T> {
    const context = this.contextOf(command.name);
    const { hooks, cacheLosses } = this.options;
    const running = this.#run(command, context, options);
    const outcome = await (hooks.onCommand === undefined ? running : reported(hooks, command, running));
    if (outcome.status !== ScsiStatus.Good) {
      const sense = outcome.sense === undefined ? undefined : decodeSense(outcome.sense);
      const error = new ScsiError(outcome.status, sense, context);
      cacheLosses.note(error);
      if (!isRecoveredError(outcome.status, sense)) throw error;
      hooks.onRecoveredError?.(error);
    }
    try {
      return command.decode(outcome.data);
    } catch (error) {
      throw error instanceof ProtocolError ? new ProtocolError(error.reason, context, error) : error;
    }
  }

  /** Sends a NOP-Out ping and waits for its NOP-In. */
  ping(deadlineMs: number, signal?: AbortSignal): Promise<void> {
    return ping(this, deadlineMs, signal);
  }

  /** LUN RESET or TARGET WARM RESET; see {@link reset}. */
  reset(
    kind: ResetFunction,
    options: { deadlineMs: number; lun?: number; signal: AbortSignal | undefined },
  ): Promise<void> {
    const lun = options.lun ?? this.lun;
    const refusal = illegalLun(lun, this.contextOf(kind));
    if (refusal !== undefined) return Promise.reject(refusal);
    const covered = this.#tasks.sent().filter((task) => kind === "TARGET WARM RESET" || task.lun === lun);
    return reset(this, kind, lun, covered, options);
  }

  /**
   * Ends the session in order: waits for outstanding commands, `drainMs` at most, logs out, closes. Those still outstanding then end
   * with the connection. Never rejects because the target is gone.
   */
  logout(drainMs?: number): Promise<void> {
    if (this.#closeError !== undefined) return Promise.resolve();
    // The target may ask for a logout while the caller starts one: there is only one.
    this.#logout ??= this.#logOut(drainMs);
    return this.#logout;
  }

  async #logOut(drainMs: number | undefined): Promise<void> {
    this.#isLoggingOut = true;
    await this.#tasks.drained(drainMs);
    this.#keepalive.stop();
    const time2WaitSeconds = await closeSession(this, this.options.keepaliveDeadlineMs);
    if (time2WaitSeconds !== undefined) this.#time2WaitSeconds = time2WaitSeconds;
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
    this.#window.update(header.readUInt32BE(28), header.readUInt32BE(32));
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
    this.#tasks.pump();
  }

  onDrain(): void {
    this.#pingsWhileCongested = 0;
    this.#tasks.pump();
  }

  onClose(error: IscsiError): void {
    if (this.#closeError !== undefined) return;
    this.#closeError = error;
    this.#onEnd(this.#isLoggingOut ? undefined : error);
    this.#keepalive.stop();
    this.#deadlines.stop();
    this.#exchanges.failAll(error);
    for (const task of this.#tasks.all()) task.fail(task.abortReason ?? this.#closedError(task.contextNow));
    this.#resolveClosed();
  }

  /** Context of errors about `operation` on this session. */
  contextOf(operation: string): ErrorContext {
    return { target: this.targetName, portal: this.portal, operation };
  }

  #run(command: ScsiCommand<unknown>, context: ErrorContext, options: ExecuteOptions): Promise<TaskOutcome> {
    const { signal, lun = this.lun, deadlineMs = this.options.commandDeadlineMs } = options;
    const refusal = this.#refusalOf(command, lun, deadlineMs, context, signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    let unlisten: (() => void) | undefined;
    const task = new ScsiTask(command, lun, context, deadlineMs, () => {
      unlisten?.();
      this.#tasks.forget(task);
      // The caller has its buffer back: what the target still sends must not reach it.
      if (command.dataIn !== undefined) this.#connection.abandonPlacement(command.dataIn);
    });
    if (signal !== undefined)
      unlisten = listenForAbort(signal, () => this.#abort(task, new AbortedError(task.contextNow, signal.reason)));
    this.#deadlines.watch(task);
    this.#tasks.add(task);
    return task.outcome;
  }

  /** Why a command is not even queued. */
  #refusalOf(
    command: ScsiCommand<unknown>,
    lun: number,
    deadlineMs: number,
    context: ErrorContext,
    signal: AbortSignal | undefined,
  ): IscsiError | undefined {
    if (signal?.aborted) return new AbortedError(unsent(context), signal.reason);
    if (this.#closeError !== undefined) return this.#closedError(unsent(context));
    if (this.#isLoggingOut) return new TransportError("the session is logging out", unsent(context));
    return illegalRequest(command, lun, deadlineMs, context);
  }

  /** Ends a task early; one that was sent is aborted at the target first. */
  #abort(task: ScsiTask, reason: IscsiError): void {
    if (task.isSettled || task.abortReason !== undefined) return;
    if (!task.wasSent) task.fail(reason);
    else void abortTask(this, task, reason).then(() => this.#tasks.pump());
  }

  /** TaskManagementPort: sends an immediate request that the target answers with the same tag. */
  request(
    operation: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    encode: (tag: number, cmdSn: number, expStatSn: number) => Buffer,
  ): Promise<{ header: Buffer; data: Buffer }> {
    const context = this.contextOf(operation);
    if (this.#closeError !== undefined) return Promise.reject(this.#closedError(context));
    const tag = this.#tasks.takeTag();
    const answer = this.#exchanges.open(tag, context, deadlineMs, signal);
    this.#connection.send(encode(tag, this.#window.cmdSn, this.#expStatSn));
    return answer;
  }

  /** Counts a status-bearing PDU. A gap means a lost status, which level 0 can only recover by dropping the connection. */
  #acceptStatSn(statSn: number): void {
    if (isSerialAfter(statSn, this.#expStatSn))
      throw new SequenceError(`StatSN jumped from ${this.#expStatSn} to ${statSn}`, this.contextOf("session"));
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
    if (this.#connection.isCongested && ++this.#pingsWhileCongested > MAX_PINGS_WHILE_CONGESTED)
      throw new ProtocolError("the target asks for answers and does not read them", this.contextOf("session"));
    this.#connection.send(pingAnswer(pdu, this.#window.cmdSn, this.#expStatSn));
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
    if (pdu.event === AsyncEvent.LogoutRequest || pdu.event === AsyncEvent.NegotiationRequest)
      void this.logout(pdu.parameter3 * 1000 * SHARE_OF_LOGOUT_TIME);
    else if (pdu.event === AsyncEvent.ConnectionDrop || pdu.event === AsyncEvent.SessionDrop) {
      this.#time2WaitSeconds = pdu.parameter2;
      this.destroy(new TransportError("the target announced that it drops the connection", context));
    }
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
    if (opcodeOf(refused) !== Opcode.ScsiCommand || task === undefined) return;
    // Level 0 recovers from a digest error by a new session (RFC 7143 7.8), where the command is sent again.
    const isDamaged = pdu.reason === RejectReason.DataDigestError;
    if (!isDamaged) task.fail(error(task.context));
    // A target that did not count the command waits for its CmdSN for ever; commands behind it would never be run.
    if (isDamaged || !isSerialAfter(this.#window.expCmdSn, task.cmdSn))
      this.destroy(new TransportError(error(task.context).reason, this.contextOf("session")));
  }

  #closedError(context: ErrorContext): IscsiError {
    const cause = this.#closeError;
    return new TransportError(cause === undefined ? "the session is closed" : cause.reason, context, cause);
  }
}
