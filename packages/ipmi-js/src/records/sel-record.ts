// Records of the system event log (IPMI 2.0, 32.1 to 32.3) and the event messages in them (29.7).
import { requireLength } from "../wire/wire-error.ts";
import { EVENT_TYPE, eventText } from "./event-texts.ts";
import { hexNumber, sensorTypeName } from "./sensor-types.ts";

/** Every record of the log has as many. */
export const SEL_RECORD_BYTES = 16;

const SYSTEM_EVENT = 0x02;
const FIRST_TIMESTAMPED_OEM = 0xc0;
const FIRST_PLAIN_OEM = 0xe0;
/** Smaller times count from the start of the BMC (37.1). */
const FIRST_REAL_TIME = 0x20000000;
/** As a time in seconds: none. */
export const NO_TIME = 0xffffffff;

interface AnySelRecord {
  readonly id: number;
  /** 02h a system event, C0h to DFh a vendor's with a time, E0h to FFh one without. */
  readonly recordType: number;
  /** All 16 bytes. */
  readonly raw: Buffer;
}

/** When a record was made. */
export interface SelTimestamp {
  /** As the BMC has it: seconds since 1970 by its clock, or since its start if below 20000000h. */
  readonly seconds: number;
  /** Undefined if the BMC did not know the time. */
  readonly time: Date | undefined;
}

/** An event of a sensor, record type 02h. */
export interface SystemEventRecord extends AnySelRecord, SelTimestamp {
  readonly kind: "event";
  /** Who saw it: bits 7:1 slave address (bit 0 clear) or software id (bit 0 set), 9:8 LUN, 15:12 channel. */
  readonly generatorId: number;
  readonly sensorType: number;
  readonly sensorTypeName: string;
  readonly sensorNumber: number;
  /** Event/reading type: 01h thresholds, 02h to 0Ch generic states, 6Fh states of the sensor type, 70h on a vendor's. */
  readonly eventType: number;
  /** False: the state went away. */
  readonly isAssertion: boolean;
  /** Which event of the type. */
  readonly offset: number;
  /** Three bytes; the low half of the first is `offset`. */
  readonly eventData: Buffer;
  /** For thresholds: the raw reading and threshold that made the event, if it has them. */
  readonly triggerReading: number | undefined;
  readonly triggerThreshold: number | undefined;
  /** For people: `Temperature sensor 01h: Upper Critical going high, asserted`. */
  readonly text: string;
}

/** A record with a vendor's meaning: kept as it is. */
export interface OemSelRecord extends AnySelRecord {
  readonly kind: "oem";
  /** Undefined for types E0h on, which have no time. */
  readonly timestamp: SelTimestamp | undefined;
  /** IANA enterprise number; types C0h to DFh only. */
  readonly manufacturerId: number | undefined;
  /** The vendor's bytes: 6 for types C0h to DFh, 13 for others. */
  readonly data: Buffer;
  readonly text: string;
}

/** A decoded record of the log. */
export type SelRecord = SystemEventRecord | OemSelRecord;

/** What makes a system event record. */
export type SystemEvent = Pick<
  SystemEventRecord,
  "id" | "seconds" | "generatorId" | "sensorType" | "sensorNumber" | "eventType" | "isAssertion" | "eventData"
>;

export function encodeSystemEvent(event: SystemEvent): Buffer {
  const bytes = Buffer.alloc(SEL_RECORD_BYTES);
  bytes.writeUInt16LE(event.id, 0);
  bytes[2] = SYSTEM_EVENT;
  bytes.writeUInt32LE(event.seconds, 3);
  bytes.writeUInt16LE(event.generatorId, 7);
  bytes[9] = 0x04; // event message format of IPMI 1.5 and 2.0
  bytes[10] = event.sensorType;
  bytes[11] = event.sensorNumber;
  bytes[12] = (event.isAssertion ? 0 : 0x80) | event.eventType;
  event.eventData.copy(bytes, 13, 0, 3);
  return bytes;
}

/** Any 16 bytes are a record; fewer are a `WireError`. */
export function decodeSelRecord(bytes: Buffer): SelRecord {
  requireLength(bytes, SEL_RECORD_BYTES, "a SEL record");
  const raw = Buffer.from(bytes.subarray(0, SEL_RECORD_BYTES));
  const recordType = raw.readUInt8(2);
  const common = { id: raw.readUInt16LE(0), recordType, raw };
  if (recordType === SYSTEM_EVENT) return { ...common, ...decodeSystemEvent(raw) };
  const isTimestamped = recordType >= FIRST_TIMESTAMPED_OEM && recordType < FIRST_PLAIN_OEM;
  const data = raw.subarray(isTimestamped ? 10 : 3);
  return {
    kind: "oem",
    ...common,
    timestamp: isTimestamped ? selTimestamp(raw.readUInt32LE(3)) : undefined,
    manufacturerId: isTimestamped ? raw.readUIntLE(7, 3) : undefined,
    data,
    text: `OEM record ${hexNumber(recordType)}: ${data.toString("hex")}`,
  };
}

function decodeSystemEvent(raw: Buffer): Omit<SystemEventRecord, keyof AnySelRecord> {
  const sensorType = raw.readUInt8(10);
  const sensorNumber = raw.readUInt8(11);
  const eventType = raw.readUInt8(12) & 0x7f;
  const isAssertion = (raw.readUInt8(12) & 0x80) === 0;
  const [data1 = 0, data2 = 0, data3 = 0] = raw.subarray(13);
  const offset = data1 & 0x0f;
  const name = sensorTypeName(sensorType);
  const what = eventText(eventType, sensorType, offset);
  // The two halves of byte 1 say what bytes 2 and 3 hold (table 29-6).
  const isThreshold = eventType === EVENT_TYPE.threshold;
  return {
    kind: "event",
    ...selTimestamp(raw.readUInt32LE(3)),
    generatorId: raw.readUInt16LE(7),
    sensorType,
    sensorTypeName: name,
    sensorNumber,
    eventType,
    isAssertion,
    offset,
    eventData: raw.subarray(13),
    triggerReading: isThreshold && data1 >> 6 === 1 ? data2 : undefined,
    triggerThreshold: isThreshold && ((data1 >> 4) & 3) === 1 ? data3 : undefined,
    text: `${name} sensor ${hexNumber(sensorNumber)}: ${what}, ${isAssertion ? "asserted" : "deasserted"}`,
  };
}

/** What a time of the BMC's stands for. */
export function selTimestamp(seconds: number): SelTimestamp {
  const isReal = seconds >= FIRST_REAL_TIME && seconds !== NO_TIME;
  return { seconds, time: isReal ? new Date(seconds * 1000) : undefined };
}
