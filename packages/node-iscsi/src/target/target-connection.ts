// One connection of the test target: login, then full feature phase with immediate, unsolicited and solicited data.
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { ProtocolError } from "../errors.ts";
import { Framer } from "../framer.ts";
import type { SessionParameters } from "../negotiation.ts";
import { decodeDataOut, encodeDataIn, encodeReadyToTransfer } from "../pdu/data.ts";
import {
  isImmediate,
  Opcode,
  opcodeName,
  opcodeOf,
  paddingOf,
  RESERVED_TAG,
  type TargetSequence,
} from "../pdu/header.ts";
import { decodeLoginRequest, encodeLoginResponse, LoginStage } from "../pdu/login.ts";
import { decodeLogoutRequest, encodeLogoutResponse } from "../pdu/logout.ts";
import { decodeNopOut, encodeNopIn } from "../pdu/nop.ts";
import { decodeScsiCommand, encodeScsiResponse, NO_RESIDUAL, type Residual } from "../pdu/scsi.ts";
import {
  decodeTaskManagementRequest,
  encodeTaskManagementResponse,
  TaskManagementFunction,
} from "../pdu/task-management.ts";
import { decodeTextRequest, encodeTextResponse } from "../pdu/text.ts";
import { decodeTextPairs, encodeTextPairs } from "../pdu/text-keys.ts";
import { encodeFixedSense, ScsiStatus, SenseKey } from "../scsi/sense.ts";
import { isSerialAfter, serialAdd } from "../serial.ts";
import type { CommandResult, DeviceServer } from "./device-server.ts";
import type { TargetFaults } from "./faults.ts";
import { TargetLogin, type TargetLoginOptions } from "./target-login.ts";

/** What a connection needs of its target. */
export interface TargetContext {
  readonly login: () => TargetLoginOptions;
  readonly device: DeviceServer;
  readonly faults: TargetFaults;
  readonly commandWindow: number;
  /** Text of the SendTargets answer. */
  sendTargets(localAddress: string): [key: string, value: string][];
}

/** A write whose data is still coming in. */
interface PendingCommand {
  readonly tag: number;
  readonly lun: number | undefined;
  readonly cdb: Buffer;
  readonly expectedBytes: number;
  readonly isRead: boolean;
  readonly data: Buffer;
  received: number;
  r2tSn: number;
  isAborted: boolean;
}

const PADDING = Buffer.alloc(3);
/** A write larger than this is refused before memory is set aside for it. */
const MAX_WRITE_BYTES = 64 * 1024 * 1024;

export class TargetConnection {
  readonly #socket: Socket;
  readonly #context: TargetContext;
  readonly #login: TargetLogin;
  readonly #framer: Framer;
  readonly #pending = new Map<number, PendingCommand>();
  #parameters: SessionParameters | undefined;
  #statSn = 1;
  #expCmdSn = 0;
  #receivedBytes = 0;
  #unitAttentions: number;
  #nextTransferTag = 1;

  constructor(socket: Socket, context: TargetContext) {
    this.#socket = socket;
    this.#context = context;
    this.#login = new TargetLogin(context.login());
    this.#unitAttentions = context.faults.unitAttentionCount ?? 0;
    this.#framer = new Framer(
      {
        placeData: (header, bytes) => this.#placeData(header, bytes),
        onPdu: (header, data) => this.#onPdu(header, data),
      },
      context.login().wishes.maxRecvDataSegmentBytes,
    );
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // The initiator went away; there is nobody to tell.
    socket.on("error", () => socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const limit = this.#context.faults.dropAfterBytes;
    const room = limit === undefined ? chunk.length : Math.max(0, limit - this.#receivedBytes);
    this.#receivedBytes += chunk.length;
    try {
      this.#framer.push(chunk, Math.min(room, chunk.length));
    } catch (error) {
      this.#socket.destroy();
      if (!(error instanceof ProtocolError)) throw error;
    }
    if (room < chunk.length) this.#socket.resetAndDestroy();
  }

  #placeData(header: Buffer, bytes: number): Buffer | undefined {
    if (opcodeOf(header) !== Opcode.DataOut) return undefined;
    const offset = header.readUInt32BE(40);
    const command = this.#pending.get(header.readUInt32BE(16));
    return command !== undefined && offset + bytes <= command.data.length ? command.data.subarray(offset) : undefined;
  }

  #onPdu(header: Buffer, data: Buffer): void {
    const opcode = opcodeOf(header);
    if (opcode === Opcode.LoginRequest) this.#onLogin(header, data);
    else if (this.#parameters === undefined) throw new ProtocolError(`${opcodeName(opcode)} before the login was over`);
    else if (opcode === Opcode.DataOut) this.#onDataOut(header);
    else this.#onRequest(opcode, header, data);
  }

