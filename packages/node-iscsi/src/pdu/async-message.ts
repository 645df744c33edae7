// Asynchronous Message and Reject PDUs (RFC 7143 11.9, 11.17): what a target says unasked.
import {
  expectHeader,
  FINAL_FLAG,
  HEADER_BYTES,
  newHeader,
  Opcode,
  RESERVED_TAG,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeTargetSequence,
} from "./header.ts";

/** Event codes (RFC 7143 11.9.1). */
export const AsyncEvent = {
  ScsiEvent: 0,
  LogoutRequest: 1,
  ConnectionDrop: 2,
  SessionDrop: 3,
  NegotiationRequest: 4,
} as const;

export interface AsyncMessagePdu extends TargetSequence {
  readonly event: number;
  readonly vendorCode: number;
  readonly parameter1: number;
  readonly parameter2: number;
  /** For LogoutRequest and NegotiationRequest: seconds until the target drops the connection itself. */
  readonly parameter3: number;
}

export function encodeAsyncMessage(pdu: AsyncMessagePdu, dataBytes = 0): Buffer {
  const header = newHeader(Opcode.AsyncMessage, FINAL_FLAG);
  setDataSegmentLength(header, dataBytes);
  header.writeUInt32BE(RESERVED_TAG, 16);
  writeTargetSequence(header, pdu);
  header[36] = pdu.event;
  header[37] = pdu.vendorCode;
  header.writeUInt16BE(pdu.parameter1, 38);
  header.writeUInt16BE(pdu.parameter2, 40);
  header.writeUInt16BE(pdu.parameter3, 42);
  return header;
}

export function decodeAsyncMessage(header: Buffer): AsyncMessagePdu {
  expectHeader(header, Opcode.AsyncMessage);
  return {
    ...readTargetSequence(header),
    event: header.readUInt8(36),
    vendorCode: header.readUInt8(37),
    parameter1: header.readUInt16BE(38),
    parameter2: header.readUInt16BE(40),
    parameter3: header.readUInt16BE(42),
  };
}

/** Reasons we act on (RFC 7143 11.17.1). */
export const RejectReason = { DataDigestError: 0x02 } as const;

const REJECT_REASONS = new Map<number, string>([
  [0x02, "data digest error"],
  [0x03, "SNACK rejected"],
  [0x04, "protocol error"],
  [0x05, "command not supported"],
  [0x06, "too many immediate commands"],
  [0x07, "task in progress"],
  [0x08, "invalid data acknowledgement"],
  [0x09, "invalid PDU field"],
  [0x0a, "long operation rejected: out of resources"],
  [0x0b, "negotiation reset"],
  [0x0c, "waiting for logout"],
]);

/** The text of a Reject reason (RFC 7143 11.17.1). */
export function rejectReasonText(reason: number): string {
  return REJECT_REASONS.get(reason) ?? `reason 0x${reason.toString(16).padStart(2, "0")}`;
}

/** Reject; its data segment is the header of the PDU that was refused. */
export interface RejectPdu extends TargetSequence {
  readonly reason: number;
}

export function encodeReject(pdu: RejectPdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.Reject, FINAL_FLAG);
  header[2] = pdu.reason;
  setDataSegmentLength(header, dataBytes);
  header.writeUInt32BE(RESERVED_TAG, 16);
  writeTargetSequence(header, pdu);
  return header;
}

export function decodeReject(header: Buffer): RejectPdu {
  expectHeader(header, Opcode.Reject);
  return { reason: header.readUInt8(2), ...readTargetSequence(header) };
}

/** The refused header inside a Reject's data, or undefined when the target did not send all of it. */
export function rejectedHeader(data: Buffer): Buffer | undefined {
  return data.length < HEADER_BYTES ? undefined : data.subarray(0, HEADER_BYTES);
}
