// Full and compact sensor records (IPMI 2.0, 43.1, 43.2). Offsets below count from the record's header, from 0.
import { THRESHOLD_NAMES, type Thresholds } from "../commands/get-sensor-thresholds.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type AnySdr, decodeIdString, encodeIdString, encodeSdr, SDR_TYPE } from "./sdr-header.ts";
import { type AnalogFormat, type ConversionFactors, signed } from "./sensor-conversion.ts";
import type { SensorUnits } from "./sensor-units.ts";

/** A sensor, record type 01h (full) or 02h (compact). */
export interface SensorRecord extends AnySdr {
  readonly kind: "sensor";
  /** Slave address (bit 0 clear) or software id of the controller that has the sensor; 20h: the BMC. */
  readonly ownerId: number;
  readonly ownerLun: number;
  readonly sensorNumber: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly sensorType: number;
  /** 01h: thresholds, with a reading; others: states. */
  readonly eventType: number;
  readonly name: string;
  readonly units: SensorUnits;
  /** Full records of sensors with analog readings. */
  readonly factors: ConversionFactors | undefined;
  /** A compact record may stand for several sensors: as many with numbers, and instances in their names, that count up. */
  readonly share: SensorShare;
}

export interface SensorShare {
  /** 1: the sensor stands for itself. */
  readonly count: number;
  /** How a number is added to the name of each: `none` for a sensor that stands for itself. */
  readonly suffix: "none" | "numeric" | "alphabetic";
  readonly firstSuffix: number;
  readonly hasOwnEntityInstances: boolean;
}

/** What makes a sensor record of ours. */
export type SensorFields = Pick<
  SensorRecord,
  "recordId" | "sensorNumber" | "entityId" | "entityInstance" | "sensorType" | "eventType" | "name"
>;

/** What a full record has besides. */
export interface AnalogFields extends SensorFields {
  readonly baseUnit: number;
  readonly factors: ConversionFactors;
  /** Raw. */
  readonly thresholds: Thresholds;
}

const FORMATS: readonly AnalogFormat[] = ["unsigned", "ones-complement", "twos-complement", "none"];
const MODIFIERS = ["none", "divide", "multiply"] as const;
const ALONE: SensorShare = { count: 1, suffix: "none", firstSuffix: 0, hasOwnEntityInstances: false };
const FULL_ID = 47;
const COMPACT_ID = 31;
const BMC = 0x20;

export function decodeSensorRecord(raw: Buffer, isFull: boolean): Omit<SensorRecord, keyof AnySdr> {
  const idAt = isFull ? FULL_ID : COMPACT_ID;
  requireLength(raw, idAt + 1, isFull ? "a full sensor record" : "a compact sensor record");
  const units1 = raw.readUInt8(20);
  return {
    kind: "sensor",
    ownerId: raw.readUInt8(5),
    ownerLun: raw.readUInt8(6) & 0x03,
    sensorNumber: raw.readUInt8(7),
    entityId: raw.readUInt8(8),
    entityInstance: raw.readUInt8(9) & 0x7f,
    sensorType: raw.readUInt8(12),
    eventType: raw.readUInt8(13) & 0x7f,
    name: decodeIdString(raw, idAt),
    units: {
      isPercentage: (units1 & 1) !== 0,
      rate: (units1 >> 3) & 7,
      modifier: MODIFIERS[(units1 >> 1) & 3] ?? "none",
      baseUnit: raw.readUInt8(21),
      modifierUnit: raw.readUInt8(22),
    },
    factors: isFull ? decodeFactors(raw, FORMATS[units1 >> 6] ?? "none") : undefined,
    share: isFull ? ALONE : decodeShare(raw),
  };
}

