// A BMC in software: RMCP ping, sessionless commands, RMCP+ sessions and chassis commands on one UDP port.

import { createHash } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { PRIVILEGE_LEVEL, type PrivilegeLevel } from "../commands/command.ts";
import { IpmiError } from "../errors.ts";
import { bmcName, resolveOptions } from "../options.ts";
import { nextSequence } from "../sequence-window.ts";
import { decodeMessage, encodeMessage, type IpmiMessage, responseTo } from "../wire/message.ts";
import { decodePresencePing, decodeRmcp, encodePresencePong, encodeRmcp, RMCP_CLASS } from "../wire/rmcp.ts";
import { decodeSessionlessV15, encodeSessionlessV15, isSessionV15 } from "../wire/session-v15.ts";
import {
  decodePacket,
  encodePlainPacket,
  encodeSealedPacket,
  PAYLOAD_TYPE,
  type ReceivedPacket,
  unseal,
} from "../wire/session-v20.ts";
import { WireError } from "../wire/wire-error.ts";
import { SimulatedChassis, type SimulatorHandlers } from "./chassis.ts";
import { buildCommandTable, commandKey, type SimulatedCommand } from "./command-table.ts";
import { FaultyLink, type SimulatorFaults } from "./faults.ts";
import { SessionTable, type SimulatedSession } from "./session-table.ts";
import { SessionSetup } from "./setup.ts";

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
  readonly kg?: string | Buffer;
  /** 16 bytes, or 32 hex digits with or without dashes. Default: made from address, port and user. */
  readonly guid?: string | Buffer;
  /** Default 3, 17. */
  readonly cipherSuites?: readonly number[];
  /** Session slots. Default 4. */
  readonly maxSessions?: number;
  /** A session unused for so long is gone, in milliseconds. Default 60000. */
  readonly sessionIdleMs?: number;
  readonly handlers: SimulatorHandlers;
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
  readonly #setup: SessionSetup;
  readonly #commands: ReadonlyMap<number, SimulatedCommand>;
  readonly #running = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket, options: BmcSimulatorOptions) {
    this.#socket = socket;
    this.address = options.address;
    this.port = socket.address().port;
    this.faults = { ...options.faults };
    this.#link = new FaultyLink(this.faults);
    this.#chassis = new SimulatedChassis(options.handlers, this.faults);
    this.#sessions = new SessionTable(options.maxSessions ?? 4, options.sessionIdleMs ?? 60_000);
    const cipherSuites = options.cipherSuites ?? [3, 17];
    const identity = {
      user: options.user,
      password: options.password,
      kg: options.kg,
      guid: guidBytes(options, this.port),
      privilege: PRIVILEGE_LEVEL[options.privilege ?? "administrator"],
      cipherSuites,
    };
    this.#setup = new SessionSetup(identity, this.#sessions, this.faults);
    const hasKg = options.kg !== undefined;
    this.#commands = buildCommandTable({ chassis: this.#chassis, sessions: this.#sessions, cipherSuites, hasKg });
    socket.on("message", (datagram, from) => this.#link.receive(() => this.#track(this.#receive(datagram, from))));
    // ICMP errors about a console that went away are not ours to act on.
    socket.on("error", () => {});
  }

  /** Starts a BMC. `InvalidArgument` for a user or password IPMI does not allow, and for an address that cannot be had. */
  static async listen(options: BmcSimulatorOptions): Promise<BmcSimulator> {
    resolveOptions({ ...options, port: options.port || 1 });
    const socket = createSocket(isIPv6(options.address) ? "udp6" : "udp4");
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(options.port ?? 0, options.address, () => {
        socket.off("error", reject);
        resolve();
      });
    }).catch((cause: Error) => {
      socket.close();
      const { address } = options;
      const text = `a simulated BMC cannot listen on ${bmcName(address, options.port ?? 0)}: ${cause.message}`;
      throw new IpmiError("InvalidArgument", text, { address, operation: "listen", cause });
    });
    return new BmcSimulator(socket, options);
  }

  /** Active sessions now. */
  get sessionCount(): number {
    return this.#sessions.activeCount;
  }

  /** Stops: the port is free and no callback runs any more when it resolves. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#link.close();
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
    try {
      const { messageClass, body } = decodeRmcp(datagram);
      if (messageClass === RMCP_CLASS.asf) {
        const ping = decodePresencePing(body);
        if (ping !== undefined) this.#send(encodePresencePong(ping.tag), from);
      } else if (isSessionV15(body)) {
        const answer = await this.#answerSessionless(decodeMessage(decodeSessionlessV15(body)));
        this.#send(encodeRmcp(RMCP_CLASS.ipmi, encodeSessionlessV15(answer)), from);
      } else {
        await this.#receiveV20(decodePacket(body), from);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counters.datagramsIgnored += 1;
    }
  }

  async #receiveV20(packet: ReceivedPacket, from: RemoteInfo): Promise<void> {
    const { payloadType } = packet;
    if (payloadType === PAYLOAD_TYPE.ipmi && packet.sessionId === 0) {
      const payload = await this.#answerSessionless(decodeMessage(packet.payload));
      this.#sendPlain(PAYLOAD_TYPE.ipmi, payload, from);
    } else if (isSetup(payloadType) && packet.sessionId === 0) {
      const reply = this.#setup.answer(payloadType, packet.payload);
      if (reply !== undefined) this.#sendPlain(reply.payloadType, reply.payload, from);
    } else {
      await this.#receiveInSession(packet, from);
    }
  }

  async #receiveInSession(received: ReceivedPacket, from: RemoteInfo): Promise<void> {
    const session = this.#sessions.get(received.sessionId);
    if (session?.keys === undefined) throw new WireError("there is no such session");
    const packet = unseal(received, session.keys);
    if (!session.window.accept(packet.sequence)) throw new WireError("the session sequence number is not new");
    if (session.sequence === 0 && session.last === undefined) this.counters.sessionsOpened += 1;
    session.usedAtMs = performance.now();
    if (packet.payloadType !== PAYLOAD_TYPE.ipmi) throw new WireError("the payload is not an IPMI message");
    const payload = await this.#answerOnce(session, packet.payload);
    session.sequence = nextSequence(session.sequence);
    const answer = {
      payloadType: PAYLOAD_TYPE.ipmi,
      sessionId: session.consoleSessionId,
      sequence: session.sequence,
      payload,
    };
    this.#send(encodeRmcp(RMCP_CLASS.ipmi, encodeSealedPacket(answer, session.keys)), from);
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
