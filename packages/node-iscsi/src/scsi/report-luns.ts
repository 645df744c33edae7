// REPORT LUNS (SPC-4 6.33) and the LUN addressing methods of its answer (SAM-5 4.7.7).
import type { ScsiCommand } from "./command.ts";
import { requireBytes, requireInteger } from "./fields.ts";

const REPORT_LUNS = 0xa0;
const HEADER_BYTES = 8;
const LUN_BYTES = 8;
/** 1023 LUNs; ask again with `capacity` when the answer is truncated. */
const DEFAULT_CAPACITY = 1023;
const MAX_CAPACITY = 1024 * 1024;

/** How a LUN's first two bytes are to be read (SAM-5 table 13). */
export type LunAddressingMethod = "peripheral device" | "flat space" | "logical unit" | "extended" | "well known";

/** One logical unit of a target. */
export interface LunEntry {
  /** The eight bytes as they go into a command. */
  readonly bytes: Buffer;
  readonly method: LunAddressingMethod;
  /** The number users know; undefined for extended and well-known units and for those behind another level. */
  readonly lun: number | undefined;
}

/** LUNs of a target. */
export interface LunList {
  readonly luns: readonly LunEntry[];
  /** The target has more than there was room for. */
  readonly isTruncated: boolean;
}

/**
 * The units this initiator can address; any LUN may be asked, even one that does not exist. `capacity` is the number of LUNs there is
 * room for. @throws InvalidArgumentError when it is not in 1..1048576.
 */
export function reportLuns(capacity = DEFAULT_CAPACITY): ScsiCommand<LunList> {
  requireInteger("REPORT LUNS", "capacity", capacity - 1, MAX_CAPACITY - 1);
  const allocation = HEADER_BYTES + capacity * LUN_BYTES;
  const cdb = Buffer.alloc(12);
  cdb[0] = REPORT_LUNS;
  cdb.writeUInt32BE(allocation, 6);
  return { name: "REPORT LUNS", cdb, isIdempotent: true, dataIn: Buffer.alloc(allocation), decode: decodeLunList };
}

function decodeLunList(data: Buffer): LunList {
  requireBytes(data, HEADER_BYTES, "LUN list");
  const listBytes = data.readUInt32BE(0);
  const end = Math.min(data.length, HEADER_BYTES + listBytes);
  const luns: LunEntry[] = [];
  for (let at = HEADER_BYTES; at + LUN_BYTES <= end; at += LUN_BYTES)
    luns.push(decodeLun(Buffer.from(data.subarray(at, at + LUN_BYTES))));
  return { luns, isTruncated: luns.length < Math.floor(listBytes / LUN_BYTES) };
}

/** One eight-byte LUN. @throws ProtocolError when there are fewer bytes. */
export function decodeLun(bytes: Buffer): LunEntry {
  requireBytes(bytes, LUN_BYTES, "LUN");
  const first = bytes.readUInt16BE(0);
  const isSingleLevel = bytes.readUIntBE(2, 6) === 0;
  switch (first >> 14) {
    case 0:
      // Bus 0 is the target itself. Another bus number leads to a unit behind it, whose number is in the next level.
      return { bytes, method: "peripheral device", lun: isSingleLevel && first < 0x100 ? first : undefined };
    case 1:
      return { bytes, method: "flat space", lun: isSingleLevel ? first & 0x3fff : undefined };
    case 2:
      return { bytes, method: "logical unit", lun: undefined };
    default:
      return decodeExtended(bytes, first);
  }
}

function decodeExtended(bytes: Buffer, first: number): LunEntry {
  const length = (first >> 12) & 3;
  const method = (first >> 8) & 0x0f;
  if (length === 0 && method === 1) return { bytes, method: "well known", lun: undefined };
  // Extended flat space: method 2, a 3-byte number after the first byte.
  const isFlat = length === 1 && method === 2 && bytes.readUInt32BE(4) === 0;
  return { bytes, method: "extended", lun: isFlat ? bytes.readUIntBE(1, 3) : undefined };
}
