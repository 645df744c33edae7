// Sensor data records: their header, locators, and the way to the sensor records (IPMI 2.0, 43).
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type AnySdr, decodeIdString, encodeIdString, encodeSdr, SDR_HEADER_BYTES, SDR_TYPE } from "./sdr-header.ts";
import { decodeSensorRecord, type SensorRecord } from "./sdr-sensor-record.ts";

/** Where a FRU inventory is, record type 11h. */
export interface FruDeviceLocator extends AnySdr {
  readonly kind: "fru";
  /** 20h: the BMC itself. */
  readonly deviceAccessAddress: number;
  /** For Read FRU Data if `isLogical`; else the device's slave address on its bus. */
  readonly fruDeviceId: number;
  readonly isLogical: boolean;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly name: string;
}

/** A management controller, record type 12h. */
export interface McDeviceLocator extends AnySdr {
  readonly kind: "controller";
  readonly slaveAddress: number;
  readonly channel: number;
  /** Bits: 7 chassis, 6 bridge, 5 event generator, 4 event receiver, 3 FRU, 2 SEL, 1 SDR repository, 0 sensors. */
  readonly capabilities: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly name: string;
}

/** A record of another type, or one that is too short for its own. */
export interface OtherSdr extends AnySdr {
  readonly kind: "other";
  /** Why it is not decoded, if its type is one of ours. */
  readonly problem: string | undefined;
}

/** A decoded sensor data record. */
export type SdrRecord = SensorRecord | FruDeviceLocator | McDeviceLocator | OtherSdr;

/** Decodes header and body. Only a record without a header is a `WireError`: one bad record must not hide the others. */
export function decodeSdr(bytes: Buffer): SdrRecord {
  requireLength(bytes, SDR_HEADER_BYTES, "a sensor data record");
  const raw = Buffer.from(bytes);
  const common = { recordId: raw.readUInt16LE(0), recordType: raw.readUInt8(3), raw };
  try {
    switch (common.recordType) {
      case SDR_TYPE.fullSensor:
      case SDR_TYPE.compactSensor:
        return { ...common, ...decodeSensorRecord(raw, common.recordType === SDR_TYPE.fullSensor) };
      case SDR_TYPE.fruLocator:
        return { ...common, ...decodeFruLocator(raw) };
      case SDR_TYPE.mcLocator:
        return { ...common, ...decodeMcLocator(raw) };
      default:
        return { kind: "other", ...common, problem: undefined };
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { kind: "other", ...common, problem: error.message };
  }
}

/** A FRU inventory device behind the BMC itself. */
export function encodeFruLocator(recordId: number, fruDeviceId: number, name: string): Buffer {
  // Logical device, device type 10h (FRU inventory behind a controller), entity 7 (system board), instance 1.
  const body = Buffer.from([0x20, fruDeviceId, 0x80, 0, 0, 0x10, 0, 7, 1, 0]);
  return encodeSdr(recordId, SDR_TYPE.fruLocator, Buffer.concat([body, encodeIdString(name)]));
}

/** The BMC itself. */
export function encodeMcLocator(recordId: number, capabilities: number, name: string): Buffer {
  const body = Buffer.from([0x20, 0, 0, capabilities, 0, 0, 0, 7, 1, 0]);
  return encodeSdr(recordId, SDR_TYPE.mcLocator, Buffer.concat([body, encodeIdString(name)]));
}

function decodeFruLocator(raw: Buffer): Omit<FruDeviceLocator, keyof AnySdr> {
  requireLength(raw, 16, "a FRU device locator record");
  return {
    kind: "fru",
    deviceAccessAddress: raw.readUInt8(5) & 0xfe,
    fruDeviceId: raw.readUInt8(6),
    isLogical: (raw.readUInt8(7) & 0x80) !== 0,
    entityId: raw.readUInt8(12),
    entityInstance: raw.readUInt8(13),
    name: decodeIdString(raw, 15),
  };
}

function decodeMcLocator(raw: Buffer): Omit<McDeviceLocator, keyof AnySdr> {
  requireLength(raw, 16, "a management controller device locator record");
  return {
    kind: "controller",
    slaveAddress: raw.readUInt8(5) & 0xfe,
    channel: raw.readUInt8(6) & 0x0f,
    capabilities: raw.readUInt8(8),
    entityId: raw.readUInt8(12),
    entityInstance: raw.readUInt8(13),
    name: decodeIdString(raw, 15),
  };
}
