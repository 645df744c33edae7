// Get POH Counter: for how long the system has been powered in its life (IPMI 2.0, 28.14).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

/** The time is the product of the two. */
export interface PohCounter {
  readonly minutesPerCount: number;
  readonly counts: number;
}

export const getPohCounter: Command<void, PohCounter> = {
  name: "Get POH Counter",
  netFn: NET_FN.chassis,
  code: 0x0f,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse({ minutesPerCount, counts }) {
    const bytes = Buffer.alloc(5);
    bytes[0] = minutesPerCount;
    bytes.writeUInt32LE(counts, 1);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 5, "a Get POH Counter response");
    return { minutesPerCount: data.readUInt8(0), counts: data.readUInt32LE(1) };
  },
};
