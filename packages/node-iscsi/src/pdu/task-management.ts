// Task Management Function Request and Response PDUs (RFC 7143 11.5, 11.6).
import {
  expectHeader,
  FINAL_FLAG,
  IMMEDIATE_FLAG,
  newHeader,
  Opcode,
  readLun,
  readTargetSequence,
  type TargetSequence,
  writeLun,
  writeTargetSequence,
} from "./header.ts";

/** Functions (RFC 7143 11.5.1). */
export const TaskManagementFunction = {
  AbortTask: 1,
  AbortTaskSet: 2,
  ClearTaskSet: 4,
  LogicalUnitReset: 5,
  TargetWarmReset: 6,
} as const;

export interface TaskManagementRequestPdu {
  readonly function: number;
  readonly lun: number;
  readonly initiatorTaskTag: number;
  /** Tag of the task to abort; RESERVED_TAG for functions on a whole unit. */
  readonly referencedTaskTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly refCmdSn: number;
}

/** Always immediate: aborting must work while the window is closed. */
export function encodeTaskManagementRequest(pdu: TaskManagementRequestPdu): Buffer {
  const header = newHeader(Opcode.TaskManagementRequest | IMMEDIATE_FLAG, FINAL_FLAG | (pdu.function & 0x7f));
  writeLun(header, pdu.lun, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.referencedTaskTag, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  header.writeUInt32BE(pdu.refCmdSn, 32);
  return header;
}

export function decodeTaskManagementRequest(
  header: Buffer,
): Omit<TaskManagementRequestPdu, "lun"> & { readonly lun: number | undefined } {
  expectHeader(header, Opcode.TaskManagementRequest);
  return {
    function: header.readUInt8(1) & 0x7f,
    lun: readLun(header, 8),
    initiatorTaskTag: header.readUInt32BE(16),
    referencedTaskTag: header.readUInt32BE(20),
    cmdSn: header.readUInt32BE(24),
    expStatSn: header.readUInt32BE(28),
    refCmdSn: header.readUInt32BE(32),
  };
}

export interface TaskManagementResponsePdu extends TargetSequence {
  readonly response: number;
  readonly initiatorTaskTag: number;
}

export function encodeTaskManagementResponse(pdu: TaskManagementResponsePdu): Buffer {
  const header = newHeader(Opcode.TaskManagementResponse, FINAL_FLAG);
  header[2] = pdu.response;
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  writeTargetSequence(header, pdu);
  return header;
}

export function decodeTaskManagementResponse(header: Buffer): TaskManagementResponsePdu {
  expectHeader(header, Opcode.TaskManagementResponse);
  return {
    response: header.readUInt8(2),
    initiatorTaskTag: header.readUInt32BE(16),
    ...readTargetSequence(header),
  };
}
