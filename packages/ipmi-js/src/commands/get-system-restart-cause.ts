// Get System Restart Cause (IPMI 2.0, 28.11).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

const CAUSES = [
  "unknown",
  "chassis-control",
  "reset-button",
  "power-button",
  "watchdog",
  "oem",
  "power-restored-always-on",
  "power-restored-previous",
  "event-filter-reset",
  "event-filter-power-cycle",
  "soft-reset",
  "real-time-clock",
] as const;

/** Why the system started last, in the order of the specification's numbers. */
export type SystemRestartCauseName = (typeof CAUSES)[number];

export interface SystemRestartCause {
  /** `unknown` also for numbers the specification reserves. */
  readonly cause: SystemRestartCauseName;
  /** The channel the command came on, if a command was the cause. */
  readonly channel: number;
}

export const getSystemRestartCause: Command<void, SystemRestartCause> = {
  name: "Get System Restart Cause",
  netFn: NET_FN.chassis,
  code: 0x07,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse: ({ cause, channel }) => Buffer.from([CAUSES.indexOf(cause), channel & 0x0f]),
  decodeResponse(data) {
    requireLength(data, 2, "a Get System Restart Cause response");
    return { cause: CAUSES[data.readUInt8(0) & 0x0f] ?? "unknown", channel: data.readUInt8(1) & 0x0f };
  },
};