  #onRequest(opcode: number, header: Buffer, data: Buffer): void {
    if (!isImmediate(header)) this.#expCmdSn = serialAdd(header.readUInt32BE(24), 1);
    if (this.#context.faults.neverAnswers === true) return;
    if (opcode === Opcode.ScsiCommand) this.#onScsiCommand(header, data);
    else if (opcode === Opcode.NopOut) this.#onNopOut(header, data);
    else if (opcode === Opcode.TextRequest) this.#onText(header, data);
    else if (opcode === Opcode.TaskManagementRequest) this.#onTaskManagement(header);
    else if (opcode === Opcode.LogoutRequest) this.#onLogout(header);
    else throw new ProtocolError(`unexpected ${opcodeName(opcode)}`);
  }

  #onLogin(header: Buffer, data: Buffer): void {
    if (this.#context.faults.neverLogsIn === true) return;
    const request = decodeLoginRequest(header);
    this.#expCmdSn = request.cmdSn;
    const step = this.#login.step(request, data);
    const isDone = step.transit && request.nextStage === LoginStage.FullFeature;
    const text = encodeTextPairs(step.pairs);
    const response = {
      transit: step.transit,
      continues: false,
      currentStage: request.currentStage,
      nextStage: request.nextStage,
      isid: request.isid,
      tsih: isDone ? 1 : request.tsih,
      initiatorTaskTag: request.initiatorTaskTag,
      ...this.#sequence(true),
      versionActive: 0,
      statusClass: step.statusClass,
      statusDetail: step.statusDetail,
    };
    this.#send(encodeLoginResponse(response, text.length), text);
    if (step.statusClass !== 0) this.#socket.end();
    else if (isDone) this.#parameters = this.#login.parameters();
  }

