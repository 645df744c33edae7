// An IPMI 2.0 session: sequence numbers, replies paired with requests, commands, close (IPMI 2.0, 6.12, 13.28).

import { readBootDevice, writeBootDevice } from "./boot-device.ts";
import { type Budget, pause, remainingMs, startBudget } from "./budget.ts";
import type { BootDeviceSetting, BootFlags } from "./commands/boot-flags.ts";
import { type ChassisControlAction, chassisControl } from "./commands/chassis-control.ts";
import { closeSession } from "./commands/close-session.ts";
import { answerOf, type Command } from "./commands/command.ts";
import type { RunOptions } from "./commands/command-runner.ts";
import { type ChassisStatus, getChassisStatus } from "./commands/get-chassis-status.ts";
import { type DeviceId, getDeviceId } from "./commands/get-device-id.ts";
import {
  PRIVILEGE_EXCEEDS_LIMIT,
  PRIVILEGE_NOT_AVAILABLE,
  setSessionPrivilegeLevel,
} from "./commands/set-session-privilege-level.ts";
import { completionCodeError, IpmiError, type Peer } from "./errors.ts";
import { abortedError, exchange } from "./exchange.ts";
import type { EstablishedSession } from "./handshake.ts";
import type { ResolvedOptions } from "./options.ts";
import { type SessionPayload, sealCloseSession } from "./session-packets.ts";
import { ignoringWireErrors } from "./sessionless.ts";
import type { Transport } from "./transport.ts";
import { consoleRequest, decodeMessage, encodeMessage, type IpmiMessage } from "./wire/message.ts";
import { decodeRmcp, RMCP_CLASS } from "./wire/rmcp.ts";
import { PAYLOAD_TYPE } from "./wire/session-v20.ts";
import { WireError } from "./wire/wire-error.ts";

/** What a command accepts besides its request. */
export interface CommandOptions extends RunOptions {
  /** Sends without an answer before `Timeout`. Default: until the deadline. */
  readonly maxSends?: number;
}

const NODE_BUSY = 0xc0;
const BUSY_PAUSE_MS = 300;
/** What a UDP datagram of IPv4 has left for a payload, the most that is added to it taken away. */
const MAX_PAYLOAD_BYTES = 65_400;
const CLOSE_DEADLINE_MS = 1000;

/**
 * An open session. Several commands may be asked for at once, but many BMCs lose all but one: use {@link Bmc}, which
 * keeps one in flight.
 */
export class IpmiSession {
  /** The IPMI version of the session: 2.0 is RMCP+. */
  readonly protocol: "2.0" | "1.5";
  /** Id of the cipher suite in use; undefined in an IPMI 1.5 session. */
  readonly cipherSuite: number | undefined;
  /** The BMC's GUID, 16 bytes as they came; empty in an IPMI 1.5 session, whose setup does not tell it. */
  readonly guid: Buffer;
  readonly #transport: Transport;
  readonly #session: EstablishedSession;
  readonly #options: ResolvedOptions;
  readonly #pending = new Map<number, (message: IpmiMessage) => void>();
  readonly #payloads = new Map<number, (payload: Buffer) => void>();
  readonly #unsubscribe: () => void;
  #rqSeq = 0;
  #closing: Promise<void> | undefined;

  /** For `openSession`; takes the transport over. */
  constructor(transport: Transport, session: EstablishedSession, options: ResolvedOptions) {
    this.#transport = transport;
    this.#session = session;
    this.#options = options;
    this.protocol = session.suite === undefined ? "1.5" : "2.0";
    this.cipherSuite = session.suite?.id;
    this.guid = session.guid;
    this.#unsubscribe = transport.subscribe((datagram) => ignoringWireErrors(() => this.#receive(datagram)));
  }

  /** Host name or address of the BMC. */
  get address(): string {
    return this.#transport.address;
  }

  /** How errors name the BMC. */
  get peer(): Peer {
    return this.#transport;
  }

  /** Power state and faults (28.2). */
  getChassisStatus(options?: CommandOptions): Promise<ChassisStatus> {
    return this.execute(getChassisStatus, undefined, options);
  }

