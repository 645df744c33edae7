// Get System Boot Options (IPMI 2.0, 28.13).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";
import { BOOT_PARAMETER_NOT_SUPPORTED } from "./set-system-boot-options.ts";

export interface GetSystemBootOptionsRequest {
  /** Parameter selector, 7 bits (table 28-14). */
  readonly parameter: number;
}

export interface SystemBootOption {
  readonly parameter: number;
  /** False: the BMC marks the parameter as invalid or locked. */
  readonly isValid: boolean;
  readonly data: Buffer;
}

const PARAMETER_VERSION = 0x01;

export const getSystemBootOptions: Command<GetSystemBootOptionsRequest, SystemBootOption> = {
  name: "Get System Boot Options",
  netFn: NET_FN.chassis,
  code: 0x09,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { [BOOT_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this boot option parameter" },
  // Set and block selectors are 0: no parameter we read has more than one set.
  encodeRequest: ({ parameter }) => Buffer.from([parameter & 0x7f, 0, 0]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get System Boot Options request");
    return { parameter: data.readUInt8(0) & 0x7f };
  },
  encodeResponse: ({ parameter, isValid, data }) =>
    Buffer.concat([Buffer.from([PARAMETER_VERSION, (isValid ? 0 : 0x80) | parameter]), data]),
  decodeResponse(data) {
    requireLength(data, 2, "a Get System Boot Options response");
    const selector = data.readUInt8(1);
    return { parameter: selector & 0x7f, isValid: (selector & 0x80) === 0, data: data.subarray(2) };
  },
};
