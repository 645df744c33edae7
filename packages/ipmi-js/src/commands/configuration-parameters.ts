// What the Get and Set commands of LAN (IPMI 2.0, 23.1, 23.2) and SOL parameters (26.2, 26.3) have alike.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetParameterRequest {
  readonly channel: number;
  /** Parameter selector. */
  readonly parameter: number;
  /** Which entry of a parameter that has several. Default 0. */
  readonly setSelector?: number;
}

export interface SetParameterRequest {
  readonly channel: number;
  readonly parameter: number;
  readonly data: Buffer;
}

type Described = Required<Pick<Command<never, never>, "name" | "code" | "privilege" | "completionCodes">>;

const PARAMETER_REVISION = 0x11;

export function getParameterCommand(described: Described): Command<GetParameterRequest, { readonly data: Buffer }> {
  return {
    ...described,
    netFn: NET_FN.transport,
    encodeRequest: ({ channel, parameter, setSelector = 0 }) =>
      Buffer.from([channel & 0x0f, parameter, setSelector, 0]),
    decodeRequest(data) {
      requireLength(data, 4, `a ${described.name} request`);
      return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1), setSelector: data.readUInt8(2) };
    },
    encodeResponse: ({ data }) => Buffer.concat([Buffer.from([PARAMETER_REVISION]), data]),
    decodeResponse(data) {
      requireLength(data, 1, `a ${described.name} response`);
      return { data: data.subarray(1) };
    },
  };
}

export function setParameterCommand(described: Omit<Described, "privilege">): Command<SetParameterRequest, void> {
  return {
    ...described,
    netFn: NET_FN.transport,
    privilege: PRIVILEGE_LEVEL.administrator,
    encodeRequest: ({ channel, parameter, data }) => Buffer.concat([Buffer.from([channel & 0x0f, parameter]), data]),
    decodeRequest(data) {
      requireLength(data, 3, `a ${described.name} request`);
      return { channel: data.readUInt8(0) & 0x0f, parameter: data.readUInt8(1), data: data.subarray(2) };
    },
    ...NO_RESPONSE_DATA,
  };
}
