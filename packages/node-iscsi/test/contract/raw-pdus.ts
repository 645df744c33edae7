// PDUs of a target laid out word by word (RFC 7143 11), without the package's encoders: a mistake there cannot cancel out here.

export const HEADER_BYTES = 48;
export const NO_TAG = 0xffffffff;

/** Opcode bytes as they are on the wire (RFC 7143 11.2.1.2), without the immediate bit. */
export const OPCODE = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagementRequest: 0x02,
  loginRequest: 0x03,
  textRequest: 0x04,
  dataOut: 0x05,
  logoutRequest: 0x06,
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagementResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  readyToTransfer: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const;

export const FINAL = 0x80;
export const UNDERFLOW = 0x02;
export const OVERFLOW = 0x04;
/** S bit of a Data-In (RFC 7143 11.7.3). */
export const HAS_STATUS = 0x01;

/** A header: bytes 0 to 3, the LUN as 16 hex digits, and 32-bit words named by their offset. */
export interface RawHeader {
  readonly opcode: number;
  readonly flags?: number;
  readonly byte2?: number;
  readonly byte3?: number;
  readonly lun?: string;
  readonly word16?: number;
  readonly word20?: number;
  readonly word24?: number;
  readonly word28?: number;
  readonly word32?: number;
  readonly word36?: number;
  readonly word40?: number;
  readonly word44?: number;
}

/** What follows the header on the wire. */
export interface RawBody {
  readonly data?: Buffer;
  /** Additional header segments, a multiple of 4 bytes. */
  readonly ahs?: Buffer;
  /** The byte used for padding. Default 0. */
  readonly padByte?: number;
  /** DataSegmentLength to claim instead of the data's own length. */
  readonly claimedLength?: number;
}

/** The bytes of one PDU. */
export function rawPdu(header: RawHeader, body: RawBody = {}): Buffer {
  const { data = Buffer.alloc(0), ahs = Buffer.alloc(0), padByte = 0 } = body;
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes[0] = header.opcode;
  bytes[1] = header.flags ?? FINAL;
  bytes[2] = header.byte2 ?? 0;
  bytes[3] = header.byte3 ?? 0;
  bytes.writeUIntBE(body.claimedLength ?? data.length, 5, 3);
  bytes[4] = ahs.length / 4;
  bytes.write(header.lun ?? "0000000000000000", 8, "hex");
  const words = [
    header.word16,
    header.word20,
    header.word24,
    header.word28,
    header.word32,
    header.word36,
    header.word40,
    header.word44,
  ];
  for (const [index, word] of words.entries()) bytes.writeUInt32BE((word ?? 0) >>> 0, 16 + 4 * index);
  const padding = Buffer.alloc((4 - (data.length % 4)) % 4, padByte);
  return Buffer.concat([bytes, ahs, data, padding]);
}

/** One PDU that the initiator sent. */
export class SentPdu {
  readonly header: Buffer;
  readonly data: Buffer;

  constructor(header: Buffer, data: Buffer) {
    this.header = header;
    this.data = data;
  }

  get opcode(): number {
    return this.header.readUInt8(0) & 0x3f;
  }

  get isImmediate(): boolean {
    return (this.header.readUInt8(0) & 0x40) !== 0;
  }

  get flags(): number {
    return this.header.readUInt8(1);
  }

  get isFinal(): boolean {
    return (this.flags & FINAL) !== 0;
  }

  /** The LUN field as 16 hex digits. */
  get lun(): string {
    return this.header.toString("hex", 8, 16);
  }

  get initiatorTaskTag(): number {
    return this.word(16);
  }

  get targetTransferTag(): number {
    return this.word(20);
  }

  get cmdSn(): number {
    return this.word(24);
  }

  get expStatSn(): number {
    return this.word(28);
  }

  /** Keys and values of a login or text PDU's data, in order. */
  get text(): string[] {
    return this.data.toString("utf8").split("\0").slice(0, -1);
  }

  word(offset: number): number {
    return this.header.readUInt32BE(offset);
  }
}

/** Cuts what the initiator sends into PDUs. */
export class PduSplitter {
  #rest = Buffer.alloc(0);

  push(chunk: Buffer): SentPdu[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const pdus: SentPdu[] = [];
    for (;;) {
      if (this.#rest.length < HEADER_BYTES) return pdus;
      const dataAt = HEADER_BYTES + this.#rest.readUInt8(4) * 4;
      const length = this.#rest.readUIntBE(5, 3);
      const end = dataAt + length + ((4 - (length % 4)) % 4);
      if (this.#rest.length < end) return pdus;
      const pdu = this.#rest.subarray(0, end);
      pdus.push(new SentPdu(pdu.subarray(0, HEADER_BYTES), pdu.subarray(dataAt, dataAt + length)));
      this.#rest = this.#rest.subarray(end);
    }
  }
}

/** `key=value` pairs, each ended by a NUL (RFC 7143 6.1). */
export function textOf(...pairs: string[]): Buffer {
  return Buffer.from(pairs.map((pair) => `${pair}\0`).join(""), "utf8");
}
