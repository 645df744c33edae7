// The packets of one open session: sealed with their numbers, and opened again (IPMI 2.0, 6.12, 13.28).
import { closeSession } from "./commands/close-session.ts";
import type { SessionKeys } from "./crypto.ts";
import { nextSequence, SequenceWindow } from "./sequence-window.ts";
import { consoleRequest, encodeMessage } from "./wire/message.ts";
import { RMCP_CLASS, RMCP_HEADER_LENGTH, writeRmcpHeader } from "./wire/rmcp.ts";
import { checkPacketV15, decodePacketV15, encodePacketV15, isSessionV15 } from "./wire/session-v15.ts";
import { decodePacket, encodeSealedPacket, isSessionV20, PAYLOAD_TYPE, unseal } from "./wire/session-v20.ts";
import { WireError } from "./wire/wire-error.ts";

/** What a datagram of the session carried. */
export interface SessionPayload {
  readonly payloadType: number;
  readonly payload: Buffer;
}

/** One end of a session, on the wire: RMCP+ and IPMI 1.5 differ in nothing else than this. */
export interface SessionPackets {
  /** Whether it carries other payloads than IPMI messages. */
  readonly hasPayloadTypes: boolean;
  /** A whole datagram to the other end, with the next session sequence number. */
  seal(payloadType: number, payload: Buffer): Buffer;
  /**
   * What the bytes after an RMCP header carry, or undefined if they belong to another session. A packet less protected
   * than agreed, a wrong code and a number seen before are a `WireError`.
   */
  open(body: Buffer): SessionPayload | undefined;
}

/** A datagram that ends the session, for those who do not wait for the answer. */
export function sealCloseSession(packets: SessionPackets, bmcSessionId: number, rqSeq: number): Buffer {
  const data = closeSession.encodeRequest({ bmcSessionId });
  const message = consoleRequest(closeSession.netFn, closeSession.code, rqSeq, data);
  return packets.seal(PAYLOAD_TYPE.ipmi, encodeMessage(message));
}

/** {@link SessionPackets} of RMCP+. `sendTo` is the other end's session id, `receiveAt` our own. */
export class RmcpPlusPackets implements SessionPackets {
  readonly hasPayloadTypes = true;
  readonly #sendTo: number;
  readonly #receiveAt: number;
  readonly #keys: SessionKeys;
  readonly #window = new SequenceWindow();
  #sequence = 0;

  constructor(sendTo: number, receiveAt: number, keys: SessionKeys) {
    this.#sendTo = sendTo;
    this.#receiveAt = receiveAt;
    this.#keys = keys;
  }

  seal(payloadType: number, payload: Buffer): Buffer {
    this.#sequence = nextSequence(this.#sequence);
    const packet = { payloadType, sessionId: this.#sendTo, sequence: this.#sequence, payload };
    return writeRmcpHeader(RMCP_CLASS.ipmi, encodeSealedPacket(packet, this.#keys, undefined, RMCP_HEADER_LENGTH));
  }

  open(body: Buffer): SessionPayload | undefined {
    if (!isSessionV20(body)) return undefined;
    const received = decodePacket(body);
    if (received.sessionId !== this.#receiveAt) return undefined;
    const packet = unseal(received, this.#keys);
    // After the integrity check only: a forged number must not move the window.
    if (!this.#window.accept(packet.sequence)) throw new WireError("the session sequence number is not new");
    return packet;
  }
}

/** Where an IPMI 1.5 session starts. */
export interface SessionV15 {
  readonly sessionId: number;
  /** For the packets after Activate Session; NONE if the BMC asks for no authentication of each message. */
  readonly authenticationType: number;
  /** The user's, 16 bytes filled with zeroes. */
  readonly password: Buffer;
  /** The number of the first packet we send, and of the first the other end sends. */
  readonly firstSent: number;
  readonly firstReceived: number;
}

/** {@link SessionPackets} of IPMI 1.5. */
export class PacketsV15 implements SessionPackets {
  readonly hasPayloadTypes = false;
  readonly #session: SessionV15;
  readonly #window: SequenceWindow;
  #sequence: number;

  constructor(session: SessionV15) {
    this.#session = session;
    this.#window = new SequenceWindow(session.firstReceived - 1);
    this.#sequence = session.firstSent;
  }

  /** Only IPMI messages: other payload types came with IPMI 2.0. */
  seal(payloadType: number, payload: Buffer): Buffer {
    if (payloadType !== PAYLOAD_TYPE.ipmi) throw new WireError(`IPMI 1.5 has no payload type ${payloadType}`);
    const { sessionId, authenticationType, password } = this.#session;
    const sequence = this.#sequence;
    this.#sequence = nextSequence(sequence);
    const packet = encodePacketV15({ authenticationType, sessionId, sequence, payload }, password, RMCP_HEADER_LENGTH);
    return writeRmcpHeader(RMCP_CLASS.ipmi, packet);
  }

  open(body: Buffer): SessionPayload | undefined {
    if (!isSessionV15(body)) return undefined;
    const packet = decodePacketV15(body);
    const { sessionId, authenticationType, password } = this.#session;
    if (packet.sessionId !== sessionId) return undefined;
    checkPacketV15(packet, authenticationType, password);
    if (!this.#window.accept(packet.sequence)) throw new WireError("the session sequence number is not new");
    return { payloadType: PAYLOAD_TYPE.ipmi, payload: packet.payload };
  }
}
