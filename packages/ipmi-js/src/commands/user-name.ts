// Set and Get User Name (IPMI 2.0, 22.28, 22.29).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** Most bytes of a user name. */
export const USER_NAME_BYTES = 16;

export interface SetUserNameRequest {
  readonly userId: number;
  /** At most 16 bytes; what is longer is cut. */
  readonly name: string;
}

export interface GetUserNameRequest {
  readonly userId: number;
}

export interface UserName {
  /** Empty for a slot without a name. */
  readonly name: string;
}

export const setUserName: Command<SetUserNameRequest, void> = {
  name: "Set User Name",
  netFn: NET_FN.application,
  code: 0x45,
  privilege: PRIVILEGE_LEVEL.administrator,
  encodeRequest: ({ userId, name }) => Buffer.concat([Buffer.from([userId & 0x3f]), paddedName(name)]),
  decodeRequest(data) {
    requireLength(data, 1 + USER_NAME_BYTES, "a Set User Name request");
    return { userId: data.readUInt8(0) & 0x3f, name: unpaddedName(data.subarray(1, 1 + USER_NAME_BYTES)) };
  },
  encodeResponse: () => Buffer.alloc(0),
  decodeResponse: () => undefined,
};

export const getUserName: Command<GetUserNameRequest, UserName> = {
  name: "Get User Name",
  netFn: NET_FN.application,
  code: 0x46,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest: ({ userId }) => Buffer.from([userId & 0x3f]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get User Name request");
    return { userId: data.readUInt8(0) & 0x3f };
  },
  encodeResponse: ({ name }) => paddedName(name),
  decodeResponse(data) {
    requireLength(data, USER_NAME_BYTES, "a Get User Name response");
    return { name: unpaddedName(data.subarray(0, USER_NAME_BYTES)) };
  },
};

function paddedName(name: string): Buffer {
  const bytes = Buffer.alloc(USER_NAME_BYTES);
  Buffer.from(name).copy(bytes);
  return bytes;
}

function unpaddedName(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? bytes.length : end).toString();
}
