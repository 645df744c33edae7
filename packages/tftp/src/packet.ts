// TFTP packets as bytes and as objects: RFC 1350 section 5, options and OACK of RFC 2347. Pure: no socket, no timer.
import { TftpError } from "./errors.ts";

/** Opcodes: RFC 1350 section 5; 6: RFC 2347 section 3. */
export const OPCODES = { rrq: 1, wrq: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** Option names are as the peer spelled them; they compare without case (RFC 2347 section 2). */
export type OptionList = readonly (readonly [name: string, value: string])[];

export interface RequestPacket {
  readonly kind: "rrq" | "wrq";
  readonly file: string;
  /** Lower case: `octet`, `netascii`, `mail` or whatever the peer sent. */
  readonly mode: string;
  readonly options: OptionList;
}
export interface DataPacket {
  readonly kind: "data";
  /** 16 bits, as on the wire. */
  readonly block: number;
  /** A view of the datagram, not a copy. */
  readonly data: Buffer;
}
export interface AckPacket {
  readonly kind: "ack";
  readonly block: number;
}
export interface ErrorPacket {
  readonly kind: "error";
  readonly errorCode: number;
  readonly message: string;
}
export interface OackPacket {
  readonly kind: "oack";
  readonly options: OptionList;
}
export type Packet = RequestPacket | DataPacket | AckPacket | ErrorPacket | OackPacket;

/** RFC 2347 section 2 says 512 octets for a request; some firmware pads, so more is read. Not a byte beyond this. */
const MAX_REQUEST_BYTES = 2048;
const MAX_OPTIONS = 32;

/** Decodes one datagram. Throws `TftpError` `MalformedPacket`, and nothing else, for any bytes. */
export function decode(datagram: Buffer): Packet {
  if (datagram.length < 2) throw malformed(`it has ${datagram.length} bytes, an opcode needs 2`);
  const opcode = datagram.readUInt16BE(0);
  switch (opcode) {
    case OPCODES.rrq:
    case OPCODES.wrq:
      return decodeRequest(datagram, opcode === OPCODES.rrq ? "rrq" : "wrq");
    case OPCODES.data:
      if (datagram.length < 4) throw malformed("DATA without a block number");
      return { kind: "data", block: datagram.readUInt16BE(2), data: datagram.subarray(4) };
    case OPCODES.ack:
      // Trap: trailing bytes are allowed, some boot ROMs send a full-size buffer.
      if (datagram.length < 4) throw malformed("ACK without a block number");
      return { kind: "ack", block: datagram.readUInt16BE(2) };
    case OPCODES.error:
      if (datagram.length < 4) throw malformed("ERROR without a code");
      // Trap: the text's final NUL is missing in the wild, so it is not required.
      return { kind: "error", errorCode: datagram.readUInt16BE(2), message: readString(datagram, 4).text };
    case OPCODES.oack:
      if (datagram.length > MAX_REQUEST_BYTES) throw malformed(`an OACK of ${datagram.length} bytes`);
      return { kind: "oack", options: readOptions(datagram, 2) };
    default:
      throw malformed(`opcode ${opcode} is not one of 1 to 6`);
  }
}

function decodeRequest(datagram: Buffer, kind: "rrq" | "wrq"): RequestPacket {
  if (datagram.length > MAX_REQUEST_BYTES) throw malformed(`a request of ${datagram.length} bytes`);
  const file = readString(datagram, 2);
  if (!file.isTerminated) throw malformed("the file name has no final NUL");
  if (file.text === "") throw malformed("the file name is empty");
  const mode = readString(datagram, file.end);
  if (!mode.isTerminated) throw malformed("the mode has no final NUL");
  return { kind, file: file.text, mode: mode.text.toLowerCase(), options: readOptions(datagram, mode.end) };
}

/** Reads name/value pairs; a tail that is no whole pair (padding of firmware) is ignored. */
function readOptions(datagram: Buffer, start: number): OptionList {
  const options: [string, string][] = [];
  for (let at = start; at < datagram.length; ) {
    const name = readString(datagram, at);
    if (!name.isTerminated || name.text === "") break;
    const value = readString(datagram, name.end);
    if (!value.isTerminated) break;
    if (options.length === MAX_OPTIONS) throw malformed(`more than ${MAX_OPTIONS} options`);
    options.push([name.text, value.text]);
    at = value.end;
  }
  return options;
}

function readString(datagram: Buffer, start: number): { text: string; end: number; isTerminated: boolean } {
  const nul = datagram.indexOf(0, start);
  if (nul === -1) return { text: datagram.toString("utf8", start), end: datagram.length, isTerminated: false };
  return { text: datagram.toString("utf8", start, nul), end: nul + 1, isTerminated: true };
}

function malformed(what: string): TftpError {
  return new TftpError("MalformedPacket", `not a TFTP packet: ${what}`);
}

/** Encodes any packet. Throws `BadInput` for a text with a NUL in it or a number that does not fit 16 bits. */
export function encode(packet: Packet): Buffer {
  switch (packet.kind) {
    case "rrq":
    case "wrq":
      return strings(OPCODES[packet.kind], [packet.file, packet.mode, ...packet.options.flat()]);
    case "data":
      return Buffer.concat([dataHeader(packet.block), packet.data]);
    case "ack":
      return numbers(OPCODES.ack, packet.block);
    case "error":
      return Buffer.concat([numbers(OPCODES.error, packet.errorCode), nulTerminated(packet.message)]);
    case "oack":
      return strings(OPCODES.oack, packet.options.flat());
  }
}

/** The 4 bytes before a DATA block's payload, so that a sender need not copy the payload. */
export function dataHeader(block: number): Buffer {
  return numbers(OPCODES.data, block);
}

function numbers(opcode: number, value: number): Buffer {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw new TftpError("BadInput", `${value} does not fit the 16 bits of a TFTP packet`);
  }
  const out = Buffer.allocUnsafe(4);
  out.writeUInt16BE(opcode, 0);
  out.writeUInt16BE(value, 2);
  return out;
}

function strings(opcode: number, texts: readonly string[]): Buffer {
  return Buffer.concat([Buffer.from([opcode >> 8, opcode & 0xff]), ...texts.map(nulTerminated)]);
}

function nulTerminated(text: string): Buffer {
  if (text.includes("\0")) throw new TftpError("BadInput", "a text in a TFTP packet can't hold a NUL");
  return Buffer.from(`${text}\0`, "utf8");
}
