// Get SOL Configuration Parameters (IPMI 2.0, 26.3).
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetSolConfigurationRequest {
  readonly channel: number;
  /** Parameter selector (table 26-5). */
  readonly parameter: number;
}

/** Network function of the transport commands (table 5-1). */
export const TRANSPORT_NET_FN = 0x0c;
export const SOL_PARAMETER_NOT_SUPPORTED = 0x80;
const PARAMETER_REVISION = 0x11;

export const getSolConfiguration: Command<GetSolConfigurationRequest, { readonly data: Buffer }> = {
  name: "Get SOL Configuration Parameters",
  netFn: TRANSPORT_NET_FN,
  code: 0x22,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { [SOL_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this SOL parameter" },
  // Set and block selectors are 0: no SOL parameter has more than one set.
  encodeRequest: ({ channel, parameter }) => Buffer.from([channel & 0x0f, parameter, 0, 0]),
  decodeRequest(data) {
    requireLength(data, 2, "a Get SOL Configuration Parameters request");
    return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1) };
  },
  encodeResponse: ({ data }) => Buffer.concat([Buffer.from([PARAMETER_REVISION]), data]),
  decodeResponse(data) {
    requireLength(data, 1, "a Get SOL Configuration Parameters response");
    return { data: data.subarray(1) };
  },
};
