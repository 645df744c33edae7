// Set SOL Configuration Parameters (IPMI 2.0, 26.2).
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";
import { SOL_PARAMETER_NOT_SUPPORTED, TRANSPORT_NET_FN } from "./get-sol-configuration.ts";

export interface SetSolConfigurationRequest {
  readonly channel: number;
  /** Parameter selector (table 26-5). */
  readonly parameter: number;
  readonly data: Buffer;
}

export const SOL_PARAMETER_READ_ONLY = 0x82;

export const setSolConfiguration: Command<SetSolConfigurationRequest, void> = {
  name: "Set SOL Configuration Parameters",
  netFn: TRANSPORT_NET_FN,
  code: 0x21,
  privilege: PRIVILEGE_LEVEL.administrator,
  completionCodes: {
    [SOL_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this SOL parameter",
    129: "another party is setting SOL parameters now",
    [SOL_PARAMETER_READ_ONLY]: "this SOL parameter is read-only",
  },
  encodeRequest: ({ channel, parameter, data }) => Buffer.concat([Buffer.from([channel & 0x0f, parameter]), data]),
  decodeRequest(data) {
    requireLength(data, 3, "a Set SOL Configuration Parameters request");
    return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1), data: data.subarray(2) };
  },
  encodeResponse: () => Buffer.alloc(0),
  decodeResponse: () => undefined,
};
