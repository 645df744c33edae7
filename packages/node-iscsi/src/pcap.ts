// NODE_ISCSI_PCAP: what the initiator sends and receives, as TCP streams in a capture that Wireshark reads (RFC 791, 8200, 9293 headers).
import { isIPv6 } from "node:net";
import type { WireCapture } from "./connection.ts";
import { PcapFile } from "./pcap-file.ts";

/** The two ends of a connection, as `net.Socket` names them. */
export interface CapturedEndpoint {
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
}

/** One writer per path: connections that capture to the same file take turns in it. */
const FILES = new Map<string, PcapFile>();

/**
 * A capture of one connection when the environment variable `NODE_ISCSI_PCAP` names a file, else undefined. `%p` in the name becomes
 * the process id: two processes must not write one file. The first connection of the process empties the file, later ones add
 * to it. The TCP and IP headers are made up from the addresses (the kernel keeps the real ones), so lost packets and retransmissions do
 * not show. Never throws and never harms the connection: a file that cannot be written costs one process warning.
 */
export function captureFromEnvironment(endpoint: CapturedEndpoint): WireCapture | undefined {
  if (!isCaptureWanted()) return undefined;
  const name = process.env["NODE_ISCSI_PCAP"] ?? "";
  const path = name.replaceAll("%p", String(process.pid));
  let file = FILES.get(path);
  if (file === undefined) {
    file = new PcapFile(path);
    FILES.set(path, file);
  }
  return file.open() ? new CapturedConnection(file, endpoint) : undefined;
}

/** NODE_ISCSI_PCAP names a file. */
export function isCaptureWanted(): boolean {
  return (process.env["NODE_ISCSI_PCAP"] ?? "") !== "";
}

const Flag = { fin: 0x01, syn: 0x02, push: 0x08, ack: 0x10 } as const;
/** Data of one made-up segment: with its headers it stays below IP's 65535. */
const SEGMENT_BYTES = 60 * 1024;
/** A window nobody fills: 65535 << 14 is 1 GiB, and an acknowledgement is made up long before. */
const WINDOW_SCALE = 14;
const ACKNOWLEDGE_AFTER_BYTES = 512 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** One direction of the stream. `head` is the ready-made IP and TCP header; only lengths, numbers and sums change. */
interface Direction {
  readonly head: Buffer;
  /** Sum of the pseudo header without the length (RFC 9293 3.1). */
  readonly pseudoSum: number;
  sequence: number;
  acknowledged: number;
}

class CapturedConnection implements WireCapture {
  readonly #file: PcapFile;
  readonly #ipBytes: number;
  readonly #out: Direction;
  readonly #in: Direction;
  #hasEnded = false;

  constructor(file: PcapFile, endpoint: CapturedEndpoint) {
    this.#file = file;
    const local = addressBytes(endpoint.localAddress);
    const remote = addressBytes(endpoint.remoteAddress);
    const [from, to] =
      local !== undefined && remote?.length === local.length ? [local, remote] : [UNKNOWN_LOCAL, UNKNOWN_REMOTE];
    const ports = [endpoint.localPort ?? 0, endpoint.remotePort ?? 0] as const;
    this.#ipBytes = from.length === 16 ? 40 : 20;
    this.#out = directionOf(from, to, ports[0], ports[1]);
    this.#in = directionOf(to, from, ports[1], ports[0]);
    this.#handshake();
  }

  sent(bytes: Uint8Array): void {
    this.#data(this.#out, this.#in, bytes);
  }

  received(bytes: Uint8Array): void {
    this.#data(this.#in, this.#out, bytes);
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#segment(this.#out, this.#in, Flag.fin | Flag.ack, NOTHING);
    this.#segment(this.#in, this.#out, Flag.fin | Flag.ack, NOTHING);
    this.#segment(this.#out, this.#in, Flag.ack, NOTHING);
    this.#file.release();
  }

