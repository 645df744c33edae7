// DCMI's commands: Get DCMI Capabilities Info and Get Power Reading (DCMI 1.5, 6.1.1, 6.6.1), group extension DCh.
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

const GROUP = 0xdc;
const SYSTEM_POWER_STATISTICS = 1;
const IS_ACTIVE = 0x40;

export interface PowerReading {
  /** Watts: now, and least, most and mean over the period. */
  readonly currentWatts: number;
  readonly minimumWatts: number;
  readonly maximumWatts: number;
  readonly averageWatts: number;
  /** The BMC's clock, seconds since 1970. */
  readonly timestamp: number;
  /** The period of the statistics, milliseconds. */
  readonly periodMs: number;
  /** False: power is not measured now, the numbers are void. */
  readonly isActive: boolean;
}

export const getPowerReading: Command<void, PowerReading> = {
  name: "Get Power Reading",
  netFn: NET_FN.groupExtension,
  code: 0x02,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: () => Buffer.from([GROUP, SYSTEM_POWER_STATISTICS, 0, 0]),
  decodeRequest: (data) => void afterGroup(data, 4, "a Get Power Reading request"),
  encodeResponse(reading) {
    const bytes = Buffer.alloc(18);
    bytes[0] = GROUP;
    bytes.writeUInt16LE(reading.currentWatts, 1);
    bytes.writeUInt16LE(reading.minimumWatts, 3);
    bytes.writeUInt16LE(reading.maximumWatts, 5);
    bytes.writeUInt16LE(reading.averageWatts, 7);
    bytes.writeUInt32LE(reading.timestamp, 9);
    bytes.writeUInt32LE(reading.periodMs, 13);
    bytes[17] = reading.isActive ? IS_ACTIVE : 0;
    return bytes;
  },
  decodeResponse(data) {
    const body = afterGroup(data, 18, "a Get Power Reading response");
    return {
      currentWatts: body.readUInt16LE(0),
      minimumWatts: body.readUInt16LE(2),
      maximumWatts: body.readUInt16LE(4),
      averageWatts: body.readUInt16LE(6),
      timestamp: body.readUInt32LE(8),
      periodMs: body.readUInt32LE(12),
      isActive: (body.readUInt8(16) & IS_ACTIVE) !== 0,
    };
  },
};

export interface GetDcmiCapabilitiesInfoRequest {
  /** 1 supported capabilities, 2 mandatory and 3 optional platform attributes, 4 and 5 manageability access. */
  readonly parameter: number;
}

export interface DcmiCapabilitiesInfo {
  /** `major.minor` of the DCMI specification. */
  readonly version: string;
  readonly parameterRevision: number;
  /** The parameter's own bytes, as in DCMI 1.5, table 6-3. */
  readonly data: Buffer;
}

/** The BMC knows DCMI, and measures power, if parameter 1 comes with bit 0 of its second byte set. */
export const getDcmiCapabilitiesInfo: Command<GetDcmiCapabilitiesInfoRequest, DcmiCapabilitiesInfo> = {
  name: "Get DCMI Capabilities Info",
  netFn: NET_FN.groupExtension,
  code: 0x01,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ parameter }) => Buffer.from([GROUP, parameter]),
  decodeRequest: (data) => ({
    parameter: afterGroup(data, 2, "a Get DCMI Capabilities Info request").readUInt8(0),
  }),
  encodeResponse({ version, parameterRevision, data }) {
    const [major = 0, minor = 0] = version.split(".").map(Number);
    return Buffer.concat([Buffer.from([GROUP, major, minor, parameterRevision]), data]);
  },
  decodeResponse(data) {
    const body = afterGroup(data, 4, "a Get DCMI Capabilities Info response");
    return {
      version: `${body.readUInt8(0)}.${body.readUInt8(1)}`,
      parameterRevision: body.readUInt8(2),
      data: body.subarray(3),
    };
  },
};

/** Requests and responses of a group extension start with the group's number. */
function afterGroup(data: Buffer, length: number, what: string): Buffer {
  requireLength(data, length, what);
  if (data.readUInt8(0) !== GROUP) throw new WireError(`${what} is of another group extension than DCMI`);
  return data.subarray(1);
}
