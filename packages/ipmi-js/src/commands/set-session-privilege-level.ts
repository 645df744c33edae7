// Set Session Privilege Level (IPMI 2.0, 22.18). A new session is at User level, whatever was asked for.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import type { Command } from "./command.ts";

export interface SessionPrivilegeLevel {
  /** Privilege level number; in a request 0 asks for the present one. */
  readonly privilege: number;
}

/** The requested level is above the user's limit. */
export const PRIVILEGE_NOT_AVAILABLE = 0x80;
/** The requested level is above the channel's or the session's limit. */
export const PRIVILEGE_EXCEEDS_LIMIT = 0x81;

export const setSessionPrivilegeLevel: Command<SessionPrivilegeLevel, SessionPrivilegeLevel> = {
  name: "Set Session Privilege Level",
  netFn: NET_FN.application,
  code: 0x3b,
  // It needs no privilege: User level is where every session starts.
  privilege: 0,
  completionCodes: {
    [PRIVILEGE_NOT_AVAILABLE]: "the user may not have the requested privilege",
    [PRIVILEGE_EXCEEDS_LIMIT]: "the privilege exceeds the limit of the user or the channel",
    130: "the user's own level cannot be left",
  },
  encodeRequest: ({ privilege }) => Buffer.from([privilege]),
  decodeRequest(data) {
    requireLength(data, 1, "a Set Session Privilege Level request");
    return { privilege: data.readUInt8(0) & 0x0f };
  },
  encodeResponse: ({ privilege }) => Buffer.from([privilege]),
  decodeResponse(data) {
    requireLength(data, 1, "a Set Session Privilege Level response");
    return { privilege: data.readUInt8(0) & 0x0f };
  },
};
