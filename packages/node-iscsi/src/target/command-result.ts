// How a command of the test target ends: status, data, and sense data that points at what was wrong (SPC-4 4.5).
import { encodeFixedSense, ScsiStatus, SenseKey } from "../scsi/sense.ts";

/** How a command ended. */
export interface CommandResult {
  readonly status: number;
  readonly data?: Buffer | undefined;
  readonly sense?: Buffer | undefined;
  /** Set when the command used fewer bytes of data-out than came: the rest is a residual underflow (RFC 7143 11.4.5.1). */
  readonly dataOutBytes?: number | undefined;
}

export const GOOD: CommandResult = { status: ScsiStatus.Good };
export const BUSY: CommandResult = { status: ScsiStatus.Busy };
export const TASK_SET_FULL: CommandResult = { status: ScsiStatus.TaskSetFull };
export const RESERVATION_CONFLICT: CommandResult = { status: ScsiStatus.ReservationConflict };

/** GOOD with data, cut to the allocation length. */
export function goodWith(data: Buffer, allocationBytes = data.length): CommandResult {
  return { status: ScsiStatus.Good, data: data.subarray(0, allocationBytes) };
}

export function checkCondition(senseKey: number, asc: number, ascq = 0): CommandResult {
  return { status: ScsiStatus.CheckCondition, sense: encodeFixedSense(senseKey, asc, ascq) };
}

export const invalidOpcode = () => checkCondition(SenseKey.IllegalRequest, 0x20);
export const outOfRange = () => checkCondition(SenseKey.IllegalRequest, 0x21);
export const noSuchLun = () => checkCondition(SenseKey.IllegalRequest, 0x25);
export const parameterListLengthError = () => checkCondition(SenseKey.IllegalRequest, 0x1a);
export const writeProtected = () => checkCondition(SenseKey.DataProtect, 0x27);
/** Data-out ended early: data phase error. */
export const dataMissing = () => checkCondition(SenseKey.AbortedCommand, 0x4b);

/** SKSV, then which list (C/D), the bit when it is known (BPV), and the byte. */
function withFieldPointer(asc: number, isInCdb: boolean, byte: number, bit: number | undefined): CommandResult {
  const sense = encodeFixedSense(SenseKey.IllegalRequest, asc, 0);
  sense[15] = 0x80 | (isInCdb ? 0x40 : 0) | (bit === undefined ? 0 : 0x08 | bit);
  sense.writeUInt16BE(byte, 16);
  return { status: ScsiStatus.CheckCondition, sense };
}

export function invalidFieldInCdb(byte: number, bit?: number): CommandResult {
  return withFieldPointer(0x24, true, byte, bit);
}

export function invalidFieldInParameterList(byte: number, bit?: number): CommandResult {
  return withFieldPointer(0x26, false, byte, bit);
}

/** MISCOMPARE with the offset of the first difference in INFORMATION (SBC-4 5.3). */
export function miscompare(offsetBytes: number): CommandResult {
  const sense = encodeFixedSense(SenseKey.Miscompare, 0x1d, 0);
  sense[0] = 0xf0;
  sense.writeUInt32BE(offsetBytes, 3);
  return { status: ScsiStatus.CheckCondition, sense };
}

/** NOT READY, such as format (04h/04h) or sanitize (04h/1Bh) in progress, with the progress, 0 to 1. */
export function notReadySense(ascq: number, fraction?: number): Buffer {
  const sense = encodeFixedSense(SenseKey.NotReady, 0x04, ascq);
  if (fraction === undefined) return sense;
  sense[15] = 0x80;
  sense.writeUInt16BE(Math.min(0xffff, Math.floor(fraction * 65_536)), 16);
  return sense;
}
