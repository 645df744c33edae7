// Get Channel Cipher Suites (IPMI 2.0, 22.15). The list comes in pieces of 16 bytes.
import { NET_FN } from "../wire/message.ts";
import type { AlgorithmNumbers } from "../wire/open-session.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRESENT_CHANNEL } from "./command.ts";

export interface GetChannelCipherSuitesRequest {
  /** Which piece of 16 bytes, 0 to 63. */
  readonly listIndex: number;
}

export interface GetChannelCipherSuitesResponse {
  readonly channel: number;
  /** Up to 16 bytes of cipher suite records; fewer than 16 end the list. */
  readonly records: Buffer;
}

/** A record of the list: the suite's id and its algorithms. */
export interface CipherSuiteRecord {
  readonly id: number;
  readonly algorithms: AlgorithmNumbers;
}

const STANDARD = 0xc0;
const OEM = 0xc1;

export const getChannelCipherSuites: Command<GetChannelCipherSuitesRequest, GetChannelCipherSuitesResponse> = {
  name: "Get Channel Cipher Suites",
  netFn: NET_FN.application,
  code: 0x54,
  privilege: 0,
  // Payload type IPMI; bit 7 of the index lists algorithms by cipher suite.
  encodeRequest: ({ listIndex }) => Buffer.from([PRESENT_CHANNEL, 0x00, 0x80 | (listIndex & 0x3f)]),
  decodeRequest(data) {
    requireLength(data, 3, "a Get Channel Cipher Suites request");
    return { listIndex: data.readUInt8(2) & 0x3f };
  },
  encodeResponse: ({ channel, records }) => Buffer.concat([Buffer.from([channel]), records]),
  decodeResponse(data) {
    requireLength(data, 1, "a Get Channel Cipher Suites response");
    return { channel: data.readUInt8(0) & 0x0f, records: data.subarray(1) };
  },
};

/** The record of one suite: start of record, id, then each algorithm with its kind in the two top bits. */
export function encodeCipherSuiteRecord(record: CipherSuiteRecord): Buffer {
  const { authentication, integrity, confidentiality } = record.algorithms;
  return Buffer.from([STANDARD, record.id, authentication, 0x40 | integrity, 0x80 | confidentiality]);
}

/** The standard suites of a whole list. Vendor suites and bytes that belong to no record are passed over. */
export function decodeCipherSuiteRecords(list: Buffer): CipherSuiteRecord[] {
  const suites: CipherSuiteRecord[] = [];
  for (let at = 0; at < list.length; ) {
    const start = list[at];
    if (start !== STANDARD && start !== OEM) {
      at += 1;
      continue;
    }
    const id = list[at + 1];
    at += start === STANDARD ? 2 : 5;
    const numbers = [0, 0, 0];
    for (; at < list.length && (list[at] ?? 0) < STANDARD; at += 1) {
      const byte = list[at] ?? 0;
      numbers[byte >> 6] = byte & 0x3f;
    }
    if (start !== STANDARD || id === undefined) continue;
    const [authentication = 0, integrity = 0, confidentiality = 0] = numbers;
    suites.push({ id, algorithms: { authentication, integrity, confidentiality } });
  }
  return suites;
}
