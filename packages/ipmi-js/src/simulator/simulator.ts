// A BMC in software: RMCP ping, sessionless commands, sessions (RMCP+ and IPMI 1.5) and chassis commands on one UDP port.

import { createHash } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { bmcName } from "../bmc-name.ts";
import type { PrivilegeLevel } from "../commands/command.ts";
import { passwordSizeOf } from "../commands/set-user-password.ts";
import { IpmiError, messageOf } from "../errors.ts";
import { type ResolvedOptions, resolveOptions } from "../options.ts";
import { decodeMessage, encodeMessage, type IpmiMessage, responseTo } from "../wire/message.ts";
import { decodePresencePing, decodeRmcp, encodePresencePong, encodeRmcp, RMCP_CLASS } from "../wire/rmcp.ts";
import {
  AUTHENTICATION_TYPE,
  type AuthenticationTypeName,
  decodePacketV15,
  decodeSessionlessV15,
  encodeSessionlessV15,
  isSessionV15,
} from "../wire/session-v15.ts";
import { decodePacket, encodePlainPacket, PAYLOAD_TYPE } from "../wire/session-v20.ts";
import { WireError } from "../wire/wire-error.ts";
import { SimulatedChassis, type SimulatorHandlers } from "./chassis.ts";
import { buildCommandTable, commandKey, type SimulatedCommand } from "./command-table.ts";
import type { SimulatorContent } from "./content.ts";
import { FaultyLink, type SimulatorFaults } from "./faults.ts";
import { SimulatedManagement } from "./management-commands.ts";
import { SimulatedRecords } from "./records.ts";
import { SessionTable, type SimulatedSession } from "./session-table.ts";
import { SessionSetup } from "./setup.ts";
import { SessionSetupV15 } from "./setup-v15.ts";
import { type SimulatedSerial, SimulatedSol } from "./sol.ts";
import { LOGIN_SLOT, SimulatedUsers } from "./users.ts";

/** Options of {@link BmcSimulator.listen}. */
export interface BmcSimulatorOptions {
  /** Address to listen on, such as `127.0.0.1`. */
  readonly address: string;
  /** UDP port; 0, the default, takes a free one. */
  readonly port?: number;
  /** The one user of the BMC, at most 16 bytes, and its password, at most 20. */
  readonly user: string;
  readonly password: string;
  /** Highest privilege of the user. Default `administrator`. */
  readonly privilege?: PrivilegeLevel;
  /** As `SessionOptions.kg`. */
  readonly kg?: string | Buffer;
  /** 16 bytes, or 32 hex digits with or without dashes. Default: made from address, port and user. */
  readonly guid?: string | Buffer;
  /** Default 3, 17. */
  readonly cipherSuites?: readonly number[];
  /** Whether it has RMCP+ (IPMI 2.0) sessions. Default true. */
  readonly protocol20?: boolean;
  /** Whether it has IPMI 1.5 sessions. Default false. */
  readonly protocol15?: boolean;
  /** Authentication types of IPMI 1.5 sessions. Default `md5`. */
  readonly v15Authentication?: readonly AuthenticationTypeName[];
  /** Session slots. Default 4. */
  readonly maxSessions?: number;
  /** A session unused for so long is gone, in milliseconds. Default 60000. */
  readonly sessionIdleMs?: number;
  /** How long the BMC is silent after a Cold Reset, in milliseconds. Default 500. */
  readonly coldResetMs?: number;
  readonly handlers: SimulatorHandlers;
  /** The machine's serial line, for Serial over LAN. Default: none, and SOL is disabled. */
  readonly serial?: SimulatedSerial;
  /** Event log, sensors and inventories. Default: a few plausible ones. */
  readonly content?: SimulatorContent;
  readonly faults?: SimulatorFaults;
}

/** What a simulator has counted since it listens. */
export interface SimulatorCounters {
  datagramsReceived: number;
  datagramsSent: number;
  /** Datagrams that made no sense, or were not signed as they should. */
  datagramsIgnored: number;
  sessionsOpened: number;
  commands: number;
}

