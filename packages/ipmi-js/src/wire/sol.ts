// SOL payload: packet number, acknowledgement, operation or status, characters (IPMI 2.0, 15.9, table 15-2).
import { requireLength, WireError } from "./wire-error.ts";

/** A Serial over LAN packet; the same header in both directions, with other bits. */
export interface SolPacket {
  /** 1-15; 0: the packet carries an acknowledgement and nothing that wants one. */
  readonly sequence: number;
  /** Number of the packet this one acknowledges; 0: none. */
  readonly ackSequence: number;
  /** Characters of the acknowledged packet that were taken, 0-255. */
  readonly acceptedCharacters: number;
  /** Bits of {@link SOL_OPERATION} from the console, of {@link SOL_STATUS} from the BMC. */
  readonly flags: number;
  readonly data: Buffer;
}

/** Operation bits, console to BMC. */
export const SOL_OPERATION = {
  flushOutbound: 0x01,
  flushInbound: 0x02,
  generateBreak: 0x10,
  nack: 0x40,
} as const;

/** Status bits, BMC to console. */
export const SOL_STATUS = {
  breakDetected: 0x04,
  transmitOverrun: 0x08,
  deactivated: 0x10,
  transferUnavailable: 0x20,
  nack: 0x40,
} as const;

export const SOL_HEADER_LENGTH = 4;
/** The count of accepted characters is one byte: no packet may hold more. */
export const SOL_MAX_CHARACTERS = 255;
/** Packets are numbered 1 to 15. */
export const SOL_LAST_SEQUENCE = 15;

export function encodeSolPacket(packet: SolPacket): Buffer {
  const { sequence, ackSequence, acceptedCharacters, flags, data } = packet;
  return Buffer.concat([Buffer.from([sequence, ackSequence, acceptedCharacters, flags]), data]);
}

/** The reserved bits of the two numbers are passed over. */
export function decodeSolPacket(payload: Buffer): SolPacket {
  requireLength(payload, SOL_HEADER_LENGTH, "a SOL packet");
  if (payload.length > SOL_HEADER_LENGTH + SOL_MAX_CHARACTERS) {
    throw new WireError(`a SOL packet holds at most ${SOL_MAX_CHARACTERS} characters`);
  }
  return {
    sequence: payload.readUInt8(0) & 0x0f,
    ackSequence: payload.readUInt8(1) & 0x0f,
    acceptedCharacters: payload.readUInt8(2),
    flags: payload.readUInt8(3),
    data: payload.subarray(SOL_HEADER_LENGTH),
  };
}

/** The packet that only acknowledges. */
export function solAcknowledgement(ackSequence: number, acceptedCharacters: number, flags = 0): SolPacket {
  return { sequence: 0, ackSequence, acceptedCharacters, flags, data: Buffer.alloc(0) };
}