  /** Power and reset (28.3). Resolves when the BMC has accepted it, which may be long before it is done. */
  chassisControl(action: ChassisControlAction, options?: CommandOptions): Promise<void> {
    return this.execute(chassisControl, { action }, options);
  }

  /** Tells the machine what to boot from (28.12). */
  setBootDevice(setting: BootDeviceSetting, options?: CommandOptions): Promise<void> {
    return writeBootDevice(this, setting, options);
  }

  /** The boot flags as the BMC has them (28.13). */
  getBootDevice(options?: CommandOptions): Promise<BootFlags> {
    return readBootDevice(this, options);
  }

  /** Vendor, product and firmware (20.1). */
  getDeviceId(options?: CommandOptions): Promise<DeviceId> {
    return this.execute(getDeviceId, undefined, options);
  }

  /** Raises or lowers the session's privilege (22.18). `openSession` has done it once. */
  async setPrivilege(privilege: number, options?: CommandOptions): Promise<void> {
    try {
      await this.execute(setSessionPrivilegeLevel, { privilege }, options);
    } catch (error) {
      if (!(error instanceof IpmiError) || !isPrivilegeRefusal(error.completionCode)) throw error;
      const { address, operation, completionCode } = error;
      throw new IpmiError("InsufficientPrivilege", error.message, { address, operation, completionCode, cause: error });
    }
  }

