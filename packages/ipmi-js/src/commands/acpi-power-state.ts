// Set and Get ACPI Power State (IPMI 2.0, 20.6, 20.7).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { nameOf } from "./name-of.ts";

const SYSTEM = {
  S0: 0x00,
  S1: 0x01,
  S2: 0x02,
  S3: 0x03,
  S4: 0x04,
  S5: 0x05,
  "S4/S5": 0x06,
  G3: 0x07,
  sleeping: 0x08,
  "G1 sleeping": 0x09,
  override: 0x0a,
  "legacy on": 0x20,
  "legacy off": 0x21,
  unknown: 0x2a,
} as const;

const DEVICE = { D0: 0x00, D1: 0x01, D2: 0x02, D3: 0x03, unknown: 0x2a } as const;

/** System power state: ACPI's names, and those of table 20-8 where the BMC cannot tell more. */
export type AcpiSystemPowerState = keyof typeof SYSTEM;
/** Device power state. */
export type AcpiDevicePowerState = keyof typeof DEVICE;

export interface AcpiPowerState {
  readonly system: AcpiSystemPowerState;
  readonly device: AcpiDevicePowerState;
}

/** What the BMC shall take the states for: it switches nothing. What is left out stays. */
export type SetAcpiPowerStateRequest = Partial<AcpiPowerState>;

const SET = 0x80;

export const setAcpiPowerState: Command<SetAcpiPowerStateRequest, void> = {
  name: "Set ACPI Power State",
  netFn: NET_FN.application,
  code: 0x06,
  privilege: PRIVILEGE_LEVEL.administrator,
  encodeRequest: ({ system, device }) =>
    Buffer.from([system === undefined ? 0 : SET | SYSTEM[system], device === undefined ? 0 : SET | DEVICE[device]]),
  decodeRequest(data) {
    requireLength(data, 2, "a Set ACPI Power State request");
    const [system, device] = [data.readUInt8(0), data.readUInt8(1)];
    return {
      ...((system & SET) === 0 ? {} : { system: systemOf(system) }),
      ...((device & SET) === 0 ? {} : { device: deviceOf(device) }),
    };
  },
  ...NO_RESPONSE_DATA,
};

export const getAcpiPowerState: Command<void, AcpiPowerState> = {
  name: "Get ACPI Power State",
  netFn: NET_FN.application,
  code: 0x07,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse: ({ system, device }) => Buffer.from([SYSTEM[system], DEVICE[device]]),
  decodeResponse(data) {
    requireLength(data, 2, "a Get ACPI Power State response");
    return { system: systemOf(data.readUInt8(0)), device: deviceOf(data.readUInt8(1)) };
  },
};

const systemOf = (byte: number) => nameOf(SYSTEM, byte & ~SET) ?? "unknown";
const deviceOf = (byte: number) => nameOf(DEVICE, byte & ~SET) ?? "unknown";
