// SCSI Data-Out, SCSI Data-In and Ready To Transfer PDUs (RFC 7143 11.7, 11.8): the data path's headers.
import { ProtocolError } from "../errors.ts";
import {
  expectHeader,
  FINAL_FLAG,
  HEADER_BYTES,
  lunField,
  MAX_DATA_SEGMENT_BYTES,
  newHeader,
  Opcode,
  readTargetSequence,
  setDataSegmentLength,
  type TargetSequence,
  writeLun,
  writeTargetSequence,
} from "./header.ts";
import { type Residual, readResidual, residualFlags } from "./scsi.ts";

/** Data-Out; `targetTransferTag` is RESERVED_TAG for unsolicited data. */
export interface DataOutPdu {
  readonly final: boolean;
  readonly lun: number;
  readonly initiatorTaskTag: number;
  readonly targetTransferTag: number;
  readonly expStatSn: number;
  readonly dataSn: number;
  readonly bufferOffset: number;
  readonly dataSegmentLength: number;
}

/**
 * Writes a Data-Out header into 48 zeroed bytes at `offset`, so that one allocation serves a whole burst. Through a view: on the data
 * path Buffer's own methods, which check and store byte by byte, take nearly twice as long.
 */
export function writeDataOut(pdu: DataOutPdu, into: DataView, offset: number): void {
  if (pdu.dataSegmentLength > MAX_DATA_SEGMENT_BYTES) throw new ProtocolError("Data-Out segment does not fit 24 bits");
  into.setUint16(offset, (Opcode.DataOut << 8) | (pdu.final ? FINAL_FLAG : 0));
  into.setUint32(offset + 4, pdu.dataSegmentLength);
  into.setUint16(offset + 8, lunField(pdu.lun));
  into.setUint32(offset + 16, pdu.initiatorTaskTag);
  into.setUint32(offset + 20, pdu.targetTransferTag);
  into.setUint32(offset + 28, pdu.expStatSn);
  into.setUint32(offset + 36, pdu.dataSn);
  into.setUint32(offset + 40, pdu.bufferOffset);
}

export function encodeDataOut(pdu: DataOutPdu): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  writeDataOut(pdu, viewOf(header), 0);
  return header;
}

/** The same bytes, for numbers of more than one byte. */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function decodeDataOut(header: Buffer): Omit<DataOutPdu, "lun"> {
  expectHeader(header, Opcode.DataOut);
  return {
    final: (header.readUInt8(1) & FINAL_FLAG) !== 0,
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    expStatSn: header.readUInt32BE(28),
    dataSn: header.readUInt32BE(36),
    bufferOffset: header.readUInt32BE(40),
    dataSegmentLength: header.readUInt32BE(4) & 0xffffff,
  };
}

const STATUS_FLAG = 0x01;

/** Data-In; `status` is undefined unless the S bit says that this PDU also ends the command. */
export interface DataInPdu extends TargetSequence {
  readonly final: boolean;
  readonly status: number | undefined;
  readonly initiatorTaskTag: number;
  readonly targetTransferTag: number;
  readonly dataSn: number;
  readonly bufferOffset: number;
  readonly residual: Residual;
  readonly dataSegmentLength: number;
}

export function encodeDataIn(pdu: DataInPdu): Buffer {
  const hasStatus = pdu.status !== undefined;
  const flags = (pdu.final ? FINAL_FLAG : 0) | (hasStatus ? STATUS_FLAG | residualFlags(pdu.residual) : 0);
  const header = newHeader(Opcode.DataIn, flags);
  header[3] = pdu.status ?? 0;
  setDataSegmentLength(header, pdu.dataSegmentLength);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  writeTargetSequence(header, pdu);
  // RFC 7143 11.7.2: StatSN is reserved unless S is set.
  if (!hasStatus) header.writeUInt32BE(0, 24);
  header.writeUInt32BE(pdu.dataSn, 36);
  header.writeUInt32BE(pdu.bufferOffset, 40);
  header.writeUInt32BE(hasStatus ? pdu.residual.bytes : 0, 44);
  return header;
}

export function decodeDataIn(header: Buffer): DataInPdu {
  expectHeader(header, Opcode.DataIn);
  const flags = header.readUInt8(1);
  return {
    final: (flags & FINAL_FLAG) !== 0,
    status: (flags & STATUS_FLAG) === 0 ? undefined : header.readUInt8(3),
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    // What readTargetSequence reads, without its object in between: this is the data path.
    statSn: header.readUInt32BE(24),
    expCmdSn: header.readUInt32BE(28),
    maxCmdSn: header.readUInt32BE(32),
    dataSn: header.readUInt32BE(36),
    bufferOffset: header.readUInt32BE(40),
    residual: readResidual(flags, header.readUInt32BE(44)),
    dataSegmentLength: header.readUInt32BE(4) & 0xffffff,
  };
}

/** Ready To Transfer: the target asks for `desiredLength` bytes from `bufferOffset`. StatSN is the next one, not used up. */
export interface ReadyToTransferPdu extends TargetSequence {
  readonly initiatorTaskTag: number;
  readonly targetTransferTag: number;
  readonly r2tSn: number;
  readonly bufferOffset: number;
  readonly desiredLength: number;
}

export function encodeReadyToTransfer(pdu: ReadyToTransferPdu, lun: number): Buffer {
  const header = newHeader(Opcode.ReadyToTransfer, FINAL_FLAG);
  writeLun(header, lun, 8);
  header.writeUInt32BE(pdu.initiatorTaskTag, 16);
  header.writeUInt32BE(pdu.targetTransferTag, 20);
  writeTargetSequence(header, pdu);
  header.writeUInt32BE(pdu.r2tSn, 36);
  header.writeUInt32BE(pdu.bufferOffset, 40);
  header.writeUInt32BE(pdu.desiredLength, 44);
  return header;
}

export function decodeReadyToTransfer(header: Buffer): ReadyToTransferPdu {
  expectHeader(header, Opcode.ReadyToTransfer);
  return {
    initiatorTaskTag: header.readUInt32BE(16),
    targetTransferTag: header.readUInt32BE(20),
    ...readTargetSequence(header),
    r2tSn: header.readUInt32BE(36),
    bufferOffset: header.readUInt32BE(40),
    desiredLength: header.readUInt32BE(44),
  };
}
