// key=value text of login and text PDUs (RFC 7143 6.1): UTF-8 pairs, each ended by a NUL.
import { ProtocolError } from "../errors.ts";

/** Ordered pairs; a key may repeat only in SendTargets answers, so this is a list and not a map. */
export type TextPairs = readonly (readonly [key: string, value: string])[];

/** Longest key RFC 7143 6.1 allows. */
const MAX_KEY_BYTES = 63;

export function encodeTextPairs(pairs: TextPairs): Buffer {
  return Buffer.from(pairs.map(([key, value]) => `${key}=${value}\0`).join(""), "utf8");
}

/**
 * Splits a complete text (all continuations joined).
 * @throws ProtocolError on a pair without "=" or with an empty or overlong key. A missing last NUL is tolerated.
 */
export function decodeTextPairs(text: Buffer): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  for (const item of text.toString("utf8").split("\0")) {
    if (item === "") continue;
    const separator = item.indexOf("=");
    if (separator < 1 || separator > MAX_KEY_BYTES)
      throw new ProtocolError("login or text data holds something that is not a key=value pair");
    pairs.push([item.slice(0, separator), item.slice(separator + 1)]);
  }
  return pairs;
}

/** Pairs as a map; RFC 7143 6.1 forbids repeating a key outside SendTargets. */
export function textPairsToMap(pairs: TextPairs): Map<string, string> {
  const map = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (map.has(key)) throw new ProtocolError(`key ${key} is sent twice`);
    map.set(key, value);
  }
  return map;
}

/** Reads a binary value: 0x hexadecimal or 0b base64 (RFC 7143 6.1). */
export function decodeBinaryValue(value: string): Buffer {
  const prefix = value.slice(0, 2).toLowerCase();
  const body = value.slice(2);
  if (prefix === "0x" && /^[0-9a-f]+$/i.test(body))
    return Buffer.from(body.length % 2 === 0 ? body : `0${body}`, "hex");
  if (prefix === "0b" && /^[A-Za-z0-9+/]+={0,2}$/.test(body)) return Buffer.from(body, "base64");
  throw new ProtocolError("a binary value is neither 0x hexadecimal nor 0b base64");
}
