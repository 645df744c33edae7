// What a BMC answers without a session: presence ping, authentication capabilities, cipher suites.

import { DEFAULT_PORT } from "./bmc-name.ts";
import { type Budget, type OperationOptions, startBudget } from "./budget.ts";
import { type Command, PRIVILEGE_LEVEL } from "./commands/command.ts";
import {
  type ChannelAuthenticationCapabilities,
  getChannelAuthenticationCapabilities as capabilitiesCommand,
} from "./commands/get-channel-authentication-capabilities.ts";
import {
  type CipherSuiteRecord,
  getChannelCipherSuites as cipherSuitesCommand,
  decodeCipherSuiteRecords,
} from "./commands/get-channel-cipher-suites.ts";
import { completionCodeError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { type Transport, UdpTransport } from "./transport.ts";
import { isRefusal } from "./walk.ts";
import { consoleRequest, decodeMessage, encodeMessage } from "./wire/message.ts";
import {
  decodePresencePong,
  decodeRmcp,
  encodePresencePing,
  encodeRmcp,
  type PresencePong,
  RMCP_CLASS,
} from "./wire/rmcp.ts";
import { decodeSessionlessV15, encodeSessionlessV15, isSessionV15 } from "./wire/session-v15.ts";
import { decodePacket, encodePlainPacket, PAYLOAD_TYPE } from "./wire/session-v20.ts";
import { WireError } from "./wire/wire-error.ts";

/** Where to ask, and for how long. */
export interface SessionlessOptions extends OperationOptions {
  readonly address: string;
  /** UDP port. Default 623. */
  readonly port?: number;
  /** Default 1000; see `SessionOptions.retransmitMs`. */
  readonly retransmitMs?: number;
}

const DEFAULT_DEADLINE_MS = 5000;
/** 64 pieces of 16 bytes are all the list index can name. */
const MAX_PIECES = 64;
const PIECE = 16;
/** What BMCs older than IPMI 2.0 may say to the bit that asks for its answer. */
const INVALID_DATA_FIELD = 0xcc;

/** RMCP presence ping (13.2): is there a BMC, and does it speak IPMI? `Timeout` if nothing answers. */
export function ping(options: SessionlessOptions): Promise<PresencePong> {
  return withTransport(options, (transport, budget, retransmitMs) => {
    const tag = Math.floor(Math.random() * 0xff);
    return exchange(
      transport,
      {
        operation: "Presence Ping",
        retransmitMs,
        send: () => transport.send(encodePresencePing(tag)),
        listen: (resolve) =>
          transport.subscribe((datagram) => {
            const pong = ignoringWireErrors(() => readPong(datagram, tag));
            if (pong !== undefined) resolve(pong);
          }),
      },
      budget,
    );
  });
}

/** Get Channel Authentication Capabilities, in the IPMI 1.5 wrapper (22.13). */
export function getChannelAuthenticationCapabilities(
  options: SessionlessOptions,
): Promise<ChannelAuthenticationCapabilities> {
  return withTransport(options, (transport, budget, retransmitMs) =>
    askCapabilities({ transport, budget, retransmitMs }, PRIVILEGE_LEVEL.administrator),
  );
}

/** Get Channel Cipher Suites, the whole list, in the RMCP+ wrapper (22.15). Not every BMC answers it without a session. */
export function getChannelCipherSuites(options: SessionlessOptions): Promise<CipherSuiteRecord[]> {
  return withTransport(options, (transport, budget, retransmitMs) =>
    askCipherSuites({ transport, budget, retransmitMs }),
  );
}

/** Whom a sessionless command is sent to, and how patiently. */
export interface SessionlessAsker {
  readonly transport: Transport;
  readonly budget: Budget;
  readonly retransmitMs: number;
  /** Sends of one command before `Timeout`. Default: until the budget ends. */
  readonly maxSends?: number;
}

/** {@link getChannelAuthenticationCapabilities} over a transport at hand, for a privilege level. */
export async function askCapabilities(
  asker: SessionlessAsker,
  privilege: number,
): Promise<ChannelAuthenticationCapabilities> {
  try {
    return await askSessionless(asker, capabilitiesCommand, { privilege }, false);
  } catch (error) {
    if (!isRefusal(error, INVALID_DATA_FIELD)) throw error;
    return askSessionless(asker, capabilitiesCommand, { privilege, isV15Form: true }, false);
  }
}

/** {@link getChannelCipherSuites} over a transport at hand. */
export async function askCipherSuites(asker: SessionlessAsker): Promise<CipherSuiteRecord[]> {
  const pieces: Buffer[] = [];
  for (let listIndex = 0; listIndex < MAX_PIECES; listIndex += 1) {
    const { records } = await askSessionless(asker, cipherSuitesCommand, { listIndex }, true);
    pieces.push(records);
    if (records.length < PIECE) break;
  }
  return decodeCipherSuiteRecords(Buffer.concat(pieces));
}

async function withTransport<T>(
  options: SessionlessOptions,
  work: (transport: Transport, budget: Budget, retransmitMs: number) => Promise<T>,
): Promise<T> {
  const budget = startBudget(options.deadlineMs ?? DEFAULT_DEADLINE_MS, options.signal);
  const transport = await UdpTransport.connect(options.address, options.port ?? DEFAULT_PORT, budget);
  try {
    return await work(transport, budget, options.retransmitMs ?? 1000);
  } finally {
    await transport.close();
  }
}

let lastSequence = 0;

/** Sends a command that belongs to no session, in the RMCP+ or the IPMI 1.5 wrapper. `CompletionCode` if it is refused. */
export function askSessionless<Request, Response>(
  { transport, budget, retransmitMs, maxSends }: SessionlessAsker,
  command: Command<Request, Response>,
  request: Request,
  isV20: boolean,
): Promise<Response> {
  lastSequence = (lastSequence + 1) & 0x3f;
  const sequence = lastSequence;
  const message = encodeMessage(consoleRequest(command.netFn, command.code, sequence, command.encodeRequest(request)));
  const plain = { payloadType: PAYLOAD_TYPE.ipmi, sessionId: 0, sequence: 0, payload: message };
  const datagram = encodeRmcp(RMCP_CLASS.ipmi, isV20 ? encodePlainPacket(plain) : encodeSessionlessV15(message));
  return exchange(
    transport,
    {
      operation: command.name,
      retransmitMs,
      maxSends,
      send: () => transport.send(datagram),
      listen: (resolve, reject) =>
        transport.subscribe((received) => {
          const data = ignoringWireErrors(() => readAnswer(received, command, sequence));
          if (data === undefined) return;
          if (data[0] !== 0) {
            reject(completionCodeError(transport, command.name, data[0] ?? 0xff, command.completionCodes));
            return;
          }
          const response = ignoringWireErrors(() => command.decodeResponse(data.subarray(1)));
          if (response !== undefined) resolve(response);
        }),
    },
    budget,
  );
}

function readPong(datagram: Buffer, tag: number): PresencePong | undefined {
  const rmcp = decodeRmcp(datagram);
  const pong = rmcp.messageClass === RMCP_CLASS.asf ? decodePresencePong(rmcp.body) : undefined;
  return pong?.tag === tag ? pong : undefined;
}

/** The answer's data with its completion code, or undefined if the datagram answers something else. */
function readAnswer(datagram: Buffer, command: Command<unknown, unknown>, sequence: number): Buffer | undefined {
  const { body, messageClass } = decodeRmcp(datagram);
  if (messageClass !== RMCP_CLASS.ipmi) return undefined;
  const message = decodeMessage(isSessionV15(body) ? decodeSessionlessV15(body) : decodePacket(body).payload);
  const isAnswer =
    message.netFn === (command.netFn | 1) && message.command === command.code && message.sequence === sequence;
  return isAnswer && message.data.length > 0 ? message.data : undefined;
}

/** What `read` gives, or undefined for bytes that make no sense: such datagrams are as good as lost. */
export function ignoringWireErrors<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
