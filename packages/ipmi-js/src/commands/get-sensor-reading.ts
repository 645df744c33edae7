// Get Sensor Reading (IPMI 2.0, 35.14).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetSensorReadingRequest {
  readonly sensorNumber: number;
}

/** A sensor as it is now, in the BMC's raw numbers. */
export interface SensorReading {
  /** 0 to 255; the sensor's record says what it stands for. */
  readonly raw: number;
  readonly hasEventMessages: boolean;
  /** False: the BMC does not look at the sensor; the raw value means nothing. */
  readonly isScanning: boolean;
  readonly isUnavailable: boolean;
  /** Bit n: state n of a discrete sensor (15 bits), or comparison n with the thresholds (6 bits). */
  readonly states: number;
}

export const getSensorReading: Command<GetSensorReadingRequest, SensorReading> = {
  name: "Get Sensor Reading",
  netFn: NET_FN.sensorEvent,
  code: 0x2d,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ sensorNumber }) => Buffer.from([sensorNumber]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Sensor Reading request");
    return { sensorNumber: data.readUInt8(0) };
  },
  encodeResponse({ raw, hasEventMessages, isScanning, isUnavailable, states }) {
    const flags = (hasEventMessages ? 0x80 : 0) | (isScanning ? 0x40 : 0) | (isUnavailable ? 0x20 : 0);
    return Buffer.from([raw, flags, states & 0xff, 0x80 | ((states >> 8) & 0x7f)]);
  },
  decodeResponse(data) {
    requireLength(data, 2, "a Get Sensor Reading response");
    // The two bytes of states are optional: a threshold sensor may send one, or none.
    const [raw = 0, flags = 0, low = 0, high = 0] = data;
    return {
      raw,
      hasEventMessages: (flags & 0x80) !== 0,
      isScanning: (flags & 0x40) !== 0,
      isUnavailable: (flags & 0x20) !== 0,
      states: low | ((high & 0x7f) << 8),
    };
  },
};