/** A sensor with a reading in a unit, and thresholds. */
export function encodeFullSensorRecord(fields: AnalogFields): Buffer {
  const { factors, thresholds } = fields;
  const idString = encodeIdString(fields.name);
  const record = Buffer.alloc(FULL_ID);
  const present = THRESHOLD_NAMES.map((name) => thresholds[name] !== undefined);
  const readable = present.reduce((mask, has, bit) => (has ? mask | (1 << bit) : mask), 0);
  writeSensorKey(record, fields, readable === 0 ? 0x43 : 0x47);
  // Each lower threshold makes the event "going low", each upper one "going high" (table 43-1, bytes 15 to 18).
  const events = present.reduce((mask, has, bit) => (has ? mask | (1 << (bit < 3 ? 2 * bit : 2 * bit + 1)) : mask), 0);
  record.writeUInt16LE(events | ((readable & 7) << 12), 14);
  record.writeUInt16LE(events | ((readable >> 3) << 12), 16);
  record[18] = readable;
  record[20] = FORMATS.indexOf(factors.format) << 6;
  record[21] = fields.baseUnit;
  record[23] = factors.linearization;
  record[24] = factors.m & 0xff;
  record[25] = ((factors.m >> 8) & 3) << 6;
  record[26] = factors.b & 0xff;
  record[27] = ((factors.b >> 8) & 3) << 6;
  record[29] = ((factors.rExponent & 0x0f) << 4) | (factors.bExponent & 0x0f);
  record[34] = factors.format === "unsigned" ? 0xff : 0x7f;
  record[35] = factors.format === "unsigned" ? 0x00 : 0x80;
  // In the record the thresholds stand from upper to lower, the most severe first.
  for (const [at, bit] of [5, 4, 3, 2, 1, 0].entries())
    record[36 + at] = thresholds[THRESHOLD_NAMES[bit] ?? "upperCritical"] ?? 0;
  return encodeSdr(fields.recordId, SDR_TYPE.fullSensor, Buffer.concat([record.subarray(5), idString]));
}

/** A sensor with states only. */
export function encodeCompactSensorRecord(fields: SensorFields): Buffer {
  const record = Buffer.alloc(COMPACT_ID);
  writeSensorKey(record, fields, 0x40);
  for (const at of [14, 16, 18]) record.writeUInt16LE(0x7fff, at);
  record[20] = FORMATS.indexOf("none") << 6;
  record[23] = 1;
  return encodeSdr(
    fields.recordId,
    SDR_TYPE.compactSensor,
    Buffer.concat([record.subarray(5), encodeIdString(fields.name)]),
  );
}

function writeSensorKey(record: Buffer, fields: SensorFields, capabilities: number): void {
  record[5] = BMC;
  record[7] = fields.sensorNumber;
  record[8] = fields.entityId;
  record[9] = fields.entityInstance;
  record[10] = 0x67; // scanning and events on, as initialised
  record[11] = capabilities;
  record[12] = fields.sensorType;
  record[13] = fields.eventType;
}

function decodeFactors(raw: Buffer, format: AnalogFormat): ConversionFactors | undefined {
  if (format === "none") return undefined;
  const exponents = raw.readUInt8(29);
  return {
    format,
    linearization: raw.readUInt8(23) & 0x7f,
    m: signed(raw.readUInt8(24) | ((raw.readUInt8(25) >> 6) << 8), 10),
    b: signed(raw.readUInt8(26) | ((raw.readUInt8(27) >> 6) << 8), 10),
    rExponent: signed(exponents >> 4, 4),
    bExponent: signed(exponents & 0x0f, 4),
  };
}

function decodeShare(raw: Buffer): SensorShare {
  const sharing = raw.readUInt8(23);
  const count = Math.max(1, sharing & 0x0f);
  if (count === 1) return ALONE;
  const instances = raw.readUInt8(24);
  return {
    count,
    suffix: ((sharing >> 4) & 3) === 1 ? "alphabetic" : "numeric",
    firstSuffix: instances & 0x7f,
    hasOwnEntityInstances: (instances & 0x80) !== 0,
  };
}
