// Session setup of IPMI 2.0: Open Session, RAKP 1 to 4 (13.15 to 13.24). One call is one attempt with one cipher suite.
import { randomInt } from "node:crypto";
import type { Budget } from "./budget.ts";
import {
  type CipherSuite,
  isEqualInConstantTime,
  type RakpTranscript,
  rakp2CheckValue,
  rakp3CheckValue,
  rakp4CheckValue,
  sessionIntegrityKey,
  sessionKeys,
} from "./crypto.ts";
import { IpmiError, isIpmiError, rakpStatusError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import type { ResolvedOptions } from "./options.ts";
import { randomBlock } from "./random-block.ts";
import { RmcpPlusPackets, type SessionPackets, sealCloseSession } from "./session-packets.ts";
import { ignoringWireErrors } from "./sessionless.ts";
import type { Transport } from "./transport.ts";
import { decodeOpenSessionResponse, encodeOpenSessionRequest, type OpenSessionResponse } from "./wire/open-session.ts";
import {
  decodeRakp2,
  decodeRakp4,
  encodeRakp1,
  encodeRakp3,
  NAME_ONLY_LOOKUP,
  type RakpMessage2,
  type RakpMessage4,
} from "./wire/rakp.ts";
import { decodeRmcp, encodeRmcp, RMCP_CLASS } from "./wire/rmcp.ts";
import { decodePacket, encodePlainPacket, isSessionV20, PAYLOAD_TYPE } from "./wire/session-v20.ts";

/** A session both ends agreed on. */
export interface EstablishedSession {
  /** Undefined for an IPMI 1.5 session. */
  readonly suite: CipherSuite | undefined;
  readonly bmcSessionId: number;
  readonly packets: SessionPackets;
  readonly guid: Buffer;
}

/**
 * The attempt came to nothing by loss, or by a BMC that lost its half of it: begin again from Open Session.
 * Never leaves the package while there is time.
 */
export class SetupLostError extends IpmiError {}

/** Sends of one step before the whole attempt is begun again: 5.9 s with the default waits. Beginning again is dear. */
export const SENDS_PER_STEP = 7;

/** How patient an attempt is. */
export interface Patience {
  /** Sends of the Open Session Request before the attempt is lost. */
  readonly openSends: number;
  /**
   * Factor on the waits for RAKP 2. Trap: a BMC slower than our first wait gets RAKP 1 twice, and many make a new
   * random number for the second copy; the check values of the two ends then never agree until we wait longer.
   */
  readonly rakp1Waits: number;
}

interface Attempt {
  readonly transport: Transport;
  readonly options: ResolvedOptions;
  readonly suite: CipherSuite;
  readonly budget: Budget;
  readonly consoleSessionId: number;
  readonly patience: Patience;
}

/**
 * Sets a session up. Throws the final refusals of the BMC as {@link IpmiError}, and {@link SetupLostError} for what
 * another attempt may mend.
 */
export async function establish(
  transport: Transport,
  options: ResolvedOptions,
  suite: CipherSuite,
  budget: Budget,
  patience: Patience,
): Promise<EstablishedSession> {
  // A new id for each attempt: answers to an earlier one are recognised by it, and dropped.
  const consoleSessionId = randomInt(1, 0xffffffff);
  const attempt: Attempt = { transport, options, suite, budget, consoleSessionId, patience };
  const opened = await requestSession(attempt);
  const role = (options.nameOnlyLookup ? NAME_ONLY_LOOKUP : 0) | options.privilege;
  const consoleRandom = randomBlock();
  const identity = { consoleSessionId, bmcSessionId: opened.bmcSessionId, consoleRandom, role, user: options.user };
  const rakp2 = await exchangeRakp1(attempt, identity);
  const transcript: RakpTranscript = { ...identity, bmcRandom: rakp2.bmcRandom, guid: rakp2.guid };
  checkRakp2(attempt, transcript, rakp2);
  const sik = sessionIntegrityKey(suite, options.kg ?? options.userKey, transcript);
  const { bmcSessionId } = opened;
  const packets = new RmcpPlusPackets(bmcSessionId, consoleSessionId, sessionKeys(suite, sik, options.userKey));
  const rakp4 = await exchangeRakp3(attempt, transcript).catch((error: unknown) => {
    // The BMC may have opened the session all the same, and would keep its slot for a minute.
    if (isIpmiError(error, "Timeout", "Aborted")) transport.send(sealCloseSession(packets, bmcSessionId, 1));
    throw error;
  });
  checkRakp4(attempt, rakp4CheckValue(suite, sik, transcript), rakp4);
  return { suite, bmcSessionId, packets, guid: Buffer.from(rakp2.guid) };
}

async function requestSession(attempt: Attempt): Promise<OpenSessionResponse> {
  const { consoleSessionId, suite } = attempt;
  const operation = "Open Session Request";
  // The highest privilege the session may get is left to the BMC (0): RAKP 1 names the one we want.
  const request = { tag: 0, maximumPrivilege: 0, consoleSessionId, algorithms: suite.algorithms };
  const response = await step(attempt, {
    operation,
    type: PAYLOAD_TYPE.openSessionRequest,
    answerType: PAYLOAD_TYPE.openSessionResponse,
    maxSends: attempt.patience.openSends,
    encode: (tag) => encodeOpenSessionRequest({ ...request, tag }),
    decode: decodeOpenSessionResponse,
  });
  if (response.status !== 0) throw rakpStatusError(attempt.transport, operation, response.status);
  const agreed = response.algorithms;
  const { authentication, integrity, confidentiality } = suite.algorithms;
  const isOurs =
    agreed.authentication === authentication &&
    agreed.integrity === integrity &&
    agreed.confidentiality === confidentiality;
  if (!isOurs) throw protocolError(attempt, operation, "the BMC chose other algorithms than the ones we offered");
  return response;
}

async function exchangeRakp1(
  attempt: Attempt,
  identity: Omit<RakpTranscript, "bmcRandom" | "guid">,
): Promise<RakpMessage2> {
  const operation = "RAKP Message 1";
  const rakp2 = await step(attempt, {
    operation,
    type: PAYLOAD_TYPE.rakp1,
    answerType: PAYLOAD_TYPE.rakp2,
    waits: attempt.patience.rakp1Waits,
    encode: (tag) => encodeRakp1({ ...identity, tag }),
    decode: decodeRakp2,
  });
  if (rakp2.status === 0) return rakp2;
  const error = rakpStatusError(attempt.transport, operation, rakp2.status);
  throw isLostState(rakp2.status) ? lost(attempt, operation, error) : error;
}

async function exchangeRakp3(attempt: Attempt, transcript: RakpTranscript): Promise<RakpMessage4> {
  const operation = "RAKP Message 3";
  const { suite, options } = attempt;
  const checkValue = rakp3CheckValue(suite, options.userKey, transcript);
  const rakp4 = await step(attempt, {
    operation,
    type: PAYLOAD_TYPE.rakp3,
    answerType: PAYLOAD_TYPE.rakp4,
    encode: (tag) => encodeRakp3({ tag, status: 0, bmcSessionId: transcript.bmcSessionId, checkValue }),
    decode: decodeRakp4,
  });
  if (rakp4.status === 0) return rakp4;
  const error = rakpStatusError(attempt.transport, operation, rakp4.status);
  // Trap: RAKP 2 proved that the BMC has our password. If it now refuses our check value, it answered two copies of
  // RAKP 1 with two random numbers and we used the older one: not a wrong password, but a reason to begin again.
  throw isLostState(rakp4.status) || rakp4.status === 0x0f ? lost(attempt, operation, error) : error;
}

interface Step<T> {
  readonly operation: string;
  readonly type: number;
  readonly answerType: number;
  /** Default {@link SENDS_PER_STEP}. */
  readonly maxSends?: number;
  /** Factor on the waits. Default 1. */
  readonly waits?: number;
  encode(tag: number): Buffer;
  decode(payload: Buffer): T;
}

/** Sends one message of the setup and waits for its answer. Each send has its own tag; an answer to any of them will do. */
async function step<T extends { tag: number; status: number; consoleSessionId: number }>(
  attempt: Attempt,
  { operation, type, answerType, encode, decode, maxSends = SENDS_PER_STEP, waits = 1 }: Step<T>,
): Promise<T> {
  const { transport, options, budget, consoleSessionId } = attempt;
  let tag = consoleSessionId & 0xff;
  const tags = new Set<number>();
  const read = (datagram: Buffer): T | undefined => {
    const { body, messageClass } = decodeRmcp(datagram);
    if (messageClass !== RMCP_CLASS.ipmi || !isSessionV20(body)) return undefined;
    const packet = decodePacket(body);
    if (packet.payloadType !== answerType || packet.isAuthenticated) return undefined;
    const answer = decode(packet.payload);
    // A refusal may leave our session id out.
    const isForUs =
      answer.consoleSessionId === consoleSessionId || (answer.status !== 0 && answer.consoleSessionId === 0);
    return isForUs && tags.has(answer.tag) ? answer : undefined;
  };
  const request = {
    operation,
    maxSends,
    retransmitMs: options.retransmitMs * waits,
    send: () => {
      tag = (tag + 1) & 0xff;
      tags.add(tag);
      const plain = { payloadType: type, sessionId: 0, sequence: 0, payload: encode(tag) };
      transport.send(encodeRmcp(RMCP_CLASS.ipmi, encodePlainPacket(plain)));
    },
    listen: (resolve: (answer: T) => void) =>
      transport.subscribe((datagram) => {
        const answer = ignoringWireErrors(() => read(datagram));
        if (answer !== undefined) resolve(answer);
      }),
  };
  return exchange(transport, request, budget).catch((error: unknown) => {
    throw isIpmiError(error, "Timeout") ? lost(attempt, operation, error) : error;
  });
}

function checkRakp2(attempt: Attempt, transcript: RakpTranscript, rakp2: RakpMessage2): void {
  const { transport, suite, options } = attempt;
  // RAKP-none has no check values; some BMCs send bytes all the same.
  if (suite.hash === undefined) return;
  if (isEqualInConstantTime(rakp2CheckValue(suite, options.userKey, transcript), rakp2.checkValue)) return;
  // RAKP 3 with the status tells the BMC to free its half of the session at once; no answer is expected.
  const payload = encodeRakp3({
    tag: 0,
    status: 0x0f,
    bmcSessionId: transcript.bmcSessionId,
    checkValue: Buffer.alloc(0),
  });
  const plain = { payloadType: PAYLOAD_TYPE.rakp3, sessionId: 0, sequence: 0, payload };
  transport.send(encodeRmcp(RMCP_CLASS.ipmi, encodePlainPacket(plain)));
  throw wrongPassword(
    attempt,
    "RAKP Message 2",
    `RAKP 2 check failed for ${transport.name}: the password differs from the BMC's`,
  );
}

function checkRakp4(attempt: Attempt, expected: Buffer, rakp4: RakpMessage4): void {
  if (attempt.suite.hash === undefined || isEqualInConstantTime(expected, rakp4.checkValue)) return;
  const what =
    attempt.options.kg === undefined ? "the BMC has a K_g and none was given" : "the K_g differs from the BMC's";
  throw wrongPassword(attempt, "RAKP Message 4", `RAKP 4 check failed for ${attempt.transport.name}: ${what}`);
}

function wrongPassword({ transport }: Attempt, operation: string, text: string): IpmiError {
  return new IpmiError("WrongPassword", text, { address: transport.address, operation });
}

function protocolError({ transport }: Attempt, operation: string, text: string): IpmiError {
  return new IpmiError("Protocol", `${operation} failed for ${transport.name}: ${text}`, {
    address: transport.address,
    operation,
  });
}

/** The BMC no longer has what it agreed to: it restarted, or dropped the half-open session. */
function isLostState(status: number): boolean {
  return status === 0x02 || status === 0x08;
}

function lost({ transport }: Attempt, operation: string, cause: IpmiError): SetupLostError {
  const { address } = transport;
  return new SetupLostError(cause.code, cause.message, { address, operation, cause, rakpStatus: cause.rakpStatus });
}
