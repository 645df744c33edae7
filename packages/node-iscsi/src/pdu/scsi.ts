// SCSI Command and SCSI Response PDUs (RFC 7143 11.3, 11.4).
import { ProtocolError } from "../errors.ts";
import {
  expectHeader,
  FINAL_FLAG,
  newHeader,
  Opcode,
  readLun,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeLun,
  writeTargetSequence,
} from "./header.ts";

/** Task attribute SIMPLE (RFC 7143 11.3.1.1): the only one we use. */
export const TASK_ATTRIBUTE_SIMPLE = 1;
const READ_FLAG = 0x40;
const WRITE_FLAG = 0x20;

/** SCSI Command. `final` is false when unsolicited Data-Out PDUs follow; `cdb` is at most 16 bytes. */
export interface ScsiCommandPdu {
  readonly final: boolean;
  readonly read: boolean;
  readonly write: boolean;
  readonly attribute: number;
  readonly lun: number;
  readonly initiatorTaskTag: number;
  /** Bytes of the whole transfer, in one direction. */
  readonly expectedDataTransferLength: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly cdb: Buffer;
  /** Length of the immediate data that follows the header. */
  readonly dataSegmentLength: number;
}

export function encodeScsiCommand(pdu: ScsiCommandPdu): Buffer {
  if (pdu.cdb.length > 16)
    throw new ProtocolError(`a CDB of ${pdu.cdb.length} bytes needs an AHS, which is unsupported`);
  const flags =
    (pdu.final ? FINAL_FLAG : 0) | (pdu.read ? READ_FLAG : 0) | (pdu.write ? WRITE_FLAG : 0) | (pdu.attribute & 7);
  const header = newHeader(Opcode.ScsiCommand, flags);
  setDataSegmentLength(header, pdu.dataSegmentLength);
  writeLun(header, pdu.lun, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.expectedDataTransferLength, 20);
  header.writeUInt32BE(pdu.cmdSn, 24);
  header.writeUInt32BE(pdu.expStatSn, 28);
  header.set(pdu.cdb, 32);
  return header;
}

/** Decodes what a target receives. `lun` is undefined for addressing methods this package does not use. */
export function decodeScsiCommand(header: Buffer): Omit<ScsiCommandPdu, "lun"> & { readonly lun: number | undefined } {
  expectHeader(header, Opcode.ScsiCommand);
  const flags = header.readUInt8(1);
  return {
    final: (flags & FINAL_FLAG) !== 0,
    read: (flags & READ_FLAG) !== 0,
    write: (flags & WRITE_FLAG) !== 0,
    attribute: flags & 7,
    lun: readLun(header, 8),
    initiatorTaskTag: header.readUInt32BE(16),
    expectedDataTransferLength: header.readUInt32BE(20),
    cmdSn: header.readUInt32BE(24),
    expStatSn: header.readUInt32BE(28),
    cdb: Buffer.from(header.subarray(32, 48)),
    dataSegmentLength: header.readUInt32BE(4) & 0xffffff,
  };
}

/** How much less (underflow) or more (overflow) than expected a command transferred, in bytes (RFC 7143 11.4.5). */
export interface Residual {
  readonly kind: "none" | "underflow" | "overflow";
  readonly bytes: number;
}

export const NO_RESIDUAL: Residual = { kind: "none", bytes: 0 };
const OVERFLOW_FLAG = 0x04;
const UNDERFLOW_FLAG = 0x02;

/** Residual bits as SCSI Response and Data-In share them. */
export function readResidual(flags: number, bytes: number): Residual {
  if ((flags & OVERFLOW_FLAG) !== 0) return { kind: "overflow", bytes };
  if ((flags & UNDERFLOW_FLAG) !== 0) return { kind: "underflow", bytes };
  return NO_RESIDUAL;
}

export function residualFlags(residual: Residual): number {
  if (residual.kind === "none") return 0;
  return residual.kind === "overflow" ? OVERFLOW_FLAG : UNDERFLOW_FLAG;
}

/** SCSI Response; `response` 0 means that `status` is valid, anything else that the target failed to run the command. */
export interface ScsiResponsePdu extends TargetSequence {
  readonly response: number;
  readonly status: number;
  readonly initiatorTaskTag: number;
  readonly expDataSn: number;
  readonly residual: Residual;
}

export function encodeScsiResponse(pdu: ScsiResponsePdu, dataBytes: number): Buffer {
  const header = newHeader(Opcode.ScsiResponse, FINAL_FLAG | residualFlags(pdu.residual));
  header[2] = pdu.response;
  header[3] = pdu.status;
  setDataSegmentLength(header, dataBytes);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  writeTargetSequence(header, pdu);
  header.writeUInt32BE(pdu.expDataSn, 36);
  header.writeUInt32BE(pdu.residual.bytes, 44);
  return header;
}

export function decodeScsiResponse(header: Buffer): ScsiResponsePdu {
  expectHeader(header, Opcode.ScsiResponse);
  return {
    response: header.readUInt8(2),
    status: header.readUInt8(3),
    initiatorTaskTag: header.readUInt32BE(16),
    ...readTargetSequence(header),
    expDataSn: header.readUInt32BE(36),
    residual: readResidual(header.readUInt8(1), header.readUInt32BE(44)),
  };
}

/** The sense bytes of a SCSI Response's data segment (RFC 7143 11.4.7): a 2-byte length, then sense data. */
export function senseBytes(data: Buffer): Buffer | undefined {
  if (data.length < 2) return undefined;
  const length = Math.min(data.readUInt16BE(0), data.length - 2);
  return length === 0 ? undefined : data.subarray(2, 2 + length);
}
