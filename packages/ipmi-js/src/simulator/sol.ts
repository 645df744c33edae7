// The BMC's side of Serial over LAN: one line of the machine, one session at a time (IPMI 2.0, chapter 15, 24.1, 24.2, 26).
import type { Duplex } from "node:stream";
import {
  type ActivatePayloadRequest,
  type ActivatePayloadResponse,
  PAYLOAD_ALREADY_ACTIVE,
  PAYLOAD_TYPE_DISABLED,
} from "../commands/activate-payload.ts";
import { PAYLOAD_ALREADY_DEACTIVATED } from "../commands/deactivate-payload.ts";
import { decodeSolRetry, encodeSolRetry, SOL_PARAMETER } from "../commands/sol-configuration.ts";
import { SolReceiver } from "../sol/sol-receiver.ts";
import { SolSender } from "../sol/sol-sender.ts";
import { PAYLOAD_TYPE } from "../wire/session-v20.ts";
import {
  decodeSolPacket,
  encodeSolPacket,
  SOL_HEADER_LENGTH,
  SOL_OPERATION,
  SOL_STATUS,
  type SolPacket,
  solAcknowledgement,
} from "../wire/sol.ts";
import { WireError } from "../wire/wire-error.ts";
import type { SimulatorFaults } from "./faults.ts";
import type { Outcome } from "./outcome.ts";
import type { SimulatedSession } from "./session-table.ts";

/** The machine's serial line: its characters are read, ours written. */
export interface SimulatedSerial {
  /** Called at the start, and again a second after the line has ended. */
  open(): Duplex;
  /** The console sends a break. */
  onBreak?(): void;
  /** Longest SOL payload of each direction, in bytes, at most 259. Default 132 from the console, 204 to it. */
  readonly inboundPayloadBytes?: number;
  readonly outboundPayloadBytes?: number;
}

/** What the simulator lends to its SOL. */
export interface SolHost {
  readonly port: number;
  readonly faults: SimulatorFaults;
  send(session: SimulatedSession, payload: Buffer): void;
  /** False when the session has ended, by itself or another's hand. */
  isAlive(session: SimulatedSession): boolean;
}

const INSTANCE = 1;
const INVALID_DATA_FIELD = 0xcc;
const ENCRYPTION_UNAVAILABLE = 0x83;
const ENCRYPTION_REQUIRED = 0x84;
const INBOUND_BYTES = 132;
const OUTBOUND_BYTES = 204;
/** What the machine wrote last, for the next console. */
const RING_BYTES = 4096;
/** Characters that wait for a console before the line is left unread. */
const QUEUE_BYTES = 64 * 1024;
const REOPEN_MS = 1000;
const ADMINISTRATOR = 0x04;
const BIT_RATE_115200 = 0x0a;

