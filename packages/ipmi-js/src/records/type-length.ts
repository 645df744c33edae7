// Type/length bytes and the text behind them, of FRU areas and of sensor records' ids (FRU definition, 13; IPMI 2.0, 43.15).
import { untilZero } from "../commands/zero-padding.ts";

/** A field of text or bytes behind a type/length byte. */
export interface TypeLength {
  /** 0 binary or Unicode, 1 BCD plus, 2 6-bit ASCII, 3 8-bit ASCII and Latin 1. */
  readonly type: number;
  readonly length: number;
}

/** 16 characters of BCD plus; the last three are reserved. */
const BCD_PLUS = "0123456789 -.???";

export function decodeTypeLength(byte: number, lengthBits: 5 | 6): TypeLength {
  return { type: byte >> 6, length: byte & ((1 << lengthBits) - 1) };
}

/** BCD plus: two characters in a byte, the first in the upper half. */
export function decodeBcdPlus(bytes: Buffer): string {
  let text = "";
  for (const byte of bytes) text += `${BCD_PLUS[byte >> 4]}${BCD_PLUS[byte & 0x0f]}`;
  return text;
}

/** 6-bit ASCII: four characters in three bytes, from the least significant bits on; 0 is a space. */
export function decodeSixBitAscii(bytes: Buffer): string {
  const count = Math.floor((bytes.length * 8) / 6);
  let text = "";
  for (let n = 0; n < count; n += 1) {
    const bit = n * 6;
    const at = bit >> 3;
    const pair = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    text += String.fromCharCode(0x20 + ((pair >> (bit & 7)) & 0x3f));
  }
  return text;
}

/** The text, Latin 1 up to its first zero byte; undefined for type 0, which is bytes in a FRU and Unicode in a record. */
export function decodeText(bytes: Buffer, type: number): string | undefined {
  if (type === 1) return decodeBcdPlus(bytes);
  if (type === 2) return decodeSixBitAscii(bytes);
  return type === 0 ? undefined : untilZero(bytes).toString("latin1");
}
