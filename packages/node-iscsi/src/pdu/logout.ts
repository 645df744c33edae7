// Logout Request and Logout Response PDUs (RFC 7143 11.14, 11.15).
import {
  expectHeader,
  FINAL_FLAG,
  IMMEDIATE_FLAG,
  newHeader,
  Opcode,
  readTargetSequence,
  type TargetSequence,
  writeTargetSequence,
} from "./header.ts";

/** Reason codes of a Logout Request. */
export const LogoutReason = { CloseSession: 0, CloseConnection: 1 } as const;

export interface LogoutRequestPdu {
  readonly reason: number;
  readonly initiatorTaskTag: number;
  readonly connectionId: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

export function encodeLogoutRequest(pdu: LogoutRequestPdu): Buffer {
  const header = newHeader(Opcode.LogoutRequest | IMMEDIATE_FLAG, FINAL_FLAG | (pdu.reason & 0x7f));
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt16BE(pdu.connectionId, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  return header;
}

export function decodeLogoutRequest(header: Buffer): LogoutRequestPdu {
  expectHeader(header, Opcode.LogoutRequest);
  return {
    reason: header.readUInt8(1) & 0x7f,
    initiatorTaskTag: header.readUInt32BE(16),
    connectionId: header.readUInt16BE(20),
    cmdSn: header.readUInt32BE(24),
    expStatSn: header.readUInt32BE(28),
  };
}

/** `response` 0 is success. */
export interface LogoutResponsePdu extends TargetSequence {
  readonly response: number;
  readonly initiatorTaskTag: number;
  /** Seconds. */
  readonly time2Wait: number;
  /** Seconds. */
  readonly time2Retain: number;
}

export function encodeLogoutResponse(pdu: LogoutResponsePdu): Buffer {
  const header = newHeader(Opcode.LogoutResponse, FINAL_FLAG);
  header[2] = pdu.response;
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  writeTargetSequence(header, pdu);
  header.writeUInt16BE(pdu.time2Wait, 40);
  header.writeUInt16BE(pdu.time2Retain, 42);
  return header;
}

export function decodeLogoutResponse(header: Buffer): LogoutResponsePdu {
  expectHeader(header, Opcode.LogoutResponse);
  return {
    response: header.readUInt8(2),
    initiatorTaskTag: header.readUInt32BE(16),
    ...readTargetSequence(header),
    time2Wait: header.readUInt16BE(40),
    time2Retain: header.readUInt16BE(42),
  };
}