export class SimulatedSol {
  readonly #serial: SimulatedSerial | undefined;
  readonly #host: SolHost;
  readonly #parameters: Map<number, Buffer>;
  readonly #inboundBytes: number;
  readonly #outboundBytes: number;
  #line: Duplex | undefined;
  #reopenTimer: NodeJS.Timeout | undefined;
  #ring = Buffer.alloc(0);
  #owner: SimulatedSession | undefined;
  #sender = new SolSender(1);
  #receiver = new SolReceiver();
  #retryTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(serial: SimulatedSerial | undefined, host: SolHost) {
    this.#serial = serial;
    this.#host = host;
    this.#inboundBytes = serial?.inboundPayloadBytes ?? INBOUND_BYTES;
    this.#outboundBytes = serial?.outboundPayloadBytes ?? OUTBOUND_BYTES;
    this.#parameters = initialParameters(host.port);
    this.#openLine();
  }

  /** The instance that is active now, if one is. */
  get activeInstances(): readonly number[] {
    return this.#activeOwner() === undefined ? [] : [INSTANCE];
  }

  /** The BMC's id of the session that has the instance; 0: none has. */
  sessionIdOf(payloadType: number, instance: number): number {
    const isOurs = payloadType === PAYLOAD_TYPE.serialOverLan && instance === INSTANCE;
    return (isOurs && this.#activeOwner()?.bmcSessionId) || 0;
  }

  activate(session: SimulatedSession, request: ActivatePayloadRequest): Outcome<ActivatePayloadResponse> {
    const { algorithms } = session.suite;
    if (this.#serial === undefined) return { refusal: PAYLOAD_TYPE_DISABLED };
    if (request.payloadType !== PAYLOAD_TYPE.serialOverLan || request.instance !== INSTANCE) {
      return { refusal: INVALID_DATA_FIELD };
    }
    if (((this.#parameters.get(SOL_PARAMETER.enable)?.[0] ?? 0) & 1) === 0) return { refusal: PAYLOAD_TYPE_DISABLED };
    if (request.encryption && algorithms.confidentiality === 0) return { refusal: ENCRYPTION_UNAVAILABLE };
    if (!request.encryption && algorithms.confidentiality !== 0) return { refusal: ENCRYPTION_REQUIRED };
    const owner = this.#activeOwner();
    if (owner !== undefined && owner !== session) return { refusal: PAYLOAD_ALREADY_ACTIVE };
    if (owner === undefined) this.#begin(session);
    const { port } = this.#host;
    const sizes = { inboundPayloadBytes: this.#inboundBytes, outboundPayloadBytes: this.#outboundBytes };
    return { response: { ...sizes, port } };
  }

  /** Any session may end the payload; the one that had it is told, but for a fault. */
  deactivate(session: SimulatedSession | undefined): Outcome<void> {
    const owner = this.#activeOwner();
    if (owner === undefined) return { refusal: PAYLOAD_ALREADY_DEACTIVATED };
    if (owner !== session && this.#host.faults.takesSolSilently !== true) {
      this.#send(solAcknowledgement(0, 0, SOL_STATUS.deactivated));
    }
    this.#release();
    return { response: undefined };
  }

  getParameter(parameter: number): Buffer | undefined {
    return this.#parameters.get(parameter);
  }

  /** False: there is no such parameter. */
  setParameter(parameter: number, data: Buffer): boolean {
    const kept = this.#parameters.get(parameter);
    if (kept === undefined) return false;
    if (data.length < kept.length) throw new WireError(`SOL parameter ${parameter} needs ${kept.length} bytes`);
    this.#parameters.set(parameter, Buffer.from(data.subarray(0, kept.length)));
    return true;
  }

  /** A SOL payload of a session. @throws WireError if it is none, or SOL is not active in that session */
  receive(session: SimulatedSession, payload: Buffer): void {
    const packet = decodeSolPacket(payload);
    if (this.#activeOwner() !== session) throw new WireError("SOL is not active in this session");
    if ((packet.flags & SOL_OPERATION.flushOutbound) !== 0) this.#sender.flush();
    if (packet.ackSequence !== 0) this.#acknowledged(packet);
    if (packet.sequence !== 0) this.#take(packet);
  }

  /** Ends the line and the timers. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#reopenTimer);
    this.#release();
    this.#line?.destroy();
  }

  #begin(session: SimulatedSession): void {
    this.#owner = session;
    this.#sender = new SolSender(this.#outboundBytes - SOL_HEADER_LENGTH);
    this.#receiver = new SolReceiver();
    this.#sender.push(this.#ring);
    this.#ring = Buffer.alloc(0);
    // The response to the activation goes first.
    setImmediate(() => this.#pump());
  }

  #release(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#owner = undefined;
    this.#line?.resume();
  }

  /** Sessions end without a word to us, so each use looks. */
  #activeOwner(): SimulatedSession | undefined {
    if (this.#owner !== undefined && !this.#host.isAlive(this.#owner)) this.#release();
    return this.#owner;
  }

  #openLine(): void {
    if (this.#serial === undefined || this.#isClosed) return;
    const line = this.#serial.open();
    this.#line = line;
    line.on("data", (chunk: Buffer) => this.#fromLine(chunk));
    // What is wrong with the line shows in its end.
    line.on("error", () => {});
    line.once("close", () => {
      if (this.#line !== line) return;
      this.#line = undefined;
      if (!this.#isClosed) this.#reopenTimer = setTimeout(() => this.#openLine(), REOPEN_MS);
    });
  }

  #fromLine(chunk: Buffer): void {
    if (this.#activeOwner() === undefined) {
      this.#ring = Buffer.concat([this.#ring, chunk]).subarray(-RING_BYTES);
      return;
    }
    this.#sender.push(chunk);
    if (this.#sender.pendingUnits > QUEUE_BYTES) this.#line?.pause();
    this.#pump();
  }

  #pump(): void {
    if (this.#retryTimer !== undefined || this.#activeOwner() === undefined) return;
    if (this.#sender.next() !== undefined) this.#sendInFlight();
  }

  /** Again and again while the session lives: this BMC loses nothing, whatever retry count it is configured with. */
  #sendInFlight(): void {
    const packet = this.#sender.inFlight;
    if (packet !== undefined) this.#send({ ...packet, ackSequence: 0, acceptedCharacters: 0 });
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      if (this.#activeOwner() === undefined) return;
      if (this.#sender.inFlight === undefined) this.#pump();
      else this.#sendInFlight();
    }, this.#retryMs());
  }

  #acknowledged({ ackSequence, acceptedCharacters, flags }: SolPacket): void {
    const effect = this.#sender.acknowledge(ackSequence, acceptedCharacters, (flags & SOL_OPERATION.nack) !== 0);
    // A console that took nothing gets the next packet when the retry is due.
    if (effect === "ignored" || effect === "refused") return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (this.#sender.pendingUnits < QUEUE_BYTES / 2) this.#line?.resume();
    this.#pump();
  }

  #take({ sequence, data, flags }: SolPacket): void {
    const isNew = !this.#receiver.isRepetition(sequence, data);
    const line = this.#line;
    if (isNew && data.length > 0) {
      if (line === undefined || !line.writable) {
        this.#send(solAcknowledgement(sequence, 0, SOL_STATUS.nack | SOL_STATUS.transferUnavailable));
        return;
      }
      // Not acknowledged, so that it comes again when the line has room.
      if (line.writableNeedDrain) return;
    }
    const { fresh, acceptedCharacters } = this.#receiver.receive(
      sequence,
      data,
      this.#inboundBytes - SOL_HEADER_LENGTH,
    );
    if (acceptedCharacters === undefined) return;
    if (fresh.length > 0) line?.write(fresh);
    if (isNew && (flags & SOL_OPERATION.generateBreak) !== 0) this.#serial?.onBreak?.();
    this.#send(solAcknowledgement(sequence, acceptedCharacters));
  }

  #send(packet: SolPacket): void {
    if (this.#owner !== undefined) this.#host.send(this.#owner, encodeSolPacket(packet));
  }

  #retryMs(): number {
    return Math.max(10, decodeSolRetry(this.#parameters.get(SOL_PARAMETER.retry) ?? Buffer.alloc(2)).intervalMs);
  }
}

/** Enabled; encryption and authentication forced, for administrators; 115200 bits per second. */
function initialParameters(port: number): Map<number, Buffer> {
  const udpPort = Buffer.alloc(2);
  udpPort.writeUInt16LE(port);
  return new Map([
    [SOL_PARAMETER.setInProgress, Buffer.from([0])],
    [SOL_PARAMETER.enable, Buffer.from([1])],
    [SOL_PARAMETER.authentication, Buffer.from([0xc0 | ADMINISTRATOR])],
    [SOL_PARAMETER.accumulate, Buffer.from([12, 96])],
    [SOL_PARAMETER.retry, encodeSolRetry({ count: 7, intervalMs: 100 })],
    [SOL_PARAMETER.nonvolatileBitRate, Buffer.from([BIT_RATE_115200])],
    [SOL_PARAMETER.volatileBitRate, Buffer.from([BIT_RATE_115200])],
    [SOL_PARAMETER.payloadChannel, Buffer.from([1])],
    [SOL_PARAMETER.payloadPort, udpPort],
  ] as const);
}
