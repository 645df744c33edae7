// Get Self Test Results (IPMI 2.0, 20.4).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

const RESULTS = { 85: "passed", 86: "not-implemented", 87: "devices-failed", 88: "fatal" } as const;

/** Bit by bit what failed, bit 0 first, when the result is `devices-failed`. */
const FAILURES = [
  "operational firmware corrupted",
  "boot block firmware corrupted",
  "FRU internal use area corrupted",
  "SDR repository empty",
  "IPMB signal lines do not respond",
  "cannot access BMC FRU device",
  "cannot access SDR repository",
  "cannot access SEL device",
] as const;

export interface SelfTestResults {
  /** `device-specific`: a result of the vendor's own; `resultCode` and `detail` say which. */
  readonly result: (typeof RESULTS)[keyof typeof RESULTS] | "device-specific";
  readonly resultCode: number;
  readonly detail: number;
  /** What failed, in words; empty unless the result is `devices-failed`. */
  readonly failures: readonly string[];
}

export const getSelfTestResults: Command<void, SelfTestResults> = {
  name: "Get Self Test Results",
  netFn: NET_FN.application,
  code: 0x04,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse: ({ resultCode, detail }) => Buffer.from([resultCode, detail]),
  decodeResponse(data) {
    requireLength(data, 2, "a Get Self Test Results response");
    const resultCode = data.readUInt8(0);
    const detail = data.readUInt8(1);
    const result = RESULTS[resultCode as keyof typeof RESULTS] ?? "device-specific";
    const failures = result === "devices-failed" ? FAILURES.filter((_, bit) => (detail & (1 << bit)) !== 0) : [];
    return { result, resultCode, detail, failures };
  },
};
