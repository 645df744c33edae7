// Get Sensor Thresholds (IPMI 2.0, 35.9).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** The six thresholds in the order of the specification's bits and bytes. */
export const THRESHOLD_NAMES = [
  "lowerNonCritical",
  "lowerCritical",
  "lowerNonRecoverable",
  "upperNonCritical",
  "upperCritical",
  "upperNonRecoverable",
] as const;

export type ThresholdName = (typeof THRESHOLD_NAMES)[number];

/** A number for each threshold the sensor has. */
export type Thresholds = { readonly [name in ThresholdName]?: number };

export interface GetSensorThresholdsRequest {
  readonly sensorNumber: number;
}

/** The answer holds raw numbers, 0 to 255; thresholds that cannot be read are left out. */
export const getSensorThresholds: Command<GetSensorThresholdsRequest, Thresholds> = {
  name: "Get Sensor Thresholds",
  netFn: NET_FN.sensorEvent,
  code: 0x27,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ sensorNumber }) => Buffer.from([sensorNumber]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Sensor Thresholds request");
    return { sensorNumber: data.readUInt8(0) };
  },
  encodeResponse(thresholds) {
    const bytes = Buffer.alloc(7);
    for (const [bit, name] of THRESHOLD_NAMES.entries()) {
      const raw = thresholds[name];
      if (raw === undefined) continue;
      bytes[0] = (bytes[0] ?? 0) | (1 << bit);
      bytes[1 + bit] = raw;
    }
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 7, "a Get Sensor Thresholds response");
    const readable = data.readUInt8(0);
    const present = [...THRESHOLD_NAMES.entries()].filter(([bit]) => (readable & (1 << bit)) !== 0);
    return Object.fromEntries(present.map(([bit, name]) => [name, data.readUInt8(1 + bit)]));
  },
};
