// RMCP header and the ASF presence ping (IPMI 2.0, 13.1.3 and 13.2; DSP0136 3.2.4.2).
import { requireLength, WireError } from "./wire-error.ts";

/** RMCP message classes (table 13-4). */
export const RMCP_CLASS = { asf: 6, ipmi: 7 } as const;
export type RmcpClass = (typeof RMCP_CLASS)[keyof typeof RMCP_CLASS];

const VERSION = 0x06;
/** Sequence number FFh: no RMCP acknowledge is wanted. IPMI always uses it. */
const NO_ACKNOWLEDGE = 0xff;
const ASF_IANA = 4542;
const ASF_PING = 0x80;
const ASF_PONG = 0x40;

export interface RmcpDatagram {
  readonly messageClass: RmcpClass;
  readonly body: Buffer;
}

/** Length of the RMCP header. */
export const RMCP_HEADER_LENGTH = 4;

/** Puts the four bytes of the RMCP header before `body`. */
export function encodeRmcp(messageClass: RmcpClass, body: Buffer): Buffer {
  const datagram = Buffer.allocUnsafe(RMCP_HEADER_LENGTH + body.length);
  body.copy(datagram, RMCP_HEADER_LENGTH);
  return writeRmcpHeader(messageClass, datagram);
}

/** Writes the RMCP header into the first four bytes of `datagram`, which were left for it. */
export function writeRmcpHeader(messageClass: RmcpClass, datagram: Buffer): Buffer {
  datagram[0] = VERSION;
  datagram[1] = 0;
  datagram[2] = NO_ACKNOWLEDGE;
  datagram[3] = messageClass;
  return datagram;
}

/** Takes the RMCP header off. Acknowledges (class bit 7) and other classes are a {@link WireError}. */
export function decodeRmcp(datagram: Buffer): RmcpDatagram {
  requireLength(datagram, 4, "an RMCP header");
  if (datagram[0] !== VERSION) throw new WireError(`RMCP version is ${datagram[0]}, not 6`);
  const messageClass = datagram[3];
  if (messageClass !== RMCP_CLASS.asf && messageClass !== RMCP_CLASS.ipmi) {
    throw new WireError(`RMCP class is ${messageClass}, not ASF or IPMI`);
  }
  return { messageClass, body: datagram.subarray(4) };
}

/** Whether the pong's sender speaks IPMI ("supported entities" bit 7). */
export interface PresencePong {
  readonly tag: number;
  readonly supportsIpmi: boolean;
}

/** A whole presence ping datagram. `tag` is echoed by the pong. */
export function encodePresencePing(tag: number): Buffer {
  return encodeRmcp(RMCP_CLASS.asf, asfMessage(ASF_PING, tag, Buffer.alloc(0)));
}

/** A whole presence pong datagram of an IPMI-capable BMC. */
export function encodePresencePong(tag: number): Buffer {
  const data = Buffer.alloc(16);
  data.writeUInt32BE(ASF_IANA, 0);
  data[8] = 0x81; // IPMI supported, ASF 1.0
  return encodeRmcp(RMCP_CLASS.asf, asfMessage(ASF_PONG, tag, data));
}

/** The tag of a presence ping, or undefined if the ASF message is of another type. */
export function decodePresencePing(body: Buffer): { readonly tag: number } | undefined {
  const message = decodeAsf(body);
  return message.type === ASF_PING ? { tag: message.tag } : undefined;
}

/** A presence pong, or undefined if the ASF message is of another type. */
export function decodePresencePong(body: Buffer): PresencePong | undefined {
  const message = decodeAsf(body);
  if (message.type !== ASF_PONG) return undefined;
  requireLength(message.data, 9, "a presence pong");
  return { tag: message.tag, supportsIpmi: ((message.data[8] ?? 0) & 0x80) !== 0 };
}

function asfMessage(type: number, tag: number, data: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(ASF_IANA, 0);
  header[4] = type;
  header[5] = tag;
  header[7] = data.length;
  return Buffer.concat([header, data]);
}

function decodeAsf(body: Buffer): { type: number; tag: number; data: Buffer } {
  requireLength(body, 8, "an ASF message");
  if (body.readUInt32BE(0) !== ASF_IANA)
    throw new WireError(`ASF enterprise number is ${body.readUInt32BE(0)}, not 4542`);
  return { type: body.readUInt8(4), tag: body.readUInt8(5), data: body.subarray(8, 8 + body.readUInt8(7)) };
}