  /** Runs any command. `CompletionCode` if the BMC refuses it, `Timeout` if nothing answers. */
  async execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options: CommandOptions = {},
  ): Promise<Response> {
    if (this.#closing !== undefined) throw this.#closedError(command.name);
    if (options.needsEncryption && !this.#session.suite?.isEncrypted) throw this.#clearTextError(command.name);
    const budget = startBudget(options.deadlineMs ?? this.#options.deadlineMs, options.signal);
    for (;;) {
      const data = await this.#ask(command, request, budget, options.maxSends);
      const completionCode = data[0] ?? 0xff;
      if (completionCode === 0) return this.#decode(command, data.subarray(1));
      const error = completionCodeError(this.#transport, command.name, completionCode, command.completionCodes);
      if (completionCode !== NODE_BUSY || remainingMs(budget) <= BUSY_PAUSE_MS) throw error;
      await pause(BUSY_PAUSE_MS, budget);
      if (budget.signal?.aborted) throw abortedError(this.#transport, command.name, budget.signal);
    }
  }

  /** Sends a payload of another type than IPMI messages inside the session, once: the payload's own rules say when again. */
  sendPayload(payloadType: number, payload: Buffer): void {
    if (this.#closing === undefined) this.#sendSealed(payloadType, payload);
  }

  /**
   * Calls `listener` with each payload of `payloadType`, checked and decrypted, in the order of arrival, until the session ends.
   * One listener for each type. What it throws as `WireError` is as good as a lost datagram.
   */
  onPayload(payloadType: number, listener: (payload: Buffer) => void): void {
    this.#payloads.set(payloadType, listener);
  }

  /** Ends the session on the BMC, as far as it still answers, and closes the socket. Never throws. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes the socket at once; one Close Session is sent and not waited for. For sessions the BMC seems to have lost. */
  abandon(): Promise<void> {
    if (this.#closing === undefined) {
      // The number may be one that still waits: nobody waits for the answer to this.
      this.#rqSeq = (this.#rqSeq + 1) & 0x3f;
      this.#transport.send(sealCloseSession(this.#session.packets, this.#session.bmcSessionId, this.#rqSeq));
      this.#closing = this.#release();
    }
    return this.#closing;
  }

  async #close(): Promise<void> {
    const budget = startBudget(CLOSE_DEADLINE_MS);
    const request = { bmcSessionId: this.#session.bmcSessionId };
    try {
      await this.#ask(closeSession, request, budget, undefined);
    } catch {
      // A BMC that does not answer forgets the session by itself after 60 seconds; there is nothing to report.
    } finally {
      await this.#release();
    }
  }

  #release(): Promise<void> {
    this.#unsubscribe();
    this.#payloads.clear();
    return this.#transport.close();
  }

  #ask<Request>(
    command: Command<Request, unknown>,
    asked: Request,
    budget: Budget,
    maxSends: number | undefined,
  ): Promise<Buffer> {
    const rqSeq = this.#nextRqSeq();
    const message = consoleRequest(command.netFn, command.code, rqSeq, command.encodeRequest(asked, rqSeq));
    const request = {
      operation: command.name,
      maxSends,
      retransmitMs: this.#options.retransmitMs,
      // Each send has a new session sequence number and the same rqSeq: the BMC takes it as a packet of its own, and
      // any of the answers will do (6.12).
      send: () => this.#send(message),
      listen: (resolve: (data: Buffer) => void) => {
        this.#pending.set(rqSeq, (answer) => {
          const data = answerOf(command, answer);
          if (data !== undefined) resolve(data);
        });
        return () => this.#pending.delete(rqSeq);
      },
    };
    return exchange(this.#transport, request, budget);
  }

  #send(message: IpmiMessage): void {
    this.#sendSealed(PAYLOAD_TYPE.ipmi, encodeMessage(message));
  }

  #sendSealed(payloadType: number, payload: Buffer): void {
    this.#transport.send(this.#seal(payloadType, payload));
  }

  #seal(payloadType: number, payload: Buffer): Buffer {
    try {
      if (payload.length > MAX_PAYLOAD_BYTES) throw new WireError(`${payload.length} bytes fit into no packet`);
      return this.#session.packets.seal(payloadType, payload);
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      const { address, name } = this.#transport;
      const text = `cannot send this to ${name}: ${cause.message}`;
      throw new IpmiError("InvalidArgument", text, { address, operation: "send a packet", cause });
    }
  }

  /** 6 bits; one that still waits is not used again, so that a late answer cannot be taken for another's. */
  #nextRqSeq(): number {
    for (let tried = 0; tried < 64; tried += 1) {
      this.#rqSeq = (this.#rqSeq + 1) & 0x3f;
      if (!this.#pending.has(this.#rqSeq)) return this.#rqSeq;
    }
    const { address, name } = this.#transport;
    const text = `64 commands wait for ${name}: the specification has no number for another`;
    throw new IpmiError("InvalidArgument", text, { address, operation: "send a command" });
  }

  #receive(datagram: Buffer): void {
    const { body, messageClass } = decodeRmcp(datagram);
    if (messageClass !== RMCP_CLASS.ipmi) return;
    const packet = this.#session.packets.open(body);
    if (packet !== undefined) this.#dispatch(packet);
  }

  #dispatch(packet: SessionPayload): void {
    if (packet.payloadType !== PAYLOAD_TYPE.ipmi) {
      this.#payloads.get(packet.payloadType)?.(packet.payload);
      return;
    }
    const message = decodeMessage(packet.payload);
    this.#pending.get(message.sequence)?.(message);
  }

  #decode<Response>(command: Command<unknown, Response>, data: Buffer): Response {
    try {
      return command.decodeResponse(data);
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      const { address, name } = this.#transport;
      const text = `${name} answered ${command.name} with bytes that make no sense: ${cause.message}`;
      throw new IpmiError("Protocol", text, { address, operation: command.name, cause });
    }
  }

  #clearTextError(operation: string): IpmiError {
    const { address, name } = this.#transport;
    const kind = this.cipherSuite === undefined ? "IPMI 1.5" : `cipher suite ${this.cipherSuite}`;
    const text = `${operation}: not done at ${name}, as its session (${kind}) encrypts nothing and others could read the secret; use cipher suite 17 or 3, or allow clear text`;
    return new IpmiError("InvalidArgument", text, { address, operation });
  }

  #closedError(operation: string): IpmiError {
    const { address, name } = this.#transport;
    return new IpmiError("Closed", `${operation}: the session with ${name} is closed`, { address, operation });
  }
}

function isPrivilegeRefusal(completionCode: number | undefined): boolean {
  return completionCode === PRIVILEGE_NOT_AVAILABLE || completionCode === PRIVILEGE_EXCEEDS_LIMIT;
}
