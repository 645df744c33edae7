// Get Channel Payload Support (IPMI 2.0, 24.8).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

const ALL_TYPES = 64;
const TYPE_BYTES = 8;

/** `payloadTypes`: numbers of the payload types (table 13-16) that can be used on the channel. */
export const getChannelPayloadSupport: Command<{ readonly channel: number }, { readonly payloadTypes: number[] }> = {
  name: "Get Channel Payload Support",
  netFn: NET_FN.application,
  code: 0x4e,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ channel }) => Buffer.from([channel & 0x0f]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Channel Payload Support request");
    return { channel: data.readUInt8(0) & 0x0f };
  },
  encodeResponse({ payloadTypes }) {
    const data = Buffer.alloc(TYPE_BYTES);
    for (const type of payloadTypes) data[type >> 3] = data.readUInt8(type >> 3) | (1 << (type & 7));
    return data;
  },
  decodeResponse(data) {
    requireLength(data, TYPE_BYTES, "a Get Channel Payload Support response");
    const types = Array.from({ length: ALL_TYPES }, (_, type) => type);
    return { payloadTypes: types.filter((type) => (data.readUInt8(type >> 3) & (1 << (type & 7))) !== 0) };
  },
};
