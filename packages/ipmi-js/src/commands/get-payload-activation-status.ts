// Get Payload Activation Status (IPMI 2.0, 24.4).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface PayloadActivationStatus {
  /** How many instances of the payload the BMC has. */
  readonly capacity: number;
  /** Numbers of the instances that are active, in any session. */
  readonly activeInstances: readonly number[];
}

const MAX_INSTANCES = 16;

export const getPayloadActivationStatus: Command<{ readonly payloadType: number }, PayloadActivationStatus> = {
  name: "Get Payload Activation Status",
  netFn: NET_FN.application,
  code: 0x4a,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ payloadType }) => Buffer.from([payloadType & 0x3f]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get Payload Activation Status request");
    return { payloadType: data.readUInt8(0) & 0x3f };
  },
  encodeResponse({ capacity, activeInstances }) {
    const data = Buffer.from([capacity & 0x0f, 0, 0]);
    data.writeUInt16LE(
      activeInstances.reduce((bits, instance) => bits | (1 << (instance - 1)), 0),
      1,
    );
    return data;
  },
  decodeResponse(data) {
    requireLength(data, 3, "a Get Payload Activation Status response");
    const bits = data.readUInt16LE(1);
    const instances = Array.from({ length: MAX_INSTANCES }, (_, index) => index + 1);
    return {
      capacity: data.readUInt8(0) & 0x0f,
      activeInstances: instances.filter((instance) => (bits & (1 << (instance - 1))) !== 0),
    };
  },
};
