// Login Request and Login Response PDUs (RFC 7143 11.12, 11.13).
import {
  expectHeader,
  IMMEDIATE_FLAG,
  newHeader,
  Opcode,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeTargetSequence,
} from "./header.ts";

/** Login stages as CSG and NSG carry them (RFC 7143 11.12.3). */
export const LoginStage = { Security: 0, Operational: 1, FullFeature: 3 } as const;
export type LoginStage = (typeof LoginStage)[keyof typeof LoginStage];

const TRANSIT_FLAG = 0x80;
const CONTINUE_FLAG = 0x40;

interface LoginStageFields {
  /** T: the sender is ready to move on to `nextStage`. */
  readonly transit: boolean;
  /** C: the keys go on in the next PDU. */
  readonly continues: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  /** 6 bytes chosen by the initiator; with the names it identifies the session. */
  readonly isid: Buffer;
  /** 0 asks for a new session; the target's final answer holds the assigned handle. */
  readonly tsih: number;
  readonly initiatorTaskTag: number;
}

export interface LoginRequestPdu extends LoginStageFields {
  readonly connectionId: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

function stageFlags(pdu: LoginStageFields): number {
  return (
    (pdu.transit ? TRANSIT_FLAG : 0) |
    (pdu.continues ? CONTINUE_FLAG : 0) |
    ((pdu.currentStage & 3) << 2) |
    (pdu.transit ? pdu.nextStage & 3 : 0)
  );
}

function readStage(header: Buffer): LoginStageFields {
  const flags = header.readUInt8(1);
  return {
    transit: (flags & TRANSIT_FLAG) !== 0,
    continues: (flags & CONTINUE_FLAG) !== 0,
    currentStage: (flags >> 2) & 3,
    nextStage: flags & 3,
    isid: Buffer.from(header.subarray(8, 14)),
    tsih: header.readUInt16BE(14),
    initiatorTaskTag: header.readUInt32BE(16),
  };
}

/** Version-max and Version-min are 0, the only version there is. */
export function encodeLoginRequest(pdu: LoginRequestPdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.LoginRequest | IMMEDIATE_FLAG, stageFlags(pdu));
  setDataSegmentLength(header, dataBytes);
  pdu.isid.copy(header, 8, 0, 6);
  header.writeUInt16BE(pdu.tsih, 14);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt16BE(pdu.connectionId, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  return header;
}

export function decodeLoginRequest(header: Buffer): LoginRequestPdu {
  expectHeader(header, Opcode.LoginRequest);
  return {
    ...readStage(header),
    connectionId: header.readUInt16BE(20),
    cmdSn: header.readUInt32BE(24),
    expStatSn: header.readUInt32BE(28),
  };
}

export interface LoginResponsePdu extends LoginStageFields, TargetSequence {
  readonly versionActive: number;
  readonly statusClass: number;
  readonly statusDetail: number;
}

export function encodeLoginResponse(pdu: LoginResponsePdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.LoginResponse, stageFlags(pdu));
  header[3] = pdu.versionActive;
  setDataSegmentLength(header, dataBytes);
  pdu.isid.copy(header, 8, 0, 6);
  header.writeUInt16BE(pdu.tsih, 14);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  writeTargetSequence(header, pdu);
  header[36] = pdu.statusClass;
  header[37] = pdu.statusDetail;
  return header;
}

export function decodeLoginResponse(header: Buffer): LoginResponsePdu {
  expectHeader(header, Opcode.LoginResponse);
  return {
    ...readStage(header),
    ...readTargetSequence(header),
    versionActive: header.readUInt8(3),
    statusClass: header.readUInt8(36),
    statusDetail: header.readUInt8(37),
  };
}

/** What happened and, after the semicolon, what to do about it (RFC 7143 11.13.5). */
const LOGIN_STATUS_TEXTS = new Map<number, string>([
  [0x0101, "the target moved temporarily"],
  [0x0102, "the target moved permanently"],
  [0x0200, "initiator error; the target found a fault in our request, see its log"],
  [0x0201, "authentication failed; check the CHAP user and secret"],
  [
    0x0202,
    "this initiator is not allowed; add its name to the target's access list, or set initiatorName to one on it",
  ],
  [0x0203, "no such target; check the target name, and that this portal serves it"],
  [0x0204, "the target has been removed for good; drop it from the configuration"],
  [0x0205, "the target does not support our protocol version; it needs one that speaks version 0 (RFC 7143)"],
  [0x0206, "too many connections; close other sessions of this initiator or raise the target's limit"],
  [0x0207, "a required parameter was missing; see the target's log for which"],
  [0x0208, "the target cannot include this connection in the session; log in with a new session"],
  [0x0209, "the target does not support this type of session; ask another portal"],
  [0x020a, "the session does not exist; log in with a new session"],
  [0x020b, "invalid request during login; the target did not expect what we sent, see its log"],
  [0x0300, "target error; the target failed inside, see its log"],
  [0x0301, "the target's service is unavailable; try again later or at another portal"],
  [0x0302, "the target is out of resources; try again later or close other sessions"],
]);

const LOGIN_CLASS_TEXTS = new Map<number, string>([
  [1, "the target redirects in a way we do not know"],
  [2, "the target blames the initiator"],
  [3, "the target blames itself; try again later"],
]);

/** The text for a status class and detail (RFC 7143 11.13.5); for an unknown detail, what its class means. */
export function loginStatusText(statusClass: number, statusDetail: number): string {
  const numbers = `class ${statusClass}, detail ${statusDetail}`;
  const text = LOGIN_STATUS_TEXTS.get((statusClass << 8) | statusDetail);
  return `${text ?? LOGIN_CLASS_TEXTS.get(statusClass) ?? "refused"} (${numbers})`;
}
