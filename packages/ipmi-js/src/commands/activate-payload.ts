// Activate Payload, for Serial over LAN (IPMI 2.0, 24.1, tables 24-2 and 15-3).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface ActivatePayloadRequest {
  /** Payload type number (table 13-16); 1 is SOL. */
  readonly payloadType: number;
  /** 1-15. */
  readonly instance: number;
  /** Whether the packets of the payload shall be encrypted, and signed. */
  readonly encryption: boolean;
  readonly authentication: boolean;
}

export interface ActivatePayloadResponse {
  /** Longest payload the BMC takes from us and sends to us, in bytes, the SOL header included. */
  readonly inboundPayloadBytes: number;
  readonly outboundPayloadBytes: number;
  readonly port: number;
}

export const PAYLOAD_ALREADY_ACTIVE = 0x80;
export const PAYLOAD_TYPE_DISABLED = 0x81;

const ENCRYPT = 0x80;
const AUTHENTICATE = 0x40;
/** Alerts over the shared serial port wait until SOL ends; ipmitool asks for the same. */
const ALERTS_DEFERRED = 0x04;
const NO_VLAN = 0xffff;

export const activatePayload: Command<ActivatePayloadRequest, ActivatePayloadResponse> = {
  name: "Activate Payload",
  netFn: NET_FN.application,
  code: 0x48,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: {
    [PAYLOAD_ALREADY_ACTIVE]: "the payload is active in another session already",
    [PAYLOAD_TYPE_DISABLED]: "the payload type is disabled; enable Serial over LAN on the BMC",
    130: "the BMC has no activation left for this payload",
    131: "the payload cannot be activated with encryption",
    132: "the payload cannot be activated without encryption",
  },
  encodeRequest({ payloadType, instance, encryption, authentication }) {
    const options = (encryption ? ENCRYPT : 0) | (authentication ? AUTHENTICATE : 0) | ALERTS_DEFERRED;
    return Buffer.from([payloadType & 0x3f, instance & 0x0f, options, 0, 0, 0]);
  },
  decodeRequest(data) {
    requireLength(data, 6, "an Activate Payload request");
    const options = data.readUInt8(2);
    return {
      payloadType: data.readUInt8(0) & 0x3f,
      instance: data.readUInt8(1) & 0x0f,
      encryption: (options & ENCRYPT) !== 0,
      authentication: (options & AUTHENTICATE) !== 0,
    };
  },
  encodeResponse({ inboundPayloadBytes, outboundPayloadBytes, port }) {
    const data = Buffer.alloc(12);
    data.writeUInt16LE(inboundPayloadBytes, 4);
    data.writeUInt16LE(outboundPayloadBytes, 6);
    data.writeUInt16LE(port, 8);
    data.writeUInt16LE(NO_VLAN, 10);
    return data;
  },
  decodeResponse(data) {
    requireLength(data, 10, "an Activate Payload response");
    return {
      inboundPayloadBytes: data.readUInt16LE(4),
      outboundPayloadBytes: data.readUInt16LE(6),
      port: data.readUInt16LE(8),
    };
  },
};
