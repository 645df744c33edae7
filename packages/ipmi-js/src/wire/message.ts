// IPMI LAN message: addresses, sequence, command, data, two checksums (IPMI 2.0, 13.8).
import { requireLength, WireError } from "./wire-error.ts";

/** Slave address of the BMC and software id of a remote console (tables 5-4 and 13-8). */
export const BMC_ADDRESS = 0x20;
export const CONSOLE_ADDRESS = 0x81;

/** Network functions of requests; a response's is one more (table 5-1). */
export const NET_FN = {
  chassis: 0x00,
  sensorEvent: 0x04,
  application: 0x06,
  storage: 0x0a,
  transport: 0x0c,
  groupExtension: 0x2c,
} as const;

/** A request or a response; in a response `data` starts with the completion code. */
export interface IpmiMessage {
  readonly targetAddress: number;
  readonly netFn: number;
  readonly targetLun: number;
  readonly sourceAddress: number;
  /** rqSeq, 6 bits: pairs a response with its request. */
  readonly sequence: number;
  readonly sourceLun: number;
  readonly command: number;
  readonly data: Buffer;
}

/** The two's complement checksum: all covered bytes and it add up to 0 modulo 256. */
export function checksum(bytes: Buffer): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

/** A request of a remote console to the BMC. */
export function consoleRequest(netFn: number, command: number, sequence: number, data: Buffer): IpmiMessage {
  return {
    targetAddress: BMC_ADDRESS,
    netFn,
    targetLun: 0,
    sourceAddress: CONSOLE_ADDRESS,
    sequence,
    sourceLun: 0,
    command,
    data,
  };
}

/** The response to `request`: addresses swapped, network function plus one. */
export function responseTo(request: IpmiMessage, completionCode: number, data: Buffer): IpmiMessage {
  return {
    targetAddress: request.sourceAddress,
    netFn: request.netFn | 1,
    targetLun: request.sourceLun,
    sourceAddress: request.targetAddress,
    sequence: request.sequence,
    sourceLun: request.targetLun,
    command: request.command,
    data: Buffer.concat([Buffer.from([completionCode]), data]),
  };
}

export function encodeMessage(message: IpmiMessage): Buffer {
  const bytes = Buffer.alloc(7 + message.data.length);
  bytes[0] = message.targetAddress;
  bytes[1] = (message.netFn << 2) | message.targetLun;
  bytes[2] = checksum(bytes.subarray(0, 2));
  bytes[3] = message.sourceAddress;
  bytes[4] = (message.sequence << 2) | message.sourceLun;
  bytes[5] = message.command;
  message.data.copy(bytes, 6);
  bytes[bytes.length - 1] = checksum(bytes.subarray(3, -1));
  return bytes;
}

/** Checks both checksums; a wrong one is a {@link WireError}. */
export function decodeMessage(bytes: Buffer): IpmiMessage {
  requireLength(bytes, 7, "an IPMI message");
  if (checksum(bytes.subarray(0, 3)) !== 0) throw new WireError("the header checksum of the IPMI message is wrong");
  if (checksum(bytes.subarray(3)) !== 0) throw new WireError("the data checksum of the IPMI message is wrong");
  return {
    targetAddress: bytes.readUInt8(0),
    netFn: bytes.readUInt8(1) >> 2,
    targetLun: bytes.readUInt8(1) & 3,
    sourceAddress: bytes.readUInt8(3),
    sequence: bytes.readUInt8(4) >> 2,
    sourceLun: bytes.readUInt8(4) & 3,
    command: bytes.readUInt8(5),
    data: bytes.subarray(6, -1),
  };
}
