// Get SEL Time and Set SEL Time (IPMI 2.0, 31.10, 31.11): the clock that stamps events.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

export interface SelTime {
  /** Seconds since 1970, 32 bits. Most BMCs keep UTC, some local time. */
  readonly seconds: number;
}

export const getSelTime: Command<void, SelTime> = {
  name: "Get SEL Time",
  netFn: NET_FN.storage,
  code: 0x48,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse: encodeTime,
  decodeResponse: (data) => decodeTime(data, "a Get SEL Time response"),
};

export const setSelTime: Command<SelTime, void> = {
  name: "Set SEL Time",
  netFn: NET_FN.storage,
  code: 0x49,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest: encodeTime,
  decodeRequest: (data) => decodeTime(data, "a Set SEL Time request"),
  ...NO_RESPONSE_DATA,
};

function encodeTime({ seconds }: SelTime): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(seconds);
  return bytes;
}

function decodeTime(data: Buffer, what: string): SelTime {
  requireLength(data, 4, what);
  return { seconds: data.readUInt32LE(0) };
}
