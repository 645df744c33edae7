// Sense data (SPC-4 4.5) and SCSI status (SAM-5 5.3.1): decoding and texts. Never throws: it runs while an error is being made.
import { additionalSenseText } from "./additional-sense-codes.ts";

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
  [0x9, "VENDOR SPECIFIC"],
  [0xa, "COPY ABORTED"],
  [0xb, "ABORTED COMMAND"],
  [0xd, "VOLUME OVERFLOW"],
  [0xe, "MISCOMPARE"],
  [0xf, "COMPLETED"],
]);

/** Sense key specific information (SPC-4 4.5.2.4.2): what it means depends on the sense key. */
export type SenseKeySpecific =
  /** ILLEGAL REQUEST: the field that was wrong, in the CDB or in the parameter list; `bit` is its highest bit when known. */
  | {
      readonly kind: "field pointer";
      readonly isInCdb: boolean;
      readonly byte: number;
      readonly bit: number | undefined;
    }
  /** NOT READY and NO SENSE: how much of the operation is done, 0 to 1. */
  | { readonly kind: "progress"; readonly fraction: number }
  /** MEDIUM ERROR, HARDWARE ERROR, RECOVERED ERROR: retries the target made. */
  | { readonly kind: "actual retry count"; readonly retries: number };

/** Decoded sense. `asc` and `ascq` are 0 when the target sent none. */
export interface SenseData {
  readonly senseKey: number;
  readonly asc: number;
  readonly ascq: number;
  /** True when it reports an earlier command (deferred error). */
  readonly isDeferred: boolean;
  /**
   * INFORMATION field: usually the first bad block; after COMPARE AND WRITE the offset in bytes of the first difference;
   * undefined when not valid.
   */
  readonly information: bigint | undefined;
  readonly senseKeySpecific: SenseKeySpecific | undefined;
}

/** The command was run to its end, with some help (SPC-4 4.5.6): a success. A deferred error is about another command. */
export function isRecoveredError(status: number, sense: SenseData | undefined): boolean {
  return status === ScsiStatus.CheckCondition && sense?.senseKey === SenseKey.RecoveredError && !sense.isDeferred;
}

/** Decodes fixed (70h, 71h) and descriptor (72h, 73h) sense data; undefined for anything else or too short. */
export function decodeSense(bytes: Buffer): SenseData | undefined {
  if (bytes.length < 3) return undefined;
  const responseCode = bytes.readUInt8(0) & 0x7f;
  const isDeferred = responseCode === 0x71 || responseCode === 0x73;
  if (responseCode === 0x70 || responseCode === 0x71) return { ...decodeFixed(bytes), isDeferred };
  if (responseCode === 0x72 || responseCode === 0x73) return { ...decodeDescriptors(bytes), isDeferred };
  return undefined;
}

type SenseFields = Omit<SenseData, "isDeferred">;

function decodeFixed(bytes: Buffer): SenseFields {
  const senseKey = bytes.readUInt8(2) & 0x0f;
  const hasInformation = (bytes.readUInt8(0) & 0x80) !== 0 && bytes.length >= 7;
  // Trap: bytes beyond the additional sense length are not sense; a target may send a longer buffer with leftovers in it.
  const end = Math.min(bytes.length, 8 + (bytes[7] ?? 0));
  return {
    senseKey,
    asc: end > 12 ? (bytes[12] ?? 0) : 0,
    ascq: end > 13 ? (bytes[13] ?? 0) : 0,
    information: hasInformation ? BigInt(bytes.readUInt32BE(3)) : undefined,
    senseKeySpecific: end >= 18 ? decodeSenseKeySpecific(senseKey, bytes, 15) : undefined,
  };
}

const INFORMATION_DESCRIPTOR = 0x00;
const SENSE_KEY_SPECIFIC_DESCRIPTOR = 0x02;

/** Walks the descriptors after byte 8 (SPC-4 4.5.2). */
function decodeDescriptors(bytes: Buffer): SenseFields {
  const senseKey = bytes.readUInt8(1) & 0x0f;
  let information: bigint | undefined;
  let senseKeySpecific: SenseKeySpecific | undefined;
  for (let at = 8; at + 2 <= bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    const type = bytes[at];
    if (type === INFORMATION_DESCRIPTOR && at + 12 <= bytes.length && ((bytes[at + 2] ?? 0) & 0x80) !== 0)
      information ??= bytes.readBigUInt64BE(at + 4);
    if (type === SENSE_KEY_SPECIFIC_DESCRIPTOR && at + 7 <= bytes.length)
      senseKeySpecific ??= decodeSenseKeySpecific(senseKey, bytes, at + 4);
  }
  return { senseKey, asc: bytes.readUInt8(2), ascq: bytes[3] ?? 0, information, senseKeySpecific };
}

/** The three bytes at `at`; their first bit, SKSV, says whether they mean anything. */
function decodeSenseKeySpecific(senseKey: number, bytes: Buffer, at: number): SenseKeySpecific | undefined {
  const flags = bytes.readUInt8(at);
  if ((flags & 0x80) === 0) return undefined;
  const value = bytes.readUInt16BE(at + 1);
  switch (senseKey) {
    case SenseKey.IllegalRequest:
      return {
        kind: "field pointer",
        isInCdb: (flags & 0x40) !== 0,
        byte: value,
        bit: (flags & 0x08) !== 0 ? flags & 0x07 : undefined,
      };
    case SenseKey.NotReady:
    case SenseKey.NoSense:
      return { kind: "progress", fraction: value / 65_536 };
    case SenseKey.MediumError:
    case SenseKey.HardwareError:
    case SenseKey.RecoveredError:
      return { kind: "actual retry count", retries: value };
    default:
      return undefined;
  }
}

/** `ILLEGAL REQUEST, invalid field in CDB, byte 2 of the CDB (key 5h, ASC 24h, ASCQ 00h)`. */
export function describeSense(sense: SenseData): string {
  const hex = (value: number) => `${value.toString(16).padStart(2, "0")}h`;
  const key = SENSE_KEY_TEXTS.get(sense.senseKey) ?? "sense";
  const text = additionalSenseText(sense.asc, sense.ascq);
  const numbers = `key ${sense.senseKey.toString(16)}h, ASC ${hex(sense.asc)}, ASCQ ${hex(sense.ascq)}`;
  const deferred = sense.isDeferred ? ", deferred" : "";
  const parts = [key, text, describeSpecific(sense.senseKeySpecific)].filter((part) => part !== undefined);
  return `${parts.join(", ")} (${numbers}${deferred})`;
}

function describeSpecific(specific: SenseKeySpecific | undefined): string | undefined {
  if (specific?.kind === "progress") return `${Math.floor(specific.fraction * 100)} % done`;
  if (specific?.kind === "actual retry count") return `after ${specific.retries} retries`;
  if (specific?.kind !== "field pointer") return undefined;
  const bit = specific.bit === undefined ? "" : ` bit ${specific.bit}`;
  return `byte ${specific.byte}${bit} of the ${specific.isInCdb ? "CDB" : "parameter list"}`;
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
