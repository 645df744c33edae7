// Set and Get Channel Access (IPMI 2.0, 22.22, 22.23).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

const MODES = ["disabled", "pre-boot-only", "always-available", "shared", "reserved"] as const;
const STORES = { "non-volatile": 1, volatile: 2 } as const;

/** When a channel takes IPMI messages: table 6-4. */
export type ChannelAccessMode = (typeof MODES)[number];
/** The settings in force, or those they are made from at the BMC's next start. */
export type ChannelAccessStore = keyof typeof STORES;

/** What a channel lets in, and how it asks. */
export interface ChannelAccessSettings {
  readonly mode: ChannelAccessMode;
  readonly hasAlerting: boolean;
  readonly hasPerMessageAuthentication: boolean;
  readonly hasUserLevelAuthentication: boolean;
}

export interface ChannelAccess extends ChannelAccessSettings {
  /** Highest privilege level on the channel, for all users. */
  readonly privilegeLimit: number;
}

export interface GetChannelAccessRequest {
  readonly channel: number;
  readonly store: ChannelAccessStore;
}

/** What is left out stays. */
export interface SetChannelAccessRequest extends GetChannelAccessRequest {
  readonly settings?: ChannelAccessSettings;
  readonly privilegeLimit?: number;
}

export const setChannelAccess: Command<SetChannelAccessRequest, void> = {
  name: "Set Channel Access",
  netFn: NET_FN.application,
  code: 0x40,
  privilege: PRIVILEGE_LEVEL.administrator,
  completionCodes: {
    130: "the channel has no sessions, so no access to set",
    131: "the channel does not have this access mode",
  },
  encodeRequest({ channel, store, settings, privilegeLimit }) {
    const change = STORES[store] << 6;
    const access = settings === undefined ? 0 : change | settingsBits(settings);
    return Buffer.from([channel & 0x0f, access, privilegeLimit === undefined ? 0 : change | (privilegeLimit & 0x0f)]);
  },
  decodeRequest(data) {
    requireLength(data, 3, "a Set Channel Access request");
    const [channel, access, limit] = [data.readUInt8(0) & 0x0f, data.readUInt8(1), data.readUInt8(2)];
    return {
      channel,
      store: storeOf(access >> 6 === 0 ? limit : access),
      ...(access >> 6 === 0 ? {} : { settings: readSettings(access) }),
      ...(limit >> 6 === 0 ? {} : { privilegeLimit: limit & 0x0f }),
    };
  },
  ...NO_RESPONSE_DATA,
};

export const getChannelAccess: Command<GetChannelAccessRequest, ChannelAccess> = {
  name: "Get Channel Access",
  netFn: NET_FN.application,
  code: 0x41,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { 130: "the channel has no sessions, so no access" },
  encodeRequest: ({ channel, store }) => Buffer.from([channel & 0x0f, STORES[store] << 6]),
  decodeRequest(data) {
    requireLength(data, 2, "a Get Channel Access request");
    return { channel: data.readUInt8(0) & 0x0f, store: storeOf(data.readUInt8(1)) };
  },
  encodeResponse: (access) => Buffer.from([settingsBits(access), access.privilegeLimit & 0x0f]),
  decodeResponse(data) {
    requireLength(data, 2, "a Get Channel Access response");
    return { ...readSettings(data.readUInt8(0)), privilegeLimit: data.readUInt8(1) & 0x0f };
  },
};

/** The bits say what is off. */
function settingsBits(access: ChannelAccessSettings): number {
  return (
    (access.hasAlerting ? 0 : 0x20) |
    (access.hasPerMessageAuthentication ? 0 : 0x10) |
    (access.hasUserLevelAuthentication ? 0 : 0x08) |
    MODES.indexOf(access.mode)
  );
}

function readSettings(bits: number): ChannelAccessSettings {
  return {
    mode: MODES[bits & 0x07] ?? "reserved",
    hasAlerting: (bits & 0x20) === 0,
    hasPerMessageAuthentication: (bits & 0x10) === 0,
    hasUserLevelAuthentication: (bits & 0x08) === 0,
  };
}

function storeOf(bits: number): ChannelAccessStore {
  return bits >> 6 === STORES["non-volatile"] ? "non-volatile" : "volatile";
}
