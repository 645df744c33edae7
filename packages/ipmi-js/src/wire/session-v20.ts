// RMCP+ session header, integrity trailer and AES-CBC-128 payloads (IPMI 2.0, tables 13-8 and 13-20, 13.28.4, 13.29).
import { createCipheriv } from "node:crypto";
import { isEqualInConstantTime, type SessionKeys } from "../crypto.ts";
import { randomBlock } from "../random-block.ts";
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
const PAD = Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

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
  const bytes = Buffer.allocUnsafe(HEADER_LENGTH + packet.payload.length);
  writeHeader(bytes, 0, packet, packet.payloadType, packet.payload.length);
  packet.payload.copy(bytes, HEADER_LENGTH);
  return bytes;
}

/**
 * A packet inside a session, encrypted and signed as its cipher suite says, after `headroom` bytes left for the header
 * before it. `iv` is for tests; random if absent.
 */
export function encodeSealedPacket(packet: SessionPacket, keys: SessionKeys, iv?: Buffer, headroom = 0): Buffer {
  const { isEncrypted, authCodeLength } = keys;
  const payload = isEncrypted ? encryptPayload(packet.payload, keys, iv) : packet.payload;
  const type = packet.payloadType | (isEncrypted ? ENCRYPTED : 0) | (authCodeLength > 0 ? AUTHENTICATED : 0);
  const payloadEnd = headroom + HEADER_LENGTH + payload.length;
  // The pad makes header, payload, pad, pad length and next header a multiple of four.
  const padLength = authCodeLength > 0 ? -(HEADER_LENGTH + payload.length + 2) & 3 : 0;
  const codeStart = authCodeLength > 0 ? payloadEnd + padLength + 2 : payloadEnd;
  const bytes = Buffer.allocUnsafe(codeStart + authCodeLength);
  writeHeader(bytes, headroom, packet, type, payload.length);
  payload.copy(bytes, headroom + HEADER_LENGTH);
  if (authCodeLength > 0) {
    bytes.fill(0xff, payloadEnd, codeStart - 2);
    bytes[codeStart - 2] = padLength;
    bytes[codeStart - 1] = NEXT_HEADER;
    keys.authCode(bytes.subarray(headroom, codeStart)).copy(bytes, codeStart);
  }
  return bytes;
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
 * tells an attacker nothing. A packet not signed or not encrypted as its cipher suite says is a {@link WireError}.
 */
export function unseal(packet: ReceivedPacket, keys: SessionKeys): SessionPacket {
  const { bytes, payload, payloadType, sessionId, sequence } = packet;
  const { authCodeLength, isEncrypted } = keys;
  if (packet.isAuthenticated !== authCodeLength > 0 || packet.isEncrypted !== isEncrypted)
    throw new WireError("the packet is not signed and encrypted as the cipher suite says");
  if (authCodeLength > 0) {
    const codeStart = bytes.length - authCodeLength;
    if (codeStart < HEADER_LENGTH + payload.length + 2) throw new WireError("the integrity trailer is cut short");
    if (!isEqualInConstantTime(keys.authCode(bytes.subarray(0, codeStart)), bytes.subarray(codeStart)))
      throw new WireError("the integrity code is wrong");
  }
  return { payloadType, sessionId, sequence, payload: isEncrypted ? decryptPayload(payload, keys) : payload };
}

function writeHeader(bytes: Buffer, at: number, packet: SessionPacket, type: number, payloadLength: number): void {
  bytes[at] = RMCP_PLUS;
  bytes[at + 1] = type;
  bytes.writeUInt32LE(packet.sessionId, at + 2);
  bytes.writeUInt32LE(packet.sequence, at + 6);
  bytes.writeUInt16LE(payloadLength, at + 10);
}

/** IV, then AES-CBC over data, pad 01h 02h ..., and the pad's length (13.29.2). */
function encryptPayload(data: Buffer, keys: SessionKeys, iv: Buffer | undefined): Buffer {
  const padLength = -(data.length + 1) & (BLOCK - 1);
  const clear = Buffer.allocUnsafe(BLOCK + data.length + padLength + 1);
  data.copy(clear, BLOCK);
  PAD.copy(clear, BLOCK + data.length, 0, padLength);
  clear[clear.length - 1] = padLength;
  if (iv !== undefined) {
    const cipher = createCipheriv("aes-128-cbc", keys.k2.subarray(0, BLOCK), iv).setAutoPadding(false);
    return Buffer.concat([iv, cipher.update(clear.subarray(BLOCK))]);
  }
  randomBlock().copy(clear);
  return keys.encrypt(clear);
}

function decryptPayload(payload: Buffer, keys: SessionKeys): Buffer {
  if (payload.length < 2 * BLOCK || payload.length % BLOCK !== 0) {
    throw new WireError(`an encrypted payload of ${payload.length} bytes is no whole number of blocks`);
  }
  const clear = keys.decrypt(payload);
  const padLength = clear.readUInt8(clear.length - 1);
  if (padLength >= clear.length) throw new WireError("the confidentiality pad is longer than the payload");
  return clear.subarray(0, clear.length - 1 - padLength);
}
