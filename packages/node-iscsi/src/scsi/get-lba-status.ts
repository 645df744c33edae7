// GET LBA STATUS (SBC-4 5.6): which runs of blocks are mapped, deallocated or anchored on a thin unit.
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { cdb16, readSafeUInt64, requireBytes, requireInteger } from "./fields.ts";

const SERVICE_ACTION_IN_16 = 0x9e;
const GET_LBA_STATUS_ACTION = 0x12;
const NAME = "GET LBA STATUS";
const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const DEFAULT_DESCRIPTORS = 64;
const MAX_DESCRIPTORS = 4096;

/** A run of blocks with one provisioning status. Codes above 2 are those of SBC-4 and later. */
export interface LbaStatus {
  readonly lba: number;
  readonly blocks: number;
  readonly status: "mapped" | "deallocated" | "anchored" | `code ${number}`;
}

const STATUS_NAMES = ["mapped", "deallocated", "anchored"] as const;

/**
 * Runs from `lba` on, as many as the target cares to give; ask again from where they end. `descriptors` is how many there is room
 * for. The result has at least one run, which starts at `lba`, and the runs follow each other without a gap.
 * @throws InvalidArgumentError for an address above 2^53-1 or a number of descriptors outside 1..4096.
 */
export function getLbaStatus(lba: number, descriptors = DEFAULT_DESCRIPTORS): ScsiCommand<LbaStatus[]> {
  requireInteger(NAME, "number of descriptors", descriptors - 1, MAX_DESCRIPTORS - 1);
  const allocation = HEADER_BYTES + descriptors * DESCRIPTOR_BYTES;
  return {
    name: NAME,
    cdb: cdb16(NAME, SERVICE_ACTION_IN_16, GET_LBA_STATUS_ACTION, lba, allocation),
    isIdempotent: true,
    dataIn: Buffer.alloc(allocation),
    decode: (data) => decodeRuns(data, lba),
  };
}

function decodeRuns(data: Buffer, from: number): LbaStatus[] {
  requireBytes(data, HEADER_BYTES + DESCRIPTOR_BYTES, "LBA status data");
  // PARAMETER DATA LENGTH counts what follows its own four bytes.
  const end = Math.min(data.length, 4 + data.readUInt32BE(0));
  const runs: LbaStatus[] = [];
  let next = from;
  for (let at = HEADER_BYTES; at + DESCRIPTOR_BYTES <= end; at += DESCRIPTOR_BYTES) {
    const lba = readSafeUInt64(data, at, "LBA status address");
    const blocks = data.readUInt32BE(at + 8);
    const code = data.readUInt8(at + 12) & 0x0f;
    // Trap: a caller walks the unit by these runs; an empty run or one that starts elsewhere would make it loop or skip.
    if (lba !== next || blocks === 0)
      throw new ProtocolError(`LBA status of ${blocks} blocks at ${lba}, expected some at ${next}`);
    runs.push({ lba, blocks, status: STATUS_NAMES[code] ?? `code ${code}` });
    next = lba + blocks;
  }
  if (runs.length === 0) throw new ProtocolError("LBA status data without a descriptor");
  return runs;
}
