// FRU inventory areas: common header, chassis, board, product (Platform Management FRU Information Storage Definition 1.3).
import { checksum } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { decodeText, decodeTypeLength } from "./type-length.ts";

/** Bytes of the common header; areas begin at multiples of it. */
export const FRU_BLOCK_BYTES = 8;

/** Where the areas begin, in bytes; undefined for those that are not there. Multirecord areas are not read. */
export interface FruHeader {
  readonly chassis: number | undefined;
  readonly board: number | undefined;
  readonly product: number | undefined;
}

interface FruArea {
  /** False: the area's bytes do not add up; its fields are what they are. */
  readonly isChecksumValid: boolean;
  /** Fields after those with names. */
  readonly custom: readonly string[];
}

export interface FruChassis extends FruArea {
  /** SMBIOS chassis type: 17h a rack-mount chassis, 1Ch a blade. */
  readonly chassisType: number;
  readonly partNumber: string;
  readonly serialNumber: string;
}

export interface FruBoard extends FruArea {
  /** Undefined if the area does not say. */
  readonly manufacturedAt: Date | undefined;
  readonly manufacturer: string;
  readonly productName: string;
  readonly serialNumber: string;
  readonly partNumber: string;
  readonly fruFileId: string;
}

export interface FruProduct extends FruArea {
  readonly manufacturer: string;
  readonly productName: string;
  readonly partNumber: string;
  readonly version: string;
  readonly serialNumber: string;
  readonly assetTag: string;
  readonly fruFileId: string;
}

const FORMAT_VERSION = 1;
const END_OF_FIELDS = 0xc1;
/** Language codes under which type 3 is 8-bit text; under others it is Unicode (FRU definition, 13). */
const ENGLISH = [0, 25];
const EPOCH_1996_MS = Date.UTC(1996, 0, 1);
const MS_PER_MINUTE = 60_000;

/** `WireError` for another format version, or bytes that do not add up: offsets that may be anything are not followed. */
export function decodeFruHeader(bytes: Buffer): FruHeader {
  requireLength(bytes, FRU_BLOCK_BYTES, "a FRU common header");
  const header = bytes.subarray(0, FRU_BLOCK_BYTES);
  if ((header.readUInt8(0) & 0x0f) !== FORMAT_VERSION)
    throw new WireError("the FRU common header has an unknown format");
  if (checksum(header) !== 0) throw new WireError("the checksum of the FRU common header is wrong");
  const at = (index: number) => (header[index] ? header.readUInt8(index) * FRU_BLOCK_BYTES : undefined);
  return { chassis: at(2), board: at(3), product: at(4) };
}

/** Length of an area in bytes, from its first two; never less than a block. */
export function fruAreaLength(bytes: Buffer): number {
  requireLength(bytes, 2, "a FRU area");
  if ((bytes.readUInt8(0) & 0x0f) !== FORMAT_VERSION) throw new WireError("the FRU area has an unknown format");
  return Math.max(1, bytes.readUInt8(1)) * FRU_BLOCK_BYTES;
}

export function decodeFruChassis(area: Buffer): FruChassis {
  requireLength(area, 3, "a FRU chassis area");
  const [partNumber = "", serialNumber = "", ...custom] = decodeFields(area, 3, true);
  return { chassisType: area.readUInt8(2), partNumber, serialNumber, custom, isChecksumValid: checksum(area) === 0 };
}

export function decodeFruBoard(area: Buffer): FruBoard {
  requireLength(area, 6, "a FRU board area");
  const minutes = area.readUIntLE(3, 3);
  const fields = decodeFields(area, 6, isEnglish(area));
  const [manufacturer = "", productName = "", serialNumber = "", partNumber = "", fruFileId = "", ...custom] = fields;
  return {
    manufacturedAt: minutes === 0 ? undefined : new Date(EPOCH_1996_MS + minutes * MS_PER_MINUTE),
    manufacturer,
    productName,
    serialNumber,
    partNumber,
    fruFileId,
    custom,
    isChecksumValid: checksum(area) === 0,
  };
}

