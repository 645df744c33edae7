// Close Session (IPMI 2.0, 22.19).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA } from "./command.ts";

export interface CloseSessionRequest {
  /** The BMC's id of the session to end. */
  readonly bmcSessionId: number;
}

/** There is no such session on the BMC. */
export const INVALID_SESSION_ID = 0x87;

export const closeSession: Command<CloseSessionRequest, void> = {
  name: "Close Session",
  netFn: NET_FN.application,
  code: 0x3c,
  privilege: 0,
  completionCodes: { [INVALID_SESSION_ID]: "the BMC has no such session" },
  encodeRequest({ bmcSessionId }) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(bmcSessionId);
    return bytes;
  },
  decodeRequest(data) {
    requireLength(data, 4, "a Close Session request");
    return { bmcSessionId: data.readUInt32LE(0) };
  },
  ...NO_RESPONSE_DATA,
};
