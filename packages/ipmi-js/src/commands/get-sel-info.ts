// Get SEL Info (IPMI 2.0, 31.2).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** The state of the system event log. Times are seconds since 1970 by the BMC's clock, FFFFFFFFh: never. */
export interface SelInfo {
  /** `1.5` for IPMI 1.5 and 2.0. */
  readonly version: string;
  readonly entryCount: number;
  /** 65535: more than can be said. */
  readonly freeBytes: number;
  readonly lastAdditionSeconds: number;
  readonly lastEraseSeconds: number;
  /** Events were lost as the log was full. */
  readonly hasOverflowed: boolean;
  readonly canDelete: boolean;
  readonly canReserve: boolean;
}

export const getSelInfo: Command<void, SelInfo> = {
  name: "Get SEL Info",
  netFn: NET_FN.storage,
  code: 0x40,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { 129: "the SEL is being erased" },
  encodeRequest: () => Buffer.alloc(0),
  decodeRequest: () => undefined,
  encodeResponse(info) {
    const [major = 1, minor = 5] = info.version.split(".").map(Number);
    const bytes = Buffer.alloc(14);
    bytes[0] = (minor << 4) | major;
    bytes.writeUInt16LE(info.entryCount, 1);
    bytes.writeUInt16LE(info.freeBytes, 3);
    bytes.writeUInt32LE(info.lastAdditionSeconds, 5);
    bytes.writeUInt32LE(info.lastEraseSeconds, 9);
    bytes[13] = (info.hasOverflowed ? 0x80 : 0) | (info.canDelete ? 0x08 : 0) | (info.canReserve ? 0x02 : 0);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 14, "a Get SEL Info response");
    const version = data.readUInt8(0);
    const support = data.readUInt8(13);
    return {
      // Least significant digit first: 51h is version 1.5.
      version: `${version & 0x0f}.${version >> 4}`,
      entryCount: data.readUInt16LE(1),
      freeBytes: data.readUInt16LE(3),
      lastAdditionSeconds: data.readUInt32LE(5),
      lastEraseSeconds: data.readUInt32LE(9),
      hasOverflowed: (support & 0x80) !== 0,
      canDelete: (support & 0x08) !== 0,
      canReserve: (support & 0x02) !== 0,
    };
  },
};
