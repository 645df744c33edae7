// Send Message: a request handed on to another channel (IPMI 2.0, 22.7, 6.13).
import { BMC_ADDRESS, decodeMessage, encodeMessage, type IpmiMessage, NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { answerOf, type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface SendMessageRequest {
  readonly channel: number;
  /** The message for the other channel. */
  readonly message: IpmiMessage;
}

/** The response to the message, if the BMC puts it here; undefined if it comes as a message of its own. */
export interface SendMessageResponse {
  readonly message: IpmiMessage | undefined;
}

/** Nobody at the address took the message. */
export const NAK_ON_WRITE = 0x83;

/** The BMC keeps the request in mind, and hands the response on to who asked. */
const TRACK_REQUEST = 0x40;

const COMPLETION_CODES = {
  128: "the session to hand the message on to is not there",
  129: "the bus was taken by another (lost arbitration)",
  130: "bus error",
  [NAK_ON_WRITE]: "no controller answers at the address (NAK on write)",
};

export const sendMessage: Command<SendMessageRequest, SendMessageResponse> = {
  name: "Send Message",
  netFn: NET_FN.application,
  code: 0x34,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: COMPLETION_CODES,
  encodeRequest: ({ channel, message }) =>
    Buffer.concat([Buffer.from([TRACK_REQUEST | (channel & 0x0f)]), encodeMessage(message)]),
  decodeRequest(data) {
    requireLength(data, 8, "a Send Message request");
    return { channel: data.readUInt8(0) & 0x0f, message: decodeMessage(data.subarray(1)) };
  },
  encodeResponse: ({ message }) => (message === undefined ? Buffer.alloc(0) : encodeMessage(message)),
  decodeResponse: (data) => ({ message: data.length === 0 ? undefined : decodeMessage(data) }),
};

/** Where a bridged command goes. */
export interface BridgeTarget {
  /** The BMC's channel; 0, the default, is the primary IPMB. */
  readonly channel?: number;
  /** Slave address of the controller, 8 bits with bit 0 clear. */
  readonly address: number;
  /** Default 0. */
  readonly lun?: number;
}

/** `command`, wrapped: encoded into a Send Message, and read from whatever the BMC hands back. */
export function bridgedCommand<Request, Response>(
  command: Command<Request, Response>,
  { channel = 0, address, lun = 0 }: BridgeTarget,
): Command<Request, Response> {
  return {
    ...command,
    name: `${command.name} by way of Send Message (channel ${channel}, address ${address.toString(16)}h)`,
    netFn: sendMessage.netFn,
    code: sendMessage.code,
    // Where both have a meaning for a code, the command's own is said.
    completionCodes: { ...COMPLETION_CODES, ...command.completionCodes },
    encodeRequest(request, rqSeq = 0) {
      // On the other bus the BMC is the requester. Trap: some BMCs answer with a message of its own, under this rqSeq.
      const message = {
        targetAddress: address,
        netFn: command.netFn,
        targetLun: lun,
        sourceAddress: BMC_ADDRESS,
        sequence: rqSeq,
        sourceLun: 0,
        command: command.code,
        data: command.encodeRequest(request, rqSeq),
      };
      return sendMessage.encodeRequest({ channel, message });
    },
    readAnswer(message) {
      const outer = answerOf(sendMessage, message);
      if (outer === undefined) return answerOf(command, message);
      // The BMC could not hand it on.
      if (outer[0] !== 0) return outer;
      // Handed on; the response comes as a message of its own, unless it is here already.
      const inner = sendMessage.decodeResponse(outer.subarray(1)).message;
      return inner === undefined ? undefined : answerOf(command, inner);
    },
  };
}