  #handshake(): void {
    this.#segment(this.#out, this.#in, Flag.syn, NOTHING);
    this.#segment(this.#in, this.#out, Flag.syn | Flag.ack, NOTHING);
    this.#segment(this.#out, this.#in, Flag.ack, NOTHING);
  }

  #data(from: Direction, to: Direction, bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    for (let at = 0; at < bytes.length; at += SEGMENT_BYTES)
      this.#segment(from, to, Flag.push | Flag.ack, bytes.subarray(at, at + SEGMENT_BYTES));
    if (distance(from.acknowledged, from.sequence) > ACKNOWLEDGE_AFTER_BYTES)
      this.#segment(to, from, Flag.ack, NOTHING);
  }

  #segment(from: Direction, to: Direction, flags: number, payload: Uint8Array): void {
    const isSyn = (flags & Flag.syn) !== 0;
    // The SYN carries the window scale option (RFC 7323 2.2), padded by a NOP to 4 bytes.
    const tcpBytes = isSyn ? 24 : 20;
    const head = from.head.subarray(0, this.#ipBytes + tcpBytes);
    const tcp = head.subarray(this.#ipBytes);
    const acknowledges = (flags & Flag.ack) !== 0;
    tcp.writeUInt32BE(from.sequence, 4);
    tcp.writeUInt32BE(acknowledges ? to.sequence : 0, 8);
    tcp[12] = (tcpBytes / 4) << 4;
    tcp[13] = flags;
    tcp.writeUInt16BE(0, 16);
    const segmentBytes = tcpBytes + payload.length;
    tcp.writeUInt16BE(checksum(from.pseudoSum + segmentBytes + wordSum(tcp) + wordSum(payload)), 16);
    if (this.#ipBytes === 40) head.writeUInt16BE(segmentBytes, 4);
    else {
      head.writeUInt16BE(20 + segmentBytes, 2);
      head.writeUInt16BE(0, 10);
      head.writeUInt16BE(checksum(wordSum(head.subarray(0, 20))), 10);
    }
    this.#file.append(head, payload);
    if (acknowledges) to.acknowledged = to.sequence;
    const countsOne = isSyn || (flags & Flag.fin) !== 0;
    from.sequence = (from.sequence + payload.length + (countsOne ? 1 : 0)) >>> 0;
  }
}

/** Bytes from `from` to `to` in sequence space. */
function distance(from: number, to: number): number {
  return (to - from) >>> 0;
}

function directionOf(from: Buffer, to: Buffer, fromPort: number, toPort: number): Direction {
  const isIPv6Header = from.length === 16;
  const ipBytes = isIPv6Header ? 40 : 20;
  const head = Buffer.alloc(ipBytes + 24);
  if (isIPv6Header) {
    head[0] = 0x60;
    head[6] = 6;
    head[7] = 64;
    from.copy(head, 8);
    to.copy(head, 24);
  } else {
    head[0] = 0x45;
    head.writeUInt16BE(0x4000, 6); // don't fragment
    head[8] = 64;
    head[9] = 6;
    from.copy(head, 12);
    to.copy(head, 16);
  }
  head.writeUInt16BE(fromPort, ipBytes);
  head.writeUInt16BE(toPort, ipBytes + 2);
  head.writeUInt16BE(0xffff, ipBytes + 14);
  head.set([1, 3, 3, WINDOW_SCALE], ipBytes + 20);
  return { head, pseudoSum: wordSum(from) + wordSum(to) + 6, sequence: 0, acknowledged: 0 };
}

/** RFC 1071: the sum folded to 16 bits and inverted. */
function checksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

const swapBytes = (word: number) => ((word & 0xff) << 8) | (word >> 8);

/**
 * Sum of the 16-bit words of `bytes` (at most 60 KiB), big-endian, folded to 16 bits; an odd last byte counts as the high one.
 * The sum does not care in which byte order it is made (RFC 1071 2B), so it is made of machine words, four bytes at a time.
 */
function wordSum(bytes: Uint8Array): number {
  const lead = Math.min((4 - (bytes.byteOffset & 3)) & 3, bytes.length);
  const words = (bytes.length - lead) >> 2;
  let middle = 0;
  // Two halves of at most 65535 each, 15360 times: below 2^31.
  for (const word of new Uint32Array(bytes.buffer, words === 0 ? 0 : bytes.byteOffset + lead, words))
    middle += (word & 0xffff) + (word >>> 16);
  middle = (middle & 0xffff) + (middle >>> 16);
  middle = (middle & 0xffff) + (middle >>> 16);
  // Machine words are little-endian here: in the order of the network the bytes are swapped, unless the start was odd as well.
  let sum = IS_LITTLE_ENDIAN !== (lead % 2 === 1) ? swapBytes(middle) : middle;
  const place = (at: number) => ((bytes[at] ?? 0) << (at % 2 === 0 ? 8 : 0)) >>> 0;
  for (let at = 0; at < lead; at++) sum += place(at);
  for (let at = lead + words * 4; at < bytes.length; at++) sum += place(at);
  return (sum & 0xffff) + (sum >>> 16);
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Stand-ins of RFC 5737 for a socket that could not say who it is. */
const UNKNOWN_LOCAL = Buffer.from([192, 0, 2, 1]);
const UNKNOWN_REMOTE = Buffer.from([192, 0, 2, 2]);

/** 4 or 16 bytes; an IPv4 address in IPv6's clothes becomes what it was. */
function addressBytes(address: string | undefined): Buffer | undefined {
  if (address === undefined) return undefined;
  const bare = address.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
  if (!isIPv6(bare)) return Buffer.from(bare.split(".").map(Number));
  // The dotted end of the mixed notation as two groups (RFC 4291 2.2).
  const groups = bare.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) => `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`,
  );
  const [left = "", right] = groups.split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...head, ...zeros, ...tail].entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  return bytes;
}
