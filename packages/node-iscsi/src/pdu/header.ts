// The 48-byte basic header segment common to all PDUs (RFC 7143 11.2) and its field helpers. Pure: no sockets, no state.
import { ProtocolError } from "../errors.ts";

/** Length of the basic header segment. */
export const HEADER_BYTES = 48;
/** "No tag" for Initiator and Target Transfer Tags. */
export const RESERVED_TAG = 0xffffffff;
/** Largest LUN that the flat space addressing method can name (SAM-5 4.7). */
export const MAX_LUN = 0x3fff;
/** Largest DataSegmentLength the 24-bit field can hold. */
export const MAX_DATA_SEGMENT_BYTES = 0xffffff;

/** Opcodes (RFC 7143 11.2.1.2); below 0x20 the initiator's, above the target's. */
export const Opcode = {
  NopOut: 0x00,
  ScsiCommand: 0x01,
  TaskManagementRequest: 0x02,
  LoginRequest: 0x03,
  TextRequest: 0x04,
  DataOut: 0x05,
  LogoutRequest: 0x06,
  NopIn: 0x20,
  ScsiResponse: 0x21,
  TaskManagementResponse: 0x22,
  LoginResponse: 0x23,
  TextResponse: 0x24,
  DataIn: 0x25,
  LogoutResponse: 0x26,
  ReadyToTransfer: 0x31,
  AsyncMessage: 0x32,
  Reject: 0x3f,
} as const;

/** First bit of byte 1: the last PDU of a sequence. */
export const FINAL_FLAG = 0x80;
/** Bit in byte 0: deliver at once, do not use up a CmdSN. */
export const IMMEDIATE_FLAG = 0x40;

const OPCODE_NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, code]) => [code, name]));

/** Name for messages: `ScsiCommand`, or `opcode 0x1f`. */
export function opcodeName(opcode: number): string {
  return OPCODE_NAMES.get(opcode) ?? `opcode 0x${opcode.toString(16).padStart(2, "0")}`;
}

/** A zeroed header with byte 0 and 1 set. */
export function newHeader(opcodeByte: number, flags: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES).fill(0);
  header[0] = opcodeByte;
  header[1] = flags;
  return header;
}

/** Opcode without the immediate bit. */
export function opcodeOf(header: Buffer): number {
  return header.readUInt8(0) & 0x3f;
}

export function isImmediate(header: Buffer): boolean {
  return (header.readUInt8(0) & IMMEDIATE_FLAG) !== 0;
}

// Trap: byte 4 is TotalAHSLength in 4-byte words and shares its 32-bit word with the 24-bit DataSegmentLength.
export function dataSegmentLength(header: Buffer): number {
  return header.readUInt32BE(4) & MAX_DATA_SEGMENT_BYTES;
}

/** Length of all additional header segments, in bytes. */
export function additionalHeaderBytes(header: Buffer): number {
  return header.readUInt8(4) * 4;
}

/** Sets DataSegmentLength and leaves TotalAHSLength 0: we never send additional header segments. */
export function setDataSegmentLength(header: Buffer, length: number): void {
  if (length > MAX_DATA_SEGMENT_BYTES) throw new ProtocolError(`data segment of ${length} bytes does not fit 24 bits`);
  header.writeUInt32BE(length, 4);
}

/** Bytes of padding after `length` bytes, up to the next multiple of 4. */
export function paddingOf(length: number): number {
  return (4 - (length & 3)) & 3;
}

/** Refuses headers that are too short or of another opcode. */
export function expectHeader(header: Buffer, opcode: number): void {
  if (header.length < HEADER_BYTES)
    throw new ProtocolError(`${opcodeName(opcode)} header has ${header.length} of ${HEADER_BYTES} bytes`);
  if (opcodeOf(header) !== opcode)
    throw new ProtocolError(`expected ${opcodeName(opcode)}, got ${opcodeName(opcodeOf(header))}`);
}

/** The first two bytes of an 8-byte LUN in single-level form (SAM-5 4.7): peripheral below 256, flat space below 16384. */
export function lunField(lun: number): number {
  if (!Number.isInteger(lun) || lun < 0 || lun > MAX_LUN)
    throw new ProtocolError(`logical unit number ${lun} is not in 0..${MAX_LUN}`);
  return lun < 256 ? lun : 0x4000 | lun;
}

/** Writes an 8-byte LUN in single-level form. */
export function writeLun(buffer: Buffer, lun: number, offset: number): void {
  buffer.writeUInt16BE(lunField(lun), offset);
}

/** Reads a single-level LUN; undefined for the addressing methods we do not use (never an error: a peer may have more). */
export function readLun(buffer: Buffer, offset: number): number | undefined {
  if (buffer.readUInt16BE(offset + 2) !== 0 || buffer.readUInt32BE(offset + 4) !== 0) return undefined;
  const field = buffer.readUInt16BE(offset);
  const method = field >> 14;
  if (method === 0) return field < 256 ? field : undefined;
  return method === 1 ? field & 0x3fff : undefined;
}

/** The sequence numbers every PDU of a target carries at bytes 24, 28 and 32. */
export interface TargetSequence {
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export function readTargetSequence(header: Buffer): TargetSequence {
  return { statSn: header.readUInt32BE(24), expCmdSn: header.readUInt32BE(28), maxCmdSn: header.readUInt32BE(32) };
}

export function writeTargetSequence(header: Buffer, sequence: TargetSequence): void {
  header.writeUInt32BE(sequence.statSn, 24);
  header.writeUInt32BE(sequence.expCmdSn, 28);
  header.writeUInt32BE(sequence.maxCmdSn, 32);
}
