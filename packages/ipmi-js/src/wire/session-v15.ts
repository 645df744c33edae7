// IPMI 1.5 session wrapper, as used outside sessions with authentication type NONE (IPMI 2.0, table 13-8 and 22.13).
import { requireLength, WireError } from "./wire-error.ts";

const NO_AUTHENTICATION = 0x00;
const HEADER_LENGTH = 10;

/** True if the bytes after the RMCP header are wrapped the 1.5 way (2.0 says 06h, "RMCP+"). */
export function isSessionV15(body: Buffer): boolean {
  return body[0] !== 0x06;
}

/** Wraps one IPMI message that belongs to no session. */
export function encodeSessionlessV15(payload: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header[0] = NO_AUTHENTICATION;
  header[9] = payload.length;
  return Buffer.concat([header, payload]);
}

/** The IPMI message inside; other authentication types and session ids are a {@link WireError}. */
export function decodeSessionlessV15(body: Buffer): Buffer {
  requireLength(body, HEADER_LENGTH, "an IPMI 1.5 session header");
  if (body[0] !== NO_AUTHENTICATION) throw new WireError(`IPMI 1.5 authentication type is ${body[0]}, not 0`);
  if (body.readUInt32LE(5) !== 0) throw new WireError("IPMI 1.5 sessions are not spoken here");
  const length = body.readUInt8(9);
  requireLength(body, HEADER_LENGTH + length, "an IPMI 1.5 payload");
  return body.subarray(HEADER_LENGTH, HEADER_LENGTH + length);
}
