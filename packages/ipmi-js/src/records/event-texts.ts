// Event/reading types and the texts of their offsets (IPMI 2.0, tables 42-1 and 42-2).
import { hexNumber, sensorSpecificEvent } from "./sensor-types.ts";

/** Event/reading types with a meaning of their own (table 42-1). */
export const EVENT_TYPE = { threshold: 0x01, sensorSpecific: 0x6f } as const;

/** Event/reading types 01h to 0Ch, by number less one: the text of each offset. */
const GENERIC_EVENTS: readonly (readonly string[])[] = [
  [
    "Lower Non-critical going low",
    "Lower Non-critical going high",
    "Lower Critical going low",
    "Lower Critical going high",
    "Lower Non-recoverable going low",
    "Lower Non-recoverable going high",
    "Upper Non-critical going low",
    "Upper Non-critical going high",
    "Upper Critical going low",
    "Upper Critical going high",
    "Upper Non-recoverable going low",
    "Upper Non-recoverable going high",
  ],
  ["Transition to Idle", "Transition to Active", "Transition to Busy"],
  ["State Deasserted", "State Asserted"],
  ["Predictive Failure Deasserted", "Predictive Failure Asserted"],
  ["Limit Not Exceeded", "Limit Exceeded"],
  ["Performance Met", "Performance Lags"],
  [
    "Transition to OK",
    "Transition to Non-critical from OK",
    "Transition to Critical from less severe",
    "Transition to Non-recoverable from less severe",
    "Transition to Non-critical from more severe",
    "Transition to Critical from Non-recoverable",
    "Transition to Non-recoverable",
    "Monitor",
    "Informational",
  ],
  ["Device Absent", "Device Present"],
  ["Device Disabled", "Device Enabled"],
  [
    "Transition to Running",
    "Transition to In Test",
    "Transition to Power Off",
    "Transition to On Line",
    "Transition to Off Line",
    "Transition to Off Duty",
    "Transition to Degraded",
    "Transition to Power Save",
    "Install Error",
  ],
  [
    "Fully Redundant",
    "Redundancy Lost",
    "Redundancy Degraded",
    "Non-Redundant: Sufficient from Redundant",
    "Non-Redundant: Sufficient from Insufficient",
    "Non-Redundant: Insufficient Resources",
    "Redundancy Degraded from Fully Redundant",
    "Redundancy Degraded from Non-Redundant",
  ],
  ["D0 Power State", "D1 Power State", "D2 Power State", "D3 Power State"],
];

/** The text of an event or state: the specification's, or the numbers for a vendor's own. */
export function eventText(eventType: number, sensorType: number, offset: number): string {
  const known =
    eventType === EVENT_TYPE.sensorSpecific
      ? sensorSpecificEvent(sensorType, offset)
      : GENERIC_EVENTS[eventType - 1]?.[offset];
  return known ?? `event type ${hexNumber(eventType)} offset ${offset}`;
}
