// Get Chassis Status (IPMI 2.0, 28.2).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

export interface ChassisStatus {
  readonly isPowerOn: boolean;
  readonly hasPowerOverload: boolean;
  readonly hasPowerFault: boolean;
  /** The controller could not switch the power as it was told to. */
  readonly hasPowerControlFault: boolean;
  /** What happens when the mains come back. */
  readonly powerRestorePolicy: PowerRestorePolicy;
}

const POLICIES = ["always-off", "previous", "always-on", "unknown"] as const;

/** Power restore policy, bits 6:5 of the current power state. */
export type PowerRestorePolicy = (typeof POLICIES)[number];

export const getChassisStatus: Command<void, ChassisStatus> = {
  name: "Get Chassis Status",
  netFn: NET_FN.chassis,
  code: 0x01,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse(status) {
    const state =
      (status.isPowerOn ? 0x01 : 0) |
      (status.hasPowerOverload ? 0x02 : 0) |
      (status.hasPowerFault ? 0x08 : 0) |
      (status.hasPowerControlFault ? 0x10 : 0) |
      (POLICIES.indexOf(status.powerRestorePolicy) << 5);
    return Buffer.from([state, 0, 0]);
  },
  decodeResponse(data) {
    requireLength(data, 1, "a Get Chassis Status response");
    const state = data.readUInt8(0);
    return {
      isPowerOn: (state & 0x01) !== 0,
      hasPowerOverload: (state & 0x02) !== 0,
      hasPowerFault: (state & 0x08) !== 0,
      hasPowerControlFault: (state & 0x10) !== 0,
      powerRestorePolicy: POLICIES[(state >> 5) & 3] ?? "unknown",
    };
  },
};
