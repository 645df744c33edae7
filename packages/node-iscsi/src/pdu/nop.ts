// NOP-Out and NOP-In PDUs (RFC 7143 11.18, 11.19): ping in either direction.
import {
  expectHeader,
  FINAL_FLAG,
  IMMEDIATE_FLAG,
  newHeader,
  Opcode,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeTargetSequence,
} from "./header.ts";

/** NOP-Out. `lunField` is the raw 8 bytes, because an answer must repeat what the target sent. */
export interface NopOutPdu {
  readonly lunField: Buffer | undefined;
  /** RESERVED_TAG when this answers a NOP-In or wants no answer. */
  readonly initiatorTaskTag: number;
  /** RESERVED_TAG unless this answers a NOP-In. */
  readonly targetTransferTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

/** Always immediate: a ping must not wait for the command window it is meant to check. */
export function encodeNopOut(pdu: NopOutPdu): Buffer {
  const header = newHeader(Opcode.NopOut | IMMEDIATE_FLAG, FINAL_FLAG);
  pdu.lunField?.copy(header, 8, 0, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  return header;
}

export function decodeNopOut(header: Buffer): NopOutPdu {
  expectHeader(header, Opcode.NopOut);
  return {
    lunField: Buffer.from(header.subarray(8, 16)),
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    cmdSn: header.readUInt32BE(24),
    expStatSn: header.readUInt32BE(28),
  };
}

export interface NopInPdu extends TargetSequence {
  readonly lunField: Buffer;
  /** RESERVED_TAG when the target started this exchange; StatSN is then not used up. */
  readonly initiatorTaskTag: number;
  /** Not RESERVED_TAG when the target wants an answer. */
  readonly targetTransferTag: number;
}

export function encodeNopIn(pdu: NopInPdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.NopIn, FINAL_FLAG);
  setDataSegmentLength(header, dataBytes);
  pdu.lunField.copy(header, 8, 0, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  writeTargetSequence(header, pdu);
  return header;
}

export function decodeNopIn(header: Buffer): NopInPdu {
  expectHeader(header, Opcode.NopIn);
  return {
    lunField: Buffer.from(header.subarray(8, 16)),
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    ...readTargetSequence(header),
  };
}
