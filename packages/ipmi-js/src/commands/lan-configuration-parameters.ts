// Set and Get LAN Configuration Parameters (IPMI 2.0, 23.1, 23.2). The parameters' own bytes: lan-parameters.ts.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetLanConfigurationParametersRequest {
  readonly channel: number;
  readonly parameter: number;
  /** Which entry of a parameter that has several. Default 0. */
  readonly setSelector?: number;
}

export interface LanConfigurationParameter {
  readonly data: Buffer;
}

export interface SetLanConfigurationParametersRequest {
  readonly channel: number;
  readonly parameter: number;
  readonly data: Buffer;
}

/** The BMC does not have the parameter. */
export const LAN_PARAMETER_NOT_SUPPORTED = 0x80;
/** Another party is writing. */
export const LAN_SET_IN_PROGRESS = 0x81;
export const LAN_PARAMETER_READ_ONLY = 0x82;

const PARAMETER_REVISION = 0x11;
const NOT_SUPPORTED = { [LAN_PARAMETER_NOT_SUPPORTED]: "the BMC does not have this LAN parameter" };

export const setLanConfigurationParameters: Command<SetLanConfigurationParametersRequest, void> = {
  name: "Set LAN Configuration Parameters",
  netFn: NET_FN.transport,
  code: 0x01,
  privilege: PRIVILEGE_LEVEL.administrator,
  completionCodes: {
    ...NOT_SUPPORTED,
    [LAN_SET_IN_PROGRESS]: "another party is writing LAN parameters now",
    [LAN_PARAMETER_READ_ONLY]: "this LAN parameter is read-only",
  },
  encodeRequest: ({ channel, parameter, data }) => Buffer.concat([Buffer.from([channel & 0x0f, parameter]), data]),
  decodeRequest(data) {
    requireLength(data, 3, "a Set LAN Configuration Parameters request");
    return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1), data: data.subarray(2) };
  },
  encodeResponse: () => Buffer.alloc(0),
  decodeResponse: () => undefined,
};

export const getLanConfigurationParameters: Command<GetLanConfigurationParametersRequest, LanConfigurationParameter> = {
  name: "Get LAN Configuration Parameters",
  netFn: NET_FN.transport,
  code: 0x02,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { ...NOT_SUPPORTED, 131: "this LAN parameter is write-only" },
  encodeRequest: ({ channel, parameter, setSelector = 0 }) => Buffer.from([channel & 0x0f, parameter, setSelector, 0]),
  decodeRequest(data) {
    requireLength(data, 4, "a Get LAN Configuration Parameters request");
    return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1), setSelector: data.readUInt8(2) };
  },
  encodeResponse: ({ data }) => Buffer.concat([Buffer.from([PARAMETER_REVISION]), data]),
  decodeResponse(data) {
    requireLength(data, 1, "a Get LAN Configuration Parameters response");
    return { data: data.subarray(1) };
  },
};
