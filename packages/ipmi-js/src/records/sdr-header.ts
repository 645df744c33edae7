// What all sensor data records share: header, record types, id strings (IPMI 2.0, 33, 43.15).
import { requireLength } from "../wire/wire-error.ts";
import { decodeText, decodeTypeLength } from "./type-length.ts";

/** Record id, version, record type and the length of what follows. */
export const SDR_HEADER_BYTES = 5;
/** IPMI 1.5 and 2.0. */
const SDR_VERSION = 0x51;

/** Record types that are decoded (table 43-1 on). */
export const SDR_TYPE = { fullSensor: 0x01, compactSensor: 0x02, fruLocator: 0x11, mcLocator: 0x12 } as const;

/** What each record has. */
export interface AnySdr {
  readonly recordId: number;
  readonly recordType: number;
  /** Header and body. */
  readonly raw: Buffer;
}

/** Record id, version, type and length before `body`. */
export function encodeSdr(recordId: number, recordType: number, body: Buffer): Buffer {
  const bytes = Buffer.alloc(SDR_HEADER_BYTES + body.length);
  bytes.writeUInt16LE(recordId, 0);
  bytes[2] = SDR_VERSION;
  bytes[3] = recordType;
  bytes[4] = body.length;
  body.copy(bytes, SDR_HEADER_BYTES);
  return bytes;
}

/** The id string whose type/length byte is at `at`; what is missing at the record's end is left out. */
export function decodeIdString(record: Buffer, at: number): string {
  requireLength(record, at + 1, "the id of a sensor data record");
  const { type, length } = decodeTypeLength(record.readUInt8(at), 5);
  const bytes = record.subarray(at + 1, at + 1 + length);
  return (decodeText(bytes, type) ?? bytes.toString("utf16le")).trimEnd();
}

/** Type/length byte and at most 16 bytes of Latin 1. */
export function encodeIdString(name: string): Buffer {
  const bytes = Buffer.from(name, "latin1").subarray(0, 16);
  return Buffer.concat([Buffer.from([0xc0 | bytes.length]), bytes]);
}