  #onScsiCommand(header: Buffer, data: Buffer): void {
    const pdu = decodeScsiCommand(header);
    if (pdu.write && pdu.expectedDataTransferLength > MAX_WRITE_BYTES) throw new ProtocolError("write too large");
    const expected = pdu.expectedDataTransferLength;
    const isWhole = data.length === expected;
    const command: PendingCommand = {
      tag: pdu.initiatorTaskTag,
      lun: pdu.lun,
      cdb: pdu.cdb,
      expectedBytes: expected,
      isRead: pdu.read,
      data: !pdu.write || isWhole ? data : Buffer.alloc(expected),
      received: data.length,
      r2tSn: 0,
      isAborted: false,
    };
    this.#pending.set(command.tag, command);
    if (pdu.write && !isWhole) data.copy(command.data);
    if (!pdu.write || isWhole) void this.#run(command);
    else if (pdu.final) this.#askForData(command);
  }

  #onDataOut(header: Buffer): void {
    const pdu = decodeDataOut(header);
    const command = this.#pending.get(pdu.initiatorTaskTag);
    if (command === undefined) return;
    if (pdu.bufferOffset !== command.received || pdu.bufferOffset + pdu.dataSegmentLength > command.expectedBytes)
      throw new ProtocolError("Data-Out out of order or beyond the write");
    command.received += pdu.dataSegmentLength;
    if (command.received === command.expectedBytes) void this.#run(command);
    else if (pdu.final) this.#askForData(command);
  }

  #askForData(command: PendingCommand): void {
    const rest = command.expectedBytes - command.received;
    const pdu = {
      initiatorTaskTag: command.tag,
      targetTransferTag: this.#nextTransferTag++,
      ...this.#sequence(false),
      r2tSn: command.r2tSn++,
      bufferOffset: command.received,
      desiredLength: Math.min(rest, this.#parameters?.maxBurstBytes ?? rest),
    };
    if (this.#context.faults.asksTooMuch === true) pdu.desiredLength = rest + 512;
    this.#send(encodeReadyToTransfer(pdu, this.#context.device.lun));
  }

  async #run(command: PendingCommand): Promise<void> {
    const { faults, device } = this.#context;
    if (faults.delayMs !== undefined) await delay(faults.delayMs);
    const isUnitAttention = this.#unitAttentions > 0 && command.cdb[0] !== 0x12 && command.cdb[0] !== 0xa0;
    if (isUnitAttention) this.#unitAttentions -= 1;
    const result = isUnitAttention
      ? { status: ScsiStatus.CheckCondition, sense: encodeFixedSense(SenseKey.UnitAttention, 0x29, 0) }
      : await device.run(command.lun, command.cdb, command.data);
    if (command.isAborted || this.#socket.destroyed) return;
    this.#pending.delete(command.tag);
    if (command.isRead && result.status === ScsiStatus.Good) this.#sendDataIn(command, result.data ?? Buffer.alloc(0));
    else this.#sendStatus(command, result, NO_RESIDUAL);
  }

  #sendDataIn(command: PendingCommand, all: Buffer): void {
    const data = all.subarray(0, command.expectedBytes);
    const difference = command.expectedBytes - all.length;
    const residual: Residual =
      difference === 0 ? NO_RESIDUAL : { kind: difference > 0 ? "underflow" : "overflow", bytes: Math.abs(difference) };
    const segment = this.#parameters?.maxSendDataSegmentBytes ?? 8192;
    const isSeparate = this.#context.faults.separateReadStatus === true || data.length === 0;
    for (let offset = 0, dataSn = 0; offset < data.length; offset += segment, dataSn += 1) {
      const bytes = Math.min(segment, data.length - offset);
      const isLast = offset + bytes === data.length;
      const hasStatus = isLast && !isSeparate;
      const pdu = {
        final: isLast,
        status: hasStatus ? ScsiStatus.Good : undefined,
        initiatorTaskTag: command.tag,
        targetTransferTag: RESERVED_TAG,
        ...this.#sequence(hasStatus),
        dataSn,
        bufferOffset: offset,
        residual,
        dataSegmentLength: bytes,
      };
      this.#send(encodeDataIn(pdu), data.subarray(offset, offset + bytes));
    }
    if (isSeparate) this.#sendStatus(command, { status: ScsiStatus.Good }, residual);
  }

  #sendStatus(command: PendingCommand, result: CommandResult, residual: Residual): void {
    const sense = result.sense;
    const data = Buffer.alloc(sense === undefined ? 0 : 2 + sense.length);
    if (sense !== undefined) {
      data.writeUInt16BE(sense.length, 0);
      sense.copy(data, 2);
    }
    const pdu = {
      response: 0,
      status: result.status,
      initiatorTaskTag: command.tag,
      ...this.#sequence(true),
      expDataSn: 0,
      residual,
    };
    this.#send(encodeScsiResponse(pdu, data.length), data);
  }

  #onNopOut(header: Buffer, data: Buffer): void {
    const pdu = decodeNopOut(header);
    if (pdu.initiatorTaskTag === RESERVED_TAG) return;
    const answer = {
      lunField: Buffer.alloc(8),
      initiatorTaskTag: pdu.initiatorTaskTag,
      targetTransferTag: RESERVED_TAG,
      ...this.#sequence(true),
    };
    this.#send(encodeNopIn(answer, data.length), data);
  }

  #onText(header: Buffer, data: Buffer): void {
    const pdu = decodeTextRequest(header);
    const asked = decodeTextPairs(data).find(([key]) => key === "SendTargets");
    const text = encodeTextPairs(asked === undefined ? [] : this.#context.sendTargets(this.#localAddress()));
    const response = {
      final: true,
      continues: false,
      initiatorTaskTag: pdu.initiatorTaskTag,
      targetTransferTag: RESERVED_TAG,
      ...this.#sequence(true),
    };
    this.#send(encodeTextResponse(response, text.length), text);
  }

  #onTaskManagement(header: Buffer): void {
    const pdu = decodeTaskManagementRequest(header);
    const isAll = pdu.function !== TaskManagementFunction.AbortTask;
    const victims = [...this.#pending.values()].filter((command) => isAll || command.tag === pdu.referencedTaskTag);
    for (const command of victims) {
      command.isAborted = true;
      this.#pending.delete(command.tag);
    }
    const response = isAll || victims.length > 0 ? 0 : 1;
    const answer = { response, initiatorTaskTag: pdu.initiatorTaskTag, ...this.#sequence(true) };
    this.#send(encodeTaskManagementResponse(answer));
  }

  #onLogout(header: Buffer): void {
    const { initiatorTaskTag } = decodeLogoutRequest(header);
    const answer = { response: 0, initiatorTaskTag, ...this.#sequence(true), time2Wait: 2, time2Retain: 0 };
    this.#socket.end(encodeLogoutResponse(answer));
  }

  #localAddress(): string {
    const address = this.#socket.localAddress ?? "127.0.0.1";
    const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
    return plain.includes(":") ? `[${plain}]:${this.#socket.localPort}` : `${plain}:${this.#socket.localPort}`;
  }

  /** Sequence numbers of the next PDU; a status uses its StatSN up. */
  #sequence(usesStatSn: boolean): TargetSequence {
    const statSn = this.#statSn;
    if (usesStatSn) this.#statSn = serialAdd(statSn, this.#context.faults.skipsStatSn === true ? 2 : 1);
    // Trap: every outstanding command takes its place in the window until its status is out.
    const used = Math.min(this.#pending.size, this.#context.commandWindow);
    const maxCmdSn = serialAdd(this.#expCmdSn, this.#context.commandWindow - used - 1);
    return { statSn, expCmdSn: this.#expCmdSn, maxCmdSn: this.#highest(maxCmdSn) };
  }

  #lastMaxCmdSn: number | undefined;

  /** MaxCmdSN never moves back (RFC 7143 4.2.2.1). */
  #highest(maxCmdSn: number): number {
    if (this.#lastMaxCmdSn === undefined || isSerialAfter(maxCmdSn, this.#lastMaxCmdSn)) this.#lastMaxCmdSn = maxCmdSn;
    return this.#lastMaxCmdSn;
  }

  #send(header: Buffer, data?: Buffer): void {
    this.#socket.cork();
    this.#socket.write(header);
    if (data !== undefined && data.length > 0) {
      this.#socket.write(data);
      const padding = paddingOf(data.length);
      if (padding > 0) this.#socket.write(PADDING.subarray(0, padding));
    }
    this.#socket.uncork();
  }
}
