// Sense data (SPC-4 4.5) and SCSI status (SAM-5 5.3.1): decoding and texts. Never throws: it runs while an error is being made.

/** SCSI status bytes. */
export const ScsiStatus = {
  Good: 0x00,
  CheckCondition: 0x02,
  ConditionMet: 0x04,
  Busy: 0x08,
  ReservationConflict: 0x18,
  TaskSetFull: 0x28,
  AcaActive: 0x30,
  TaskAborted: 0x40,
} as const;

export const SCSI_STATUS_TEXTS: ReadonlyMap<number, string> = new Map([
  [0x00, "GOOD"],
  [0x02, "CHECK CONDITION"],
  [0x04, "CONDITION MET"],
  [0x08, "BUSY"],
  [0x18, "RESERVATION CONFLICT"],
  [0x28, "TASK SET FULL"],
  [0x30, "ACA ACTIVE"],
  [0x40, "TASK ABORTED"],
]);

/** Sense keys (SPC-4 table 46). */
export const SenseKey = {
  NoSense: 0x0,
  RecoveredError: 0x1,
  NotReady: 0x2,
  MediumError: 0x3,
  HardwareError: 0x4,
  IllegalRequest: 0x5,
  UnitAttention: 0x6,
  DataProtect: 0x7,
  BlankCheck: 0x8,
  AbortedCommand: 0xb,
  Miscompare: 0xe,
} as const;

const SENSE_KEY_TEXTS = new Map<number, string>([
  [0x0, "NO SENSE"],
  [0x1, "RECOVERED ERROR"],
  [0x2, "NOT READY"],
  [0x3, "MEDIUM ERROR"],
  [0x4, "HARDWARE ERROR"],
  [0x5, "ILLEGAL REQUEST"],
  [0x6, "UNIT ATTENTION"],
  [0x7, "DATA PROTECT"],
  [0x8, "BLANK CHECK"],
  [0xa, "COPY ABORTED"],
  [0xb, "ABORTED COMMAND"],
  [0xd, "VOLUME OVERFLOW"],
  [0xe, "MISCOMPARE"],
  [0xf, "COMPLETED"],
]);

/** ASC and ASCQ as one number, for the codes a disk is likely to send (SPC-4 annex F). */
const ADDITIONAL_SENSE_TEXTS = new Map<number, string>([
  [0x0000, "no additional sense information"],
  [0x0006, "I/O process terminated"],
  [0x0017, "cleaning requested"],
  [0x0400, "logical unit not ready, cause not reportable"],
  [0x0401, "logical unit is becoming ready"],
  [0x0402, "logical unit not ready, initializing command required"],
  [0x0403, "logical unit not ready, manual intervention required"],
  [0x0404, "format in progress"],
  [0x0407, "operation in progress"],
  [0x0409, "self-test in progress"],
  [0x040a, "asymmetric access state transition"],
  [0x040b, "target port in standby state"],
  [0x040c, "target port in unavailable state"],
  [0x041b, "sanitize in progress"],
  [0x0500, "logical unit does not respond to selection"],
  [0x0800, "logical unit communication failure"],
  [0x0c00, "write error"],
  [0x0c02, "write error, auto reallocation failed"],
  [0x0c0c, "write error, unexpected unsolicited data"],
  [0x0c0d, "write error, not enough unsolicited data"],
  [0x0e03, "invalid field in command information unit"],
  [0x1100, "unrecovered read error"],
  [0x1104, "unrecovered read error, auto reallocate failed"],
  [0x1a00, "parameter list length error"],
  [0x1d00, "miscompare during verify"],
  [0x2000, "invalid command operation code"],
  [0x2100, "logical block address out of range"],
  [0x2400, "invalid field in CDB"],
  [0x2500, "logical unit not supported"],
  [0x2600, "invalid field in parameter list"],
  [0x2604, "invalid release of persistent reservation"],
  [0x2700, "write protected"],
  [0x2707, "space allocation failed, write protect"],
  [0x2800, "medium may have changed"],
  [0x2900, "power on, reset, or bus device reset occurred"],
  [0x2901, "power on occurred"],
  [0x2902, "SCSI bus reset occurred"],
  [0x2903, "bus device reset function occurred"],
  [0x2904, "device internal reset"],
  [0x2907, "I_T nexus loss occurred"],
  [0x2a01, "mode parameters changed"],
  [0x2a03, "reservations preempted"],
  [0x2a06, "asymmetric access state changed"],
  [0x2a09, "capacity data has changed"],
  [0x2c00, "command sequence error"],
  [0x2f00, "commands cleared by another initiator"],
  [0x3100, "medium format corrupted"],
  [0x3807, "thin provisioning soft threshold reached"],
  [0x3900, "saving parameters not supported"],
  [0x3a00, "medium not present"],
  [0x3e01, "logical unit failure"],
  [0x3f03, "inquiry data has changed"],
  [0x3f0e, "reported LUNs data has changed"],
  [0x4400, "internal target failure"],
  [0x4700, "SCSI parity error"],
  [0x4b00, "data phase error"],
  [0x4e00, "overlapped commands attempted"],
  [0x5300, "media load or eject failed"],
  [0x5500, "system resource failure"],
  [0x5d00, "failure prediction threshold exceeded"],
]);

