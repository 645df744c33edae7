// Get Channel Info (IPMI 2.0, 22.24).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetChannelInfoRequest {
  /** 0 to 15; 14 is the channel the request comes on. */
  readonly channel: number;
}

const SESSIONS = ["none", "single", "multiple", "as-needed"] as const;

export interface ChannelInfo {
  readonly channel: number;
  /** Table 6-3: 1 IPMB, 4 802.3 LAN, 5 serial, 12 system interface. */
  readonly medium: number;
  /** Table 6-2: 1 IPMB, 5 KCS. */
  readonly protocol: number;
  readonly sessions: (typeof SESSIONS)[number];
  readonly activeSessions: number;
  /** IANA enterprise number of whoever specified the protocol; 7154 for IPMI. */
  readonly vendorId: number;
  /** Two bytes, by medium. */
  readonly auxiliary: Buffer;
}

export const getChannelInfo: Command<GetChannelInfoRequest, ChannelInfo> = {
  name: "Get Channel Info",
  netFn: NET_FN.application,
  code: 0x42,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ channel }) => Buffer.from([channel & 0x0f]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Channel Info request");
    return { channel: data.readUInt8(0) & 0x0f };
  },
  encodeResponse(info) {
    const bytes = Buffer.alloc(9);
    bytes[0] = info.channel & 0x0f;
    bytes[1] = info.medium & 0x7f;
    bytes[2] = info.protocol & 0x1f;
    bytes[3] = (SESSIONS.indexOf(info.sessions) << 6) | (info.activeSessions & 0x3f);
    bytes.writeUIntLE(info.vendorId & 0xffffff, 4, 3);
    info.auxiliary.copy(bytes, 7, 0, 2);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 9, "a Get Channel Info response");
    const sessions = data.readUInt8(3);
    return {
      channel: data.readUInt8(0) & 0x0f,
      medium: data.readUInt8(1) & 0x7f,
      protocol: data.readUInt8(2) & 0x1f,
      sessions: SESSIONS[sessions >> 6] ?? "none",
      activeSessions: sessions & 0x3f,
      vendorId: data.readUIntLE(4, 3),
      auxiliary: data.subarray(7, 9),
    };
  },
};
