// Get Payload Instance Info (IPMI 2.0, 24.5).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface PayloadInstance {
  /** Payload type number (table 13-16); 1 is SOL. */
  readonly payloadType: number;
  /** 1-15. */
  readonly instance: number;
}

export interface PayloadInstanceInfo {
  /** The BMC's id of the session in which the instance is active; 0 if it is in none. */
  readonly sessionId: number;
}

/** What the payload has to say of itself besides; for SOL the number of the serial port. */
const PAYLOAD_SPECIFIC_BYTES = 8;

export const getPayloadInstanceInfo: Command<PayloadInstance, PayloadInstanceInfo> = {
  name: "Get Payload Instance Info",
  netFn: NET_FN.application,
  code: 0x4b,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ payloadType, instance }) => Buffer.from([payloadType & 0x3f, instance & 0x0f]),
  decodeRequest(data) {
    requireLength(data, 2, "a Get Payload Instance Info request");
    return { payloadType: data.readUInt8(0) & 0x3f, instance: data.readUInt8(1) & 0x0f };
  },
  encodeResponse({ sessionId }) {
    const data = Buffer.alloc(4 + PAYLOAD_SPECIFIC_BYTES);
    data.writeUInt32LE(sessionId);
    return data;
  },
  decodeResponse(data) {
    requireLength(data, 4, "a Get Payload Instance Info response");
    return { sessionId: data.readUInt32LE(0) };
  },
};