/** Decoded sense. `asc` and `ascq` are 0 when the target sent none. */
export interface SenseData {
  readonly senseKey: number;
  readonly asc: number;
  readonly ascq: number;
  /** True when it reports an earlier command (deferred error). */
  readonly isDeferred: boolean;
  /** INFORMATION field: usually the first bad block; undefined when not valid. */
  readonly information: bigint | undefined;
}

/** Decodes fixed (70h, 71h) and descriptor (72h, 73h) sense data; undefined for anything else or too short. */
export function decodeSense(bytes: Buffer): SenseData | undefined {
  if (bytes.length < 3) return undefined;
  const responseCode = bytes.readUInt8(0) & 0x7f;
  const isDeferred = responseCode === 0x71 || responseCode === 0x73;
  if (responseCode === 0x70 || responseCode === 0x71) {
    const hasInformation = (bytes.readUInt8(0) & 0x80) !== 0 && bytes.length >= 7;
    return {
      senseKey: bytes.readUInt8(2) & 0x0f,
      asc: bytes[12] ?? 0,
      ascq: bytes[13] ?? 0,
      isDeferred,
      information: hasInformation ? BigInt(bytes.readUInt32BE(3)) : undefined,
    };
  }
  if (responseCode !== 0x72 && responseCode !== 0x73) return undefined;
  return {
    senseKey: bytes.readUInt8(1) & 0x0f,
    asc: bytes.readUInt8(2),
    ascq: bytes[3] ?? 0,
    isDeferred,
    information: informationDescriptor(bytes),
  };
}

/** Walks the descriptors after byte 8 for the information descriptor (type 0, SPC-4 4.5.2.2). */
function informationDescriptor(bytes: Buffer): bigint | undefined {
  for (let at = 8; at + 2 <= bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    if (bytes[at] === 0 && at + 12 <= bytes.length && ((bytes[at + 2] ?? 0) & 0x80) !== 0)
      return bytes.readBigUInt64BE(at + 4);
  }
  return undefined;
}

/** `ILLEGAL REQUEST, invalid field in CDB (key 5h, ASC 24h, ASCQ 00h)`. */
export function describeSense(sense: SenseData): string {
  const hex = (value: number) => `${value.toString(16).padStart(2, "0")}h`;
  const key = SENSE_KEY_TEXTS.get(sense.senseKey) ?? "sense";
  const text =
    ADDITIONAL_SENSE_TEXTS.get((sense.asc << 8) | sense.ascq) ?? ADDITIONAL_SENSE_TEXTS.get(sense.asc << 8) ?? "";
  const numbers = `key ${sense.senseKey.toString(16)}h, ASC ${hex(sense.asc)}, ASCQ ${hex(sense.ascq)}`;
  return `${key}${text === "" ? "" : `, ${text}`} (${numbers}${sense.isDeferred ? ", deferred" : ""})`;
}

/** Encodes fixed-format sense data (18 bytes), as the target sends it. */
export function encodeFixedSense(senseKey: number, asc: number, ascq: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes[0] = 0x70;
  bytes[2] = senseKey;
  bytes[7] = 10;
  bytes[12] = asc;
  bytes[13] = ascq;
  return bytes;
}