export function decodeFruProduct(area: Buffer): FruProduct {
  requireLength(area, 3, "a FRU product area");
  const fields = decodeFields(area, 3, isEnglish(area));
  const [manufacturer = "", productName = "", partNumber = "", version = "", serialNumber = "", ...rest] = fields;
  const [assetTag = "", fruFileId = "", ...custom] = rest;
  return {
    manufacturer,
    productName,
    partNumber,
    version,
    serialNumber,
    assetTag,
    fruFileId,
    custom,
    isChecksumValid: checksum(area) === 0,
  };
}

/** Format version, length, `head`, the fields as 8-bit text, end mark, padding, checksum. */
export function encodeFruArea(head: Buffer, fields: readonly string[]): Buffer {
  const body = Buffer.concat([head, ...fields.map(encodeField), Buffer.from([END_OF_FIELDS])]);
  const length = Math.ceil((2 + body.length + 1) / FRU_BLOCK_BYTES) * FRU_BLOCK_BYTES;
  const area = Buffer.alloc(length);
  area[0] = FORMAT_VERSION;
  area[1] = length / FRU_BLOCK_BYTES;
  body.copy(area, 2);
  area[length - 1] = checksum(area);
  return area;
}

/** The common header and the areas behind it, in the order chassis, board, product. */
export function encodeFruInventory(areas: { chassis?: Buffer; board?: Buffer; product?: Buffer }): Buffer {
  const header = Buffer.alloc(FRU_BLOCK_BYTES);
  header[0] = FORMAT_VERSION;
  const parts: Buffer[] = [header];
  let at = FRU_BLOCK_BYTES;
  for (const [index, area] of [areas.chassis, areas.board, areas.product].entries()) {
    if (area === undefined) continue;
    header[2 + index] = at / FRU_BLOCK_BYTES;
    parts.push(area);
    at += area.length;
  }
  header[FRU_BLOCK_BYTES - 1] = checksum(header);
  return Buffer.concat(parts);
}

/** The date bytes of a board area. */
export function encodeFruDate(date: Date | undefined): Buffer {
  const bytes = Buffer.alloc(3);
  const minutes = date === undefined ? 0 : Math.round((date.getTime() - EPOCH_1996_MS) / MS_PER_MINUTE);
  bytes.writeUIntLE(Math.min(0xffffff, Math.max(0, minutes)), 0, 3);
  return bytes;
}

/** The texts from `at` to the end mark. A field that is cut off by the area's end is given as far as it is there. */
function decodeFields(area: Buffer, at: number, isEnglishText: boolean): string[] {
  const fields: string[] = [];
  const end = area.length - 1; // the last byte is the checksum
  let next = at;
  while (next < end && area[next] !== END_OF_FIELDS) {
    const { type, length } = decodeTypeLength(area.readUInt8(next), 6);
    const bytes = area.subarray(next + 1, Math.min(end, next + 1 + length));
    fields.push(fieldText(bytes, type, isEnglishText).trimEnd());
    next += 1 + length;
  }
  return fields;
}

function fieldText(bytes: Buffer, type: number, isEnglishText: boolean): string {
  if (type === 3 && !isEnglishText) return bytes.toString("utf16le");
  return decodeText(bytes, type) ?? bytes.toString("hex");
}

function encodeField(text: string): Buffer {
  // One byte of 8-bit text would have the type/length byte of the end mark.
  const bytes = Buffer.from(text.length === 1 ? `${text} ` : text, "latin1").subarray(0, 63);
  return Buffer.concat([Buffer.from([0xc0 | bytes.length]), bytes]);
}

function isEnglish(area: Buffer): boolean {
  return ENGLISH.includes(area.readUInt8(2));
}
