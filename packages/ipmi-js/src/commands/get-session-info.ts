// Get Session Info (IPMI 2.0, 22.20).
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** The session slots of a BMC. */
export interface SessionInfo {
  /** Handle of the session that asks. */
  readonly handle: number;
  /** Sessions the BMC can have at once. */
  readonly possible: number;
  /** Sessions it has now. */
  readonly active: number;
}

/** Asks about the session that the command comes through. */
export const getSessionInfo: Command<void, SessionInfo> = {
  name: "Get Session Info",
  netFn: NET_FN.application,
  code: 0x3d,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: () => Buffer.from([0]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Session Info request");
    if (data[0] !== 0) throw new WireError("other sessions than the asking one are not told about");
  },
  encodeResponse: ({ handle, possible, active }) => Buffer.from([handle, possible & 0x3f, active & 0x3f]),
  decodeResponse(data) {
    requireLength(data, 3, "a Get Session Info response");
    return { handle: data.readUInt8(0), possible: data.readUInt8(1) & 0x3f, active: data.readUInt8(2) & 0x3f };
  },
};