const INVALID_COMMAND = 0xc1;
const INSUFFICIENT_PRIVILEGE = 0xd4;
const REQUEST_LENGTH_INVALID = 0xc7;
const UNSPECIFIED_ERROR = 0xff;

/** One simulated BMC. Many of them live in one process, each on a port or loopback address of its own. */
export class BmcSimulator {
  readonly address: string;
  readonly port: number;
  /** Set its fields while the simulator runs; all but `seed` take effect at once. */
  readonly faults: SimulatorFaults;
  /** Event log, sensors and inventories: change them while the simulator runs. */
  readonly records: SimulatedRecords;
  readonly counters: SimulatorCounters = {
    datagramsReceived: 0,
    datagramsSent: 0,
    datagramsIgnored: 0,
    sessionsOpened: 0,
    commands: 0,
  };
  readonly #socket: Socket;
  readonly #link: FaultyLink;
  readonly #chassis: SimulatedChassis;
  readonly #sessions: SessionTable;
  readonly #management: SimulatedManagement;
  readonly #users: SimulatedUsers;
  readonly #setup: SessionSetup;
  readonly #setupV15: SessionSetupV15;
  readonly #supportsV20: boolean;
  readonly #sol: SimulatedSol;
  /** Where each session's last packet came from. */
  readonly #consoles = new WeakMap<SimulatedSession, RemoteInfo>();
  readonly #commands: ReadonlyMap<number, SimulatedCommand>;
  readonly #running = new Set<Promise<void>>();
  /** A BMC that starts anew hears nothing until then, in `performance.now()` milliseconds. */
  #silentUntilMs = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    socket: Socket,
    options: BmcSimulatorOptions,
    { privilege, kg }: ResolvedOptions,
    records: SimulatedRecords,
  ) {
    this.#socket = socket;
    this.records = records;
    this.address = options.address;
    this.port = socket.address().port;
    this.faults = { ...options.faults };
    this.#link = new FaultyLink(this.faults);
    this.#chassis = new SimulatedChassis(options.handlers, this.faults);
    this.#sessions = new SessionTable(options.maxSessions ?? 4, options.sessionIdleMs ?? 60_000);
    const cipherSuites = options.cipherSuites ?? [3, 17];
    const guid = guidBytes(options, this.port);
    this.#users = new SimulatedUsers(options.user, options.password, privilege);
    const v15Names = options.protocol15 ? (options.v15Authentication ?? ["md5"]) : [];
    const v15Types = v15Names.map((name) => AUTHENTICATION_TYPE[name]);
    this.#setup = new SessionSetup({ users: this.#users, kg, guid, cipherSuites }, this.#sessions, this.faults);
    this.#setupV15 = new SessionSetupV15(this.#users, v15Types, this.#sessions, this.faults);
    this.#supportsV20 = options.protocol20 ?? true;
    this.#management = new SimulatedManagement({
      chassis: this.#chassis,
      users: this.#users,
      address: this.address,
      guid,
      cipherSuites,
      sessionCount: () => this.sessionCount,
      coldReset: () => {
        this.#sessions.clear();
        this.#silentUntilMs = performance.now() + (options.coldResetMs ?? 500);
      },
    });
    this.#sol = new SimulatedSol(options.serial, {
      port: this.port,
      faults: this.faults,
      isAlive: (session) => this.#sessions.get(session.bmcSessionId) === session,
      send: (session, payload) => {
        const to = this.#consoles.get(session);
        if (to !== undefined) this.#sendInSession(session, PAYLOAD_TYPE.serialOverLan, payload, to);
      },
    });
    this.#commands = buildCommandTable({
      chassis: this.#chassis,
      sessions: this.#sessions,
      sol: this.#sol,
      management: this.#management,
      records,
      setup: this.#setup,
      setupV15: this.#setupV15,
      supportsV20: this.#supportsV20,
      cipherSuites,
      faults: this.faults,
    });
    socket.on("message", (datagram, from) => this.#link.receive(() => this.#track(this.#receive(datagram, from))));
    // ICMP errors about a console that went away are not ours to act on.
    socket.on("error", () => {});
  }

  /** Starts a BMC. `InvalidArgument` for a user or password IPMI does not allow, and for an address that cannot be had. */
  static async listen(options: BmcSimulatorOptions): Promise<BmcSimulator> {
    const resolved = resolveOptions({ ...options, port: options.port || 1, allowCipherZero: true });
    const records = new SimulatedRecords(options.content ?? {}, options.address);
    const socket = createSocket(isIPv6(options.address) ? "udp6" : "udp4");
    try {
      socket.bind(options.port ?? 0, options.address);
      await once(socket, "listening");
    } catch (cause) {
      socket.close();
      const { address } = options;
      const text = `a simulated BMC cannot listen on ${bmcName(address, options.port ?? 0)}: ${messageOf(cause)}`;
      throw new IpmiError("InvalidArgument", text, { address, operation: "listen", cause });
    }
    try {
      return new BmcSimulator(socket, options, resolved, records);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Active sessions now. */
  get sessionCount(): number {
    return this.#sessions.activeCount;
  }

  /**
   * Changes the name and the password that log in, as Set User Name and Set User Password do; open sessions stay. A name that another
   * user has is `InvalidArgument`.
   */
  setUserName(name: string): void {
    if (this.#users.setName(LOGIN_SLOT, name) === 0) return;
    const text = `another user of the simulated BMC is called "${name}"`;
    throw new IpmiError("InvalidArgument", text, { address: this.address, operation: "set the user's name" });
  }

  setPassword(password: string): void {
    const bytes = Buffer.from(password);
    const size = passwordSizeOf(bytes);
    this.#users.setPassword({ userId: LOGIN_SLOT, operation: "set", password: bytes, size });
  }

  /** Stops: the port is free and no callback runs any more when it resolves. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#link.close();
    this.#management.close();
    this.#sol.close();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
    await this.#chassis.close();
    await Promise.all(this.#running);
  }

  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  /** Never rejects: a BMC survives whatever is sent to it. */
  async #receive(datagram: Buffer, from: RemoteInfo): Promise<void> {
    this.counters.datagramsReceived += 1;
    if (performance.now() < this.#silentUntilMs) return;
    try {
      const { messageClass, body } = decodeRmcp(datagram);
      if (messageClass === RMCP_CLASS.asf) {
        const ping = decodePresencePing(body);
        if (ping !== undefined) this.#send(encodePresencePong(ping.tag), from);
      } else if (isSessionV15(body)) {
        await this.#receiveV15(body, from);
      } else {
        await this.#receiveV20(body, from);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counters.datagramsIgnored += 1;
    }
  }

  async #receiveV15(body: Buffer, from: RemoteInfo): Promise<void> {
    const packet = decodePacketV15(body);
    if (packet.sessionId === 0) {
      const answer = await this.#answerSessionless(decodeMessage(decodeSessionlessV15(body)));
      return this.#send(encodeRmcp(RMCP_CLASS.ipmi, encodeSessionlessV15(answer)), from);
    }
    const activated = this.#setupV15.activate(packet);
    if (activated !== undefined) return this.#send(encodeRmcp(RMCP_CLASS.ipmi, activated), from);
    await this.#receiveInSession(packet.sessionId, body, from);
  }

  async #receiveV20(body: Buffer, from: RemoteInfo): Promise<void> {
    const { payloadType, sessionId, payload } = decodePacket(body);
    if (!this.#supportsV20) throw new WireError("RMCP+ is not spoken here");
    if (sessionId !== 0) {
      await this.#receiveInSession(sessionId, body, from);
    } else if (payloadType === PAYLOAD_TYPE.ipmi) {
      this.#sendPlain(PAYLOAD_TYPE.ipmi, await this.#answerSessionless(decodeMessage(payload)), from);
    } else if (isSetup(payloadType)) {
      const reply = this.#setup.answer(payloadType, payload);
      if (reply !== undefined) this.#sendPlain(reply.payloadType, reply.payload, from);
    }
  }

  async #receiveInSession(sessionId: number, body: Buffer, from: RemoteInfo): Promise<void> {
    const session = this.#sessions.get(sessionId);
    const packet = session?.packets?.open(body);
    if (session === undefined || packet === undefined) throw new WireError("there is no such session");
    if (!this.#consoles.has(session)) this.counters.sessionsOpened += 1;
    session.usedAtMs = performance.now();
    this.#consoles.set(session, from);
    if (packet.payloadType === PAYLOAD_TYPE.serialOverLan) return this.#sol.receive(session, packet.payload);
    if (packet.payloadType !== PAYLOAD_TYPE.ipmi) throw new WireError("the payload is not an IPMI message");
    this.#sendInSession(session, PAYLOAD_TYPE.ipmi, await this.#answerOnce(session, packet.payload), from);
  }

  #sendInSession(session: SimulatedSession, payloadType: number, payload: Buffer, to: RemoteInfo): void {
    const { packets } = session;
    if (packets === undefined || (payloadType !== PAYLOAD_TYPE.ipmi && !packets.hasPayloadTypes)) return;
    this.#send(packets.seal(payloadType, payload), to);
  }

  /** A retry (same rqSeq, same bytes) gets the answer of the first copy, even if that is still being worked on. */
  #answerOnce(session: SimulatedSession, request: Buffer): Promise<Buffer> {
    if (session.last?.request.equals(request)) return session.last.answer;
    const message = decodeMessage(request);
    const answer = this.#run(message, session);
    session.last = { request: Buffer.from(request), answer };
    return answer;
  }

  #answerSessionless(message: IpmiMessage): Promise<Buffer> {
    return this.#run(message, undefined);
  }

  async #run(message: IpmiMessage, session: SimulatedSession | undefined): Promise<Buffer> {
    const refuse = (completionCode: number): Buffer =>
      encodeMessage(responseTo(message, completionCode, Buffer.alloc(0)));
    if ((message.netFn & 1) !== 0) throw new WireError("the message is a response");
    const isMeant = ({ netFn, code }: { netFn: number; code: number }) =>
      netFn === message.netFn && code === message.command;
    if (this.faults.ignoredCommands?.some(isMeant)) throw new WireError("the command is ignored");
    const command = this.#commands.get(commandKey(message.netFn, message.command));
    if (command === undefined) return refuse(session === undefined ? INSUFFICIENT_PRIVILEGE : INVALID_COMMAND);
    const isAllowed = session === undefined ? command.isSessionless : session.privilege >= command.privilege;
    if (!isAllowed) return refuse(INSUFFICIENT_PRIVILEGE);
    this.counters.commands += 1;
    try {
      const { completionCode, data } = await command.run(message.data, session);
      return encodeMessage(responseTo(message, completionCode, data));
    } catch (error) {
      // What the owner's callbacks throw is the BMC's inner trouble, not a reason to fall silent.
      return refuse(error instanceof WireError ? REQUEST_LENGTH_INVALID : UNSPECIFIED_ERROR);
    }
  }

  #sendPlain(payloadType: number, payload: Buffer, to: RemoteInfo): void {
    this.#send(encodeRmcp(RMCP_CLASS.ipmi, encodePlainPacket({ payloadType, sessionId: 0, sequence: 0, payload })), to);
  }

  #send(datagram: Buffer, to: RemoteInfo): void {
    this.#link.send(() => {
      if (this.#closing !== undefined) return;
      this.counters.datagramsSent += 1;
      this.#socket.send(datagram, to.port, to.address);
    });
  }
}

function isSetup(payloadType: number): boolean {
  return (
    payloadType === PAYLOAD_TYPE.openSessionRequest ||
    payloadType === PAYLOAD_TYPE.rakp1 ||
    payloadType === PAYLOAD_TYPE.rakp3
  );
}

function guidBytes(options: BmcSimulatorOptions, port: number): Buffer {
  const { guid, address, user } = options;
  if (Buffer.isBuffer(guid) && guid.length === 16) return guid;
  if (guid === undefined) return createHash("sha256").update(`${address}:${port}:${user}`).digest().subarray(0, 16);
  const bytes = Buffer.isBuffer(guid) ? guid : Buffer.from(guid.replaceAll("-", ""), "hex");
  if (bytes.length === 16) return bytes;
  const text = `the GUID of a simulated BMC has 16 bytes (32 hex digits), not ${bytes.length}`;
  throw new IpmiError("InvalidArgument", text, { address, operation: "listen" });
}
