// RAKP Messages 1 to 4 (IPMI 2.0, 13.20 to 13.23). Layout only: the check values are made in crypto.ts.
import { requireLength, WireError } from "./wire-error.ts";

/** Role bit 4: the BMC looks the user up by name only, whatever the privilege (13.20). */
export const NAME_ONLY_LOOKUP = 0x10;
export const MAX_USER_BYTES = 16;

export interface RakpMessage1 {
  readonly tag: number;
  readonly bmcSessionId: number;
  /** Rm: 16 random bytes of the console. */
  readonly consoleRandom: Buffer;
  /** Requested privilege, and {@link NAME_ONLY_LOOKUP}. The whole byte goes into the check values. */
  readonly role: number;
  readonly user: Buffer;
}

/** RAKP 2; with a status other than 0 it ends after the session id. */
export interface RakpMessage2 {
  readonly tag: number;
  readonly status: number;
  readonly consoleSessionId: number;
  /** Rc: 16 random bytes of the BMC. */
  readonly bmcRandom: Buffer;
  readonly guid: Buffer;
  readonly checkValue: Buffer;
}

export interface RakpMessage3 {
  readonly tag: number;
  readonly status: number;
  readonly bmcSessionId: number;
  readonly checkValue: Buffer;
}

export interface RakpMessage4 {
  readonly tag: number;
  readonly status: number;
  readonly consoleSessionId: number;
  readonly checkValue: Buffer;
}

const NOTHING = Buffer.alloc(0);

export function encodeRakp1(message: RakpMessage1): Buffer {
  const bytes = Buffer.alloc(28);
  bytes[0] = message.tag;
  bytes.writeUInt32LE(message.bmcSessionId, 4);
  message.consoleRandom.copy(bytes, 8, 0, 16);
  bytes[24] = message.role;
  bytes[27] = message.user.length;
  return Buffer.concat([bytes, message.user]);
}

export function decodeRakp1(bytes: Buffer): RakpMessage1 {
  requireLength(bytes, 28, "a RAKP Message 1");
  const userLength = bytes.readUInt8(27);
  if (userLength > MAX_USER_BYTES) throw new WireError(`the user name has ${userLength} bytes, more than 16`);
  requireLength(bytes, 28 + userLength, "the user name of a RAKP Message 1");
  return {
    tag: bytes.readUInt8(0),
    bmcSessionId: bytes.readUInt32LE(4),
    consoleRandom: bytes.subarray(8, 24),
    role: bytes.readUInt8(24),
    user: bytes.subarray(28, 28 + userLength),
  };
}

export function encodeRakp2(message: RakpMessage2): Buffer {
  const header = encodeReplyHeader(message.tag, message.status, message.consoleSessionId);
  if (message.status !== 0) return header;
  return Buffer.concat([header, message.bmcRandom, message.guid, message.checkValue]);
}

export function decodeRakp2(bytes: Buffer): RakpMessage2 {
  const header = decodeReplyHeader(bytes, "a RAKP Message 2");
  if (header.status !== 0) return { ...header, bmcRandom: NOTHING, guid: NOTHING, checkValue: NOTHING };
  requireLength(bytes, 40, "a RAKP Message 2");
  return { ...header, bmcRandom: bytes.subarray(8, 24), guid: bytes.subarray(24, 40), checkValue: bytes.subarray(40) };
}

export function encodeRakp3(message: RakpMessage3): Buffer {
  return Buffer.concat([encodeReplyHeader(message.tag, message.status, message.bmcSessionId), message.checkValue]);
}

export function decodeRakp3(bytes: Buffer): RakpMessage3 {
  requireLength(bytes, 8, "a RAKP Message 3");
  return {
    tag: bytes.readUInt8(0),
    status: bytes.readUInt8(1),
    bmcSessionId: bytes.readUInt32LE(4),
    checkValue: bytes.subarray(8),
  };
}

export function encodeRakp4(message: RakpMessage4): Buffer {
  return Buffer.concat([encodeReplyHeader(message.tag, message.status, message.consoleSessionId), message.checkValue]);
}

export function decodeRakp4(bytes: Buffer): RakpMessage4 {
  return { ...decodeReplyHeader(bytes, "a RAKP Message 4"), checkValue: bytes.subarray(8) };
}

function encodeReplyHeader(tag: number, status: number, sessionId: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes[0] = tag;
  bytes[1] = status;
  bytes.writeUInt32LE(sessionId, 4);
  return bytes;
}

function decodeReplyHeader(bytes: Buffer, what: string): { tag: number; status: number; consoleSessionId: number } {
  requireLength(bytes, 8, what);
  return { tag: bytes.readUInt8(0), status: bytes.readUInt8(1), consoleSessionId: bytes.readUInt32LE(4) };
}
