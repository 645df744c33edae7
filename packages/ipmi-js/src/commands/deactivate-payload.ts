// Deactivate Payload (IPMI 2.0, 24.2).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import type { PayloadInstance } from "./get-payload-instance-info.ts";

export const PAYLOAD_ALREADY_DEACTIVATED = 0x80;

export const deactivatePayload: Command<PayloadInstance, void> = {
  name: "Deactivate Payload",
  netFn: NET_FN.application,
  code: 0x49,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: {
    [PAYLOAD_ALREADY_DEACTIVATED]: "the payload is not active",
    129: "the payload type is disabled",
  },
  // The four bytes of auxiliary data mean nothing for SOL.
  encodeRequest: ({ payloadType, instance }) => Buffer.from([payloadType & 0x3f, instance & 0x0f, 0, 0, 0, 0]),
  decodeRequest(data) {
    requireLength(data, 2, "a Deactivate Payload request");
    return { payloadType: data.readUInt8(0) & 0x3f, instance: data.readUInt8(1) & 0x0f };
  },
  ...NO_RESPONSE_DATA,
};
