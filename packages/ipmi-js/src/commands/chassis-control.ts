// Chassis Control (IPMI 2.0, 28.3).
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { nameOf } from "./name-of.ts";

/** What the chassis is told to do, with the number of table 28-4. */
export const CHASSIS_CONTROL_ACTIONS = {
  "power-down": 0,
  "power-up": 1,
  "power-cycle": 2,
  "hard-reset": 3,
  "diagnostic-interrupt": 4,
  "soft-shutdown": 5,
} as const;

export type ChassisControlAction = keyof typeof CHASSIS_CONTROL_ACTIONS;

export interface ChassisControlRequest {
  readonly action: ChassisControlAction;
}

export const chassisControl: Command<ChassisControlRequest, void> = {
  name: "Chassis Control",
  netFn: NET_FN.chassis,
  code: 0x02,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest: ({ action }) => Buffer.from([CHASSIS_CONTROL_ACTIONS[action]]),
  decodeRequest(data) {
    requireLength(data, 1, "a Chassis Control request");
    const number = data.readUInt8(0) & 0x0f;
    const action = nameOf(CHASSIS_CONTROL_ACTIONS, number);
    if (action === undefined) throw new WireError(`chassis control ${number} is not defined`);
    return { action };
  },
  ...NO_RESPONSE_DATA,
};
