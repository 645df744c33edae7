// Text Request and Text Response PDUs (RFC 7143 11.10, 11.11).
import {
  expectHeader,
  FINAL_FLAG,
  newHeader,
  Opcode,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeTargetSequence,
} from "./header.ts";

const CONTINUE_FLAG = 0x40;

interface TextFields {
  readonly final: boolean;
  /** C: the keys go on in the next PDU. */
  readonly continues: boolean;
  readonly initiatorTaskTag: number;
  /** RESERVED_TAG starts a new exchange or ends it; otherwise copied from the target to go on. */
  readonly targetTransferTag: number;
  /** 8 bytes; with a target's tag they are copied from its response (RFC 7143 11.10.4). Default zeros. */
  readonly lunField?: Buffer | undefined;
}

export interface TextRequestPdu extends TextFields {
  readonly cmdSn: number;
  readonly expStatSn: number;
}

function textFlags(pdu: TextFields): number {
  return (pdu.final ? FINAL_FLAG : 0) | (pdu.continues ? CONTINUE_FLAG : 0);
}

function readText(header: Buffer): TextFields {
  const flags = header.readUInt8(1);
  return {
    final: (flags & FINAL_FLAG) !== 0,
    continues: (flags & CONTINUE_FLAG) !== 0,
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    lunField: Buffer.from(header.subarray(8, 16)),
  };
}

export function encodeTextRequest(pdu: TextRequestPdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.TextRequest, textFlags(pdu));
  setDataSegmentLength(header, dataBytes);
  pdu.lunField?.copy(header, 8, 0, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  return header;
}

export function decodeTextRequest(header: Buffer): TextRequestPdu {
  expectHeader(header, Opcode.TextRequest);
  return { ...readText(header), cmdSn: header.readUInt32BE(24), expStatSn: header.readUInt32BE(28) };
}

export interface TextResponsePdu extends TextFields, TargetSequence {}

export function encodeTextResponse(pdu: TextResponsePdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.TextResponse, textFlags(pdu));
  setDataSegmentLength(header, dataBytes);
  pdu.lunField?.copy(header, 8, 0, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  writeTargetSequence(header, pdu);
  return header;
}

export function decodeTextResponse(header: Buffer): TextResponsePdu {
  expectHeader(header, Opcode.TextResponse);
  return { ...readText(header), ...readTargetSequence(header) };
}
