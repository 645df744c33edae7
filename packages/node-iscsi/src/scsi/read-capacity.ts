// READ CAPACITY(10) and (16) (SBC-4 5.20, 5.21): size, block size, and whether unmapped blocks read as zeros.
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { readSafeUInt64, requireBytes } from "./fields.ts";

const READ_CAPACITY_10 = 0x25;
const SERVICE_ACTION_IN_16 = 0x9e;
const READ_CAPACITY_16_ACTION = 0x10;
const CAPACITY_16_BYTES = 32;

/** Size of a logical unit. What READ CAPACITY(10) does not say is false, 0 or absent in its answer. */
export interface Capacity {
  readonly blocks: number;
  readonly blockSize: number;
  /** LBPME: the unit is thinly provisioned. */
  readonly isThin: boolean;
  /** LBPRZ: unmapped blocks read as zeros. */
  readonly readsZeroes: boolean;
  /** Logical blocks per physical block, as a power of two. */
  readonly physicalBlockExponent: number;
  /** First logical block that starts a physical block. */
  readonly lowestAlignedLba?: number;
  /** 0 without protection information (PROT_EN), else the protection type 1 to 3. */
  readonly protectionType?: number;
}

function checkedBlockSize(blockSize: number): number {
  if (blockSize < 256 || blockSize > 65_536 || (blockSize & (blockSize - 1)) !== 0)
    throw new ProtocolError(`block size ${blockSize} is not a power of two in 256..65536`);
  return blockSize;
}

/** The result has 2^32 blocks when the unit is larger than this command can say: use READ CAPACITY(16) then. */
export function readCapacity10(): ScsiCommand<Capacity> {
  const cdb = Buffer.alloc(10);
  cdb[0] = READ_CAPACITY_10;
  return {
    name: "READ CAPACITY(10)",
    cdb,
    isIdempotent: true,
    dataIn: Buffer.alloc(8),
    decode(data) {
      requireBytes(data, 8, "READ CAPACITY(10) data");
      return {
        blocks: data.readUInt32BE(0) + 1,
        blockSize: checkedBlockSize(data.readUInt32BE(4)),
        isThin: false,
        readsZeroes: false,
        physicalBlockExponent: 0,
      };
    },
  };
}

/** `allocationBytes`: what the target may make room for, at least 32; its answer has no more than those 32. */
export function readCapacity16(allocationBytes = CAPACITY_16_BYTES): ScsiCommand<Capacity> {
  const cdb = Buffer.alloc(16);
  cdb[0] = SERVICE_ACTION_IN_16;
  cdb[1] = READ_CAPACITY_16_ACTION;
  cdb.writeUInt32BE(allocationBytes, 10);
  return {
    name: "READ CAPACITY(16)",
    cdb,
    isIdempotent: true,
    dataIn: Buffer.alloc(CAPACITY_16_BYTES),
    expectedDataInBytes: allocationBytes,
    decode(data) {
      requireBytes(data, 12, "READ CAPACITY(16) data");
      const byte = (at: number) => data[at] ?? 0;
      const lastBlock = readSafeUInt64(data, 0, "last block");
      if (lastBlock === Number.MAX_SAFE_INTEGER) throw new ProtocolError(`last block is ${lastBlock}, too large`);
      return {
        blocks: lastBlock + 1,
        blockSize: checkedBlockSize(data.readUInt32BE(8)),
        isThin: (byte(14) & 0x80) !== 0,
        readsZeroes: (byte(14) & 0x40) !== 0,
        physicalBlockExponent: byte(13) & 0x0f,
        lowestAlignedLba: ((byte(14) & 0x3f) << 8) | byte(15),
        protectionType: (byte(12) & 1) === 0 ? 0 : ((byte(12) >> 1) & 7) + 1,
      };
    },
  };
}
