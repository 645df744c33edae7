// Set System Boot Options (IPMI 2.0, 28.12).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

export interface SetSystemBootOptionsRequest {
  /** Parameter selector, 7 bits (table 28-14). */
  readonly parameter: number;
  readonly data: Buffer;
}

/** The BMC does not have the parameter. */
export const BOOT_PARAMETER_NOT_SUPPORTED = 0x80;

export const setSystemBootOptions: Command<SetSystemBootOptionsRequest, void> = {
  name: "Set System Boot Options",
  netFn: NET_FN.chassis,
  code: 0x08,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: {
    [BOOT_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this boot option parameter",
    129: "another party is setting boot options now",
    130: "this boot option parameter is read-only",
  },
  encodeRequest: ({ parameter, data }) => Buffer.concat([Buffer.from([parameter & 0x7f]), data]),
  decodeRequest(data) {
    requireLength(data, 1, "a Set System Boot Options request");
    return { parameter: data.readUInt8(0) & 0x7f, data: data.subarray(1) };
  },
  ...NO_RESPONSE_DATA,
};
