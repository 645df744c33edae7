// Get Session Challenge (IPMI 2.0, 22.16): the first step of an IPMI 1.5 session. Sent outside a session.
import { NET_FN } from "../wire/message.ts";
import { MAX_USER_BYTES } from "../wire/rakp.ts";
import { requireLength } from "../wire/wire-error.ts";
import type { Command } from "./command.ts";
import { untilZero } from "./zero-padding.ts";

export interface GetSessionChallengeRequest {
  /** See `AUTHENTICATION_TYPE`. */
  readonly authenticationType: number;
  /** At most 16 bytes, without the zeroes that fill the field. */
  readonly user: Buffer;
}

export interface GetSessionChallengeResponse {
  /** The session id for Activate Session, and for nothing else. */
  readonly temporarySessionId: number;
  /** 16 bytes. */
  readonly challenge: Buffer;
}

export const INVALID_USER_NAME = 0x81;
export const NULL_USER_NOT_ENABLED = 0x82;

export const getSessionChallenge: Command<GetSessionChallengeRequest, GetSessionChallengeResponse> = {
  name: "Get Session Challenge",
  netFn: NET_FN.application,
  code: 0x39,
  privilege: 0,
  completionCodes: {
    [INVALID_USER_NAME]: "no such user on the BMC",
    [NULL_USER_NOT_ENABLED]: "the user without a name is not enabled on the BMC",
  },
  encodeRequest({ authenticationType, user }) {
    const data = Buffer.alloc(1 + MAX_USER_BYTES);
    data[0] = authenticationType;
    user.copy(data, 1, 0, MAX_USER_BYTES);
    return data;
  },
  decodeRequest(data) {
    requireLength(data, 1 + MAX_USER_BYTES, "a Get Session Challenge request");
    const user = untilZero(data.subarray(1, 1 + MAX_USER_BYTES));
    return { authenticationType: data.readUInt8(0) & 0x0f, user };
  },
  encodeResponse({ temporarySessionId, challenge }) {
    const data = Buffer.alloc(20);
    data.writeUInt32LE(temporarySessionId);
    challenge.copy(data, 4, 0, 16);
    return data;
  },
  decodeResponse(data) {
    requireLength(data, 20, "a Get Session Challenge response");
    return { temporarySessionId: data.readUInt32LE(0), challenge: data.subarray(4, 20) };
  },
};
