// Activate Session (IPMI 2.0, 22.17): the second step of an IPMI 1.5 session, sent under its temporary session id.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import type { Command } from "./command.ts";

export interface ActivateSessionRequest {
  /** See `AUTHENTICATION_TYPE`. */
  readonly authenticationType: number;
  /** Highest privilege the session may get. */
  readonly maximumPrivilege: number;
  /** 16 bytes, as the BMC sent them. */
  readonly challenge: Buffer;
  /** Session sequence number of the BMC's first packet; not 0. */
  readonly initialOutboundSequence: number;
}

export interface ActivateSessionResponse {
  /** Of the packets to come; NONE if the BMC does not ask for authentication of each. */
  readonly authenticationType: number;
  readonly sessionId: number;
  /** Session sequence number of the console's first packet. */
  readonly initialInboundSequence: number;
  readonly maximumPrivilege: number;
}

/** Completion codes of 22.17. */
export const ACTIVATE_SESSION_CODE = {
  noSlot: 0x81,
  noSlotForUser: 0x82,
  noSlotForPrivilege: 0x83,
  sequenceOutOfRange: 0x84,
  invalidSessionId: 0x85,
  privilegeExceedsLimit: 0x86,
} as const;

export const activateSession: Command<ActivateSessionRequest, ActivateSessionResponse> = {
  name: "Activate Session",
  netFn: NET_FN.application,
  code: 0x3a,
  privilege: 0,
  completionCodes: {
    [ACTIVATE_SESSION_CODE.noSlot]: "no free session slot on the BMC; close other sessions or wait for them to expire",
    [ACTIVATE_SESSION_CODE.noSlotForUser]: "the user has no free session slot on the BMC",
    [ACTIVATE_SESSION_CODE.noSlotForPrivilege]: "no free session slot on the BMC for the requested privilege",
    [ACTIVATE_SESSION_CODE.sequenceOutOfRange]: "the session sequence number is out of range",
    [ACTIVATE_SESSION_CODE.invalidSessionId]: "the BMC does not know the temporary session id",
    [ACTIVATE_SESSION_CODE.privilegeExceedsLimit]: "the user may not have the requested privilege",
  },
  encodeRequest(request) {
    const data = Buffer.alloc(22);
    data[0] = request.authenticationType;
    data[1] = request.maximumPrivilege;
    request.challenge.copy(data, 2, 0, 16);
    data.writeUInt32LE(request.initialOutboundSequence, 18);
    return data;
  },
  decodeRequest(data) {
    requireLength(data, 22, "an Activate Session request");
    return {
      authenticationType: data.readUInt8(0) & 0x0f,
      maximumPrivilege: data.readUInt8(1) & 0x0f,
      challenge: data.subarray(2, 18),
      initialOutboundSequence: data.readUInt32LE(18),
    };
  },
  encodeResponse(response) {
    const data = Buffer.alloc(10);
    data[0] = response.authenticationType;
    data.writeUInt32LE(response.sessionId, 1);
    data.writeUInt32LE(response.initialInboundSequence, 5);
    data[9] = response.maximumPrivilege;
    return data;
  },
  decodeResponse(data) {
    requireLength(data, 10, "an Activate Session response");
    return {
      authenticationType: data.readUInt8(0) & 0x0f,
      sessionId: data.readUInt32LE(1),
      initialInboundSequence: data.readUInt32LE(5),
      maximumPrivilege: data.readUInt8(9) & 0x0f,
    };
  },
};
