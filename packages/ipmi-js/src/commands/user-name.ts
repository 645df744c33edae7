// Set and Get User Name (IPMI 2.0, 22.28, 22.29).
import { NET_FN } from "../wire/message.ts";
import { MAX_USER_BYTES } from "../wire/rakp.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { untilZero } from "./zero-padding.ts";

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
    requireLength(data, 1 + MAX_USER_BYTES, "a Set User Name request");
    return { userId: data.readUInt8(0) & 0x3f, name: untilZero(data.subarray(1, 1 + MAX_USER_BYTES)).toString() };
  },
  ...NO_RESPONSE_DATA,
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
    requireLength(data, MAX_USER_BYTES, "a Get User Name response");
    return { name: untilZero(data.subarray(0, MAX_USER_BYTES)).toString() };
  },
};

function paddedName(name: string): Buffer {
  const bytes = Buffer.alloc(MAX_USER_BYTES);
  Buffer.from(name).copy(bytes);
  return bytes;
}
