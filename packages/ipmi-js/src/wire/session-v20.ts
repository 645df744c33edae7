// RMCP+ session header, integrity trailer and AES-CBC-128 payloads (IPMI 2.0, tables 13-8 and 13-20, 13.28.4, 13.29).
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { isEqualInConstantTime, type SessionKeys } from "../crypto.ts";
import { requireLength, WireError } from "./wire-error.ts";

/** Payload types (table 13-16). */
export const PAYLOAD_TYPE = {
  ipmi: 0x00,
  serialOverLan: 0x01,
  openSessionRequest: 0x10,
  openSessionResponse: 0x11,
  rakp1: 0x12,
  rakp2: 0x13,
  rakp3: 0x14,
  rakp4: 0x15,
} as const;

const RMCP_PLUS = 0x06;
const ENCRYPTED = 0x80;
const AUTHENTICATED = 0x40;
const OEM_EXPLICIT = 0x02;
const NEXT_HEADER = 0x07;
const HEADER_LENGTH = 12;
const BLOCK = 16;

export interface SessionPacket {
  readonly payloadType: number;
  /** The receiver's session id; 0 outside a session. */
  readonly sessionId: number;
  /** 0 outside a session. */
  readonly sequence: number;
  readonly payload: Buffer;
}

/** A packet whose trailer was not yet looked at. */
export interface ReceivedPacket extends SessionPacket {
  readonly isEncrypted: boolean;
  readonly isAuthenticated: boolean;
  /** The whole packet, from the authentication type on: what the integrity code covers, and the code. */
  readonly bytes: Buffer;
}

/** True if the bytes after the RMCP header are an RMCP+ packet. */
export function isSessionV20(body: Buffer): boolean {
  return body[0] === RMCP_PLUS;
}

/** A packet without integrity and confidentiality: session setup and sessionless commands. */
export function encodePlainPacket(packet: SessionPacket): Buffer {
  return Buffer.concat([encodeHeader(packet, packet.payloadType, packet.payload.length), packet.payload]);
}

/** A packet inside a session: payload encrypted, packet signed. `iv` is for tests; random if absent. */
export function encodeSealedPacket(packet: SessionPacket, keys: SessionKeys, iv: Buffer = randomBytes(BLOCK)): Buffer {
  const payload = encryptPayload(packet.payload, keys.k2.subarray(0, BLOCK), iv);
  const header = encodeHeader(packet, packet.payloadType | ENCRYPTED | AUTHENTICATED, payload.length);
  // The pad makes header, payload, pad, pad length and next header a multiple of four.
  const padLength = -(header.length + payload.length + 2) & 3;
  const trailer = Buffer.alloc(padLength + 2, 0xff);
  trailer[padLength] = padLength;
  trailer[padLength + 1] = NEXT_HEADER;
  const signed = Buffer.concat([header, payload, trailer]);
  return Buffer.concat([signed, keys.authCode(signed)]);
}

/** Reads the header; the trailer is neither checked nor removed from `bytes`. */
export function decodePacket(bytes: Buffer): ReceivedPacket {
  requireLength(bytes, HEADER_LENGTH, "an RMCP+ session header");
  if (bytes[0] !== RMCP_PLUS) throw new WireError(`authentication type is ${bytes[0]}, not RMCP+`);
  const type = bytes.readUInt8(1);
  if ((type & 0x3f) === OEM_EXPLICIT) throw new WireError("OEM payloads are not spoken here");
  const length = bytes.readUInt16LE(10);
  requireLength(bytes, HEADER_LENGTH + length, "an RMCP+ payload");
  return {
    payloadType: type & 0x3f,
    isEncrypted: (type & ENCRYPTED) !== 0,
    isAuthenticated: (type & AUTHENTICATED) !== 0,
    sessionId: bytes.readUInt32LE(2),
    sequence: bytes.readUInt32LE(6),
    payload: bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + length),
    bytes,
  };
}

/**
 * Checks the integrity code, then decrypts. In that order: nothing unsigned is ever decrypted, so that the padding
 * tells an attacker nothing. A packet that is not both signed and encrypted is a {@link WireError}.
 */
export function unseal(packet: ReceivedPacket, keys: SessionKeys): SessionPacket {
  if (!packet.isAuthenticated || !packet.isEncrypted) throw new WireError("the packet is not signed and encrypted");
  const codeStart = packet.bytes.length - keys.authCodeLength;
  if (codeStart < HEADER_LENGTH + packet.payload.length + 2) throw new WireError("the integrity trailer is cut short");
  const expected = keys.authCode(packet.bytes.subarray(0, codeStart));
  if (!isEqualInConstantTime(expected, packet.bytes.subarray(codeStart)))
    throw new WireError("the integrity code is wrong");
  const { payloadType, sessionId, sequence } = packet;
  return { payloadType, sessionId, sequence, payload: decryptPayload(packet.payload, keys.k2.subarray(0, BLOCK)) };
}

function encodeHeader(packet: SessionPacket, type: number, payloadLength: number): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header[0] = RMCP_PLUS;
  header[1] = type;
  header.writeUInt32LE(packet.sessionId, 2);
  header.writeUInt32LE(packet.sequence, 6);
  header.writeUInt16LE(payloadLength, 10);
  return header;
}

/** IV, then AES-CBC over data, pad 01h 02h ..., and the pad's length (13.29.2). */
function encryptPayload(data: Buffer, key: Buffer, iv: Buffer): Buffer {
  const padLength = -(data.length + 1) & (BLOCK - 1);
  const pad = Buffer.from(Array.from({ length: padLength + 1 }, (_, i) => (i < padLength ? i + 1 : padLength)));
  const cipher = createCipheriv("aes-128-cbc", key, iv).setAutoPadding(false);
  return Buffer.concat([iv, cipher.update(data), cipher.update(pad), cipher.final()]);
}

function decryptPayload(payload: Buffer, key: Buffer): Buffer {
  if (payload.length < 2 * BLOCK || payload.length % BLOCK !== 0) {
    throw new WireError(`an encrypted payload of ${payload.length} bytes is no whole number of blocks`);
  }
  const decipher = createDecipheriv("aes-128-cbc", key, payload.subarray(0, BLOCK)).setAutoPadding(false);
  const clear = Buffer.concat([decipher.update(payload.subarray(BLOCK)), decipher.final()]);
  const padLength = clear.readUInt8(clear.length - 1);
  if (padLength >= clear.length) throw new WireError("the confidentiality pad is longer than the payload");
  return clear.subarray(0, clear.length - 1 - padLength);
}
