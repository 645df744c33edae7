// Set Power Restore Policy (IPMI 2.0, 28.8).
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";
import { nameOf } from "./name-of.ts";

const POLICIES = { "always-off": 0, previous: 1, "always-on": 2, "no-change": 3 } as const;

export interface SetPowerRestorePolicyRequest {
  /** What happens when the mains come back; `no-change` only asks what the BMC can do. */
  readonly policy: keyof typeof POLICIES;
}

/** Which policies the BMC can follow. */
export interface SupportedPowerRestorePolicies {
  readonly alwaysOff: boolean;
  readonly previous: boolean;
  readonly alwaysOn: boolean;
}

export const setPowerRestorePolicy: Command<SetPowerRestorePolicyRequest, SupportedPowerRestorePolicies> = {
  name: "Set Power Restore Policy",
  netFn: NET_FN.chassis,
  code: 0x06,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest: ({ policy }) => Buffer.from([POLICIES[policy]]),
  decodeRequest(data) {
    requireLength(data, 1, "a Set Power Restore Policy request");
    const number = data.readUInt8(0) & 0x07;
    const policy = nameOf(POLICIES, number);
    if (policy === undefined) throw new WireError(`power restore policy ${number} is not defined`);
    return { policy };
  },
  encodeResponse: ({ alwaysOff, previous, alwaysOn }) =>
    Buffer.from([(alwaysOff ? 0x01 : 0) | (previous ? 0x02 : 0) | (alwaysOn ? 0x04 : 0)]),
  decodeResponse(data) {
    requireLength(data, 1, "a Set Power Restore Policy response");
    const bits = data.readUInt8(0);
    return { alwaysOff: (bits & 0x01) !== 0, previous: (bits & 0x02) !== 0, alwaysOn: (bits & 0x04) !== 0 };
  },
};
