// IPMI 1.5 session wrapper: authentication type, sequence, session id, authentication code (IPMI 2.0, table 13-8, 22.17).
import { createHash } from "node:crypto";
import { isEqualInConstantTime } from "../crypto.ts";
import { RMCP_HEADER_LENGTH } from "./rmcp.ts";
import { requireLength, WireError } from "./wire-error.ts";

/** Authentication types (table 13-8). MD2 (1) and OEM (5) are not spoken. */
export const AUTHENTICATION_TYPE = { none: 0, md5: 2, password: 4 } as const;

/** How IPMI 1.5 packets are authenticated, by name: `password` sends it in the clear. */
export type AuthenticationTypeName = keyof typeof AUTHENTICATION_TYPE;

/** Longest password of IPMI 1.5; shorter ones are filled with zeroes (22.30). */
export const MAX_V15_PASSWORD_BYTES = 16;

const RMCP_PLUS = 0x06;
const HEADER_LENGTH = 10;
const CODE_LENGTH = 16;
/** Longest IPMI message: its length is a byte. */
const MAX_PAYLOAD = 255;
const LEGACY_PADDED: ReadonlySet<number> = new Set([56, 84, 112, 128, 156]);

/** An IPMI 1.5 packet; `payload` is one IPMI message. */
export interface PacketV15 {
  /** See {@link AUTHENTICATION_TYPE}. */
  readonly authenticationType: number;
  readonly sequence: number;
  /** The same in both directions; 0 outside a session. */
  readonly sessionId: number;
  readonly payload: Buffer;
}

/** A packet whose code was not yet looked at. */
export interface ReceivedPacketV15 extends PacketV15 {
  /** 16 bytes, or none with authentication type NONE. */
  readonly authCode: Buffer;
}

/** True if the bytes after the RMCP header are wrapped the 1.5 way (2.0 says 06h, "RMCP+"). */
export function isSessionV15(body: Buffer): boolean {
  return body[0] !== RMCP_PLUS;
}

/**
 * A packet with the code its authentication type asks for, after `headroom` bytes left for the header before it.
 * `password` is the user's, 16 bytes filled with zeroes.
 */
export function encodePacketV15(packet: PacketV15, password: Buffer, headroom = 0): Buffer {
  const { authenticationType, payload } = packet;
  if (payload.length > MAX_PAYLOAD)
    throw new WireError(`an IPMI 1.5 packet holds ${MAX_PAYLOAD} bytes, not ${payload.length}`);
  const code = authCodeV15(packet, password);
  const start = headroom + HEADER_LENGTH + code.length;
  const end = start + payload.length;
  // The legacy pad: an old network chip mistook datagrams of these lengths (table 13-8). Receivers pass it over.
  const needsPad = LEGACY_PADDED.has(RMCP_HEADER_LENGTH + end - headroom);
  const bytes = Buffer.alloc(needsPad ? end + 1 : end);
  bytes[headroom] = authenticationType;
  bytes.writeUInt32LE(packet.sequence, headroom + 1);
  bytes.writeUInt32LE(packet.sessionId, headroom + 5);
  code.copy(bytes, headroom + 9);
  bytes[start - 1] = payload.length;
  payload.copy(bytes, start);
  return bytes;
}

/** Reads a packet; its code is not checked. Bytes after the payload (the legacy pad, 13.6) are passed over. */
export function decodePacketV15(body: Buffer): ReceivedPacketV15 {
  requireLength(body, HEADER_LENGTH, "an IPMI 1.5 session header");
  const authenticationType = body.readUInt8(0);
  const codeLength = authenticationType === AUTHENTICATION_TYPE.none ? 0 : CODE_LENGTH;
  const start = HEADER_LENGTH + codeLength;
  requireLength(body, start, "an IPMI 1.5 authentication code");
  const length = body.readUInt8(start - 1);
  requireLength(body, start + length, "an IPMI 1.5 payload");
  return {
    authenticationType,
    sequence: body.readUInt32LE(1),
    sessionId: body.readUInt32LE(5),
    authCode: body.subarray(9, 9 + codeLength),
    payload: body.subarray(start, start + length),
  };
}

/** A packet of another authentication type than `authenticationType`, or with a wrong code, is a {@link WireError}. */
export function checkPacketV15(packet: ReceivedPacketV15, authenticationType: number, password: Buffer): void {
  if (packet.authenticationType !== authenticationType)
    throw new WireError(`IPMI 1.5 authentication type is ${packet.authenticationType}, not ${authenticationType}`);
  if (!isEqualInConstantTime(authCodeV15(packet, password), packet.authCode))
    throw new WireError("the IPMI 1.5 authentication code is wrong");
}

/** Wraps one IPMI message that belongs to no session. */
export function encodeSessionlessV15(payload: Buffer): Buffer {
  const packet = { authenticationType: AUTHENTICATION_TYPE.none, sequence: 0, sessionId: 0, payload };
  return encodePacketV15(packet, NOTHING);
}

/** The IPMI message inside; other authentication types and session ids are a {@link WireError}. */
export function decodeSessionlessV15(body: Buffer): Buffer {
  const packet = decodePacketV15(body);
  checkPacketV15(packet, AUTHENTICATION_TYPE.none, NOTHING);
  if (packet.sessionId !== 0) throw new WireError("the IPMI 1.5 packet belongs to a session");
  return packet.payload;
}

const NOTHING = Buffer.alloc(0);

/** MD5: the digest of password, session id, message, sequence and password again (22.17.1). */
function authCodeV15({ authenticationType, sessionId, sequence, payload }: PacketV15, password: Buffer): Buffer {
  if (authenticationType === AUTHENTICATION_TYPE.none) return NOTHING;
  if (authenticationType === AUTHENTICATION_TYPE.password) return password;
  if (authenticationType !== AUTHENTICATION_TYPE.md5)
    throw new WireError(`IPMI 1.5 authentication type ${authenticationType} is not spoken here`);
  const id = Buffer.allocUnsafe(4);
  id.writeUInt32LE(sessionId);
  const number = Buffer.allocUnsafe(4);
  number.writeUInt32LE(sequence);
  return createHash("md5").update(password).update(id).update(payload).update(number).update(password).digest();
}
