// Get SDR Repository Info (IPMI 2.0, 33.9).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** The state of the repository of sensor data records. Times are seconds since 1970 by the BMC's clock. */
export interface SdrRepositoryInfo {
  /** `1.5` for IPMI 1.5, `2.0` for 2.0. */
  readonly version: string;
  readonly recordCount: number;
  readonly freeBytes: number;
  readonly lastAdditionSeconds: number;
  readonly lastEraseSeconds: number;
  readonly canReserve: boolean;
}

export const getSdrRepositoryInfo: Command<void, SdrRepositoryInfo> = {
  name: "Get SDR Repository Info",
  netFn: NET_FN.storage,
  code: 0x20,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: () => Buffer.alloc(0),
  decodeRequest: () => undefined,
  encodeResponse(info) {
    const [major = 1, minor = 5] = info.version.split(".").map(Number);
    const bytes = Buffer.alloc(14);
    bytes[0] = (minor << 4) | major;
    bytes.writeUInt16LE(info.recordCount, 1);
    bytes.writeUInt16LE(info.freeBytes, 3);
    bytes.writeUInt32LE(info.lastAdditionSeconds, 5);
    bytes.writeUInt32LE(info.lastEraseSeconds, 9);
    bytes[13] = info.canReserve ? 0x02 : 0;
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 14, "a Get SDR Repository Info response");
    const version = data.readUInt8(0);
    return {
      version: `${version & 0x0f}.${version >> 4}`,
      recordCount: data.readUInt16LE(1),
      freeBytes: data.readUInt16LE(3),
      lastAdditionSeconds: data.readUInt32LE(5),
      lastEraseSeconds: data.readUInt32LE(9),
      canReserve: (data.readUInt8(13) & 0x02) !== 0,
    };
  },
};
