// Set and Get User Access (IPMI 2.0, 22.26, 22.27).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

/** Privilege limit of a user who may not use the channel. */
export const NO_ACCESS = 0x0f;

/** What a user may do on a channel. */
export interface UserAccessRights {
  /** Only to be called back. */
  readonly isRestrictedToCallback: boolean;
  readonly hasLinkAuthentication: boolean;
  /** May open IPMI sessions. */
  readonly hasIpmiMessaging: boolean;
}

export interface SetUserAccessRequest {
  readonly channel: number;
  readonly userId: number;
  /** Highest privilege level on this channel, a number of `PRIVILEGE_LEVEL`, or {@link NO_ACCESS}. */
  readonly privilegeLimit: number;
  /** Left out, the rights stay as they are. */
  readonly rights?: UserAccessRights;
}

export interface GetUserAccessRequest {
  readonly channel: number;
  readonly userId: number;
}

const STATUSES = ["unspecified", "enabled", "disabled", "reserved"] as const;

export interface UserAccess extends UserAccessRights {
  /** Number of user ids on the channel; ids start at 1. */
  readonly maxUserIds: number;
  readonly enabledUserIds: number;
  /** The first so many names cannot be changed. */
  readonly fixedNames: number;
  /** `unspecified` on BMCs before erratum E3, which do not say. */
  readonly status: (typeof STATUSES)[number];
  readonly privilegeLimit: number;
}

const CHANGE_RIGHTS = 0x80;

export const setUserAccess: Command<SetUserAccessRequest, void> = {
  name: "Set User Access",
  netFn: NET_FN.application,
  code: 0x43,
  privilege: PRIVILEGE_LEVEL.administrator,
  encodeRequest({ channel, userId, privilegeLimit, rights }) {
    const bits = rights === undefined ? 0 : CHANGE_RIGHTS | rightsBits(rights);
    return Buffer.from([bits | (channel & 0x0f), userId & 0x3f, privilegeLimit & 0x0f]);
  },
  decodeRequest(data) {
    requireLength(data, 3, "a Set User Access request");
    const first = data.readUInt8(0);
    return {
      channel: first & 0x0f,
      userId: data.readUInt8(1) & 0x3f,
      privilegeLimit: data.readUInt8(2) & 0x0f,
      ...((first & CHANGE_RIGHTS) === 0 ? {} : { rights: readRights(first) }),
    };
  },
  ...NO_RESPONSE_DATA,
};

export const getUserAccess: Command<GetUserAccessRequest, UserAccess> = {
  name: "Get User Access",
  netFn: NET_FN.application,
  code: 0x44,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest: ({ channel, userId }) => Buffer.from([channel & 0x0f, userId & 0x3f]),
  decodeRequest(data) {
    requireLength(data, 2, "a Get User Access request");
    return { channel: data.readUInt8(0) & 0x0f, userId: data.readUInt8(1) & 0x3f };
  },
  encodeResponse: (access) =>
    Buffer.from([
      access.maxUserIds & 0x3f,
      (STATUSES.indexOf(access.status) << 6) | (access.enabledUserIds & 0x3f),
      access.fixedNames & 0x3f,
      rightsBits(access) | (access.privilegeLimit & 0x0f),
    ]),
  decodeResponse(data) {
    requireLength(data, 4, "a Get User Access response");
    const enabled = data.readUInt8(1);
    const rights = data.readUInt8(3);
    return {
      maxUserIds: data.readUInt8(0) & 0x3f,
      enabledUserIds: enabled & 0x3f,
      fixedNames: data.readUInt8(2) & 0x3f,
      status: STATUSES[enabled >> 6] ?? "reserved",
      ...readRights(rights),
      privilegeLimit: rights & 0x0f,
    };
  },
};

function rightsBits(rights: UserAccessRights): number {
  return (
    (rights.isRestrictedToCallback ? 0x40 : 0) |
    (rights.hasLinkAuthentication ? 0x20 : 0) |
    (rights.hasIpmiMessaging ? 0x10 : 0)
  );
}

function readRights(bits: number): UserAccessRights {
  return {
    isRestrictedToCallback: (bits & 0x40) !== 0,
    hasLinkAuthentication: (bits & 0x20) !== 0,
    hasIpmiMessaging: (bits & 0x10) !== 0,
  };
}
