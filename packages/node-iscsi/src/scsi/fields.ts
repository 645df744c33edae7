// Big-endian fields of CDBs and SCSI parameter data. Answers are checked for length first, so that short ones become typed errors;
// arguments are checked before a CDB exists, so that nothing is sent that a field would have cut off.
import { InvalidArgumentError, ProtocolError } from "../errors.ts";

/** Refuses an answer shorter than the field layout needs. */
export function requireBytes(data: Buffer, bytes: number, what: string): void {
  if (data.length < bytes) throw new ProtocolError(`${what} has ${data.length} bytes, needs ${bytes}`);
}

/** A 64-bit field that must fit a JavaScript integer; block addresses above 2^53 do not exist in practice. */
export function readSafeUInt64(data: Buffer, offset: number, what: string): number {
  const value = data.readBigUInt64BE(offset);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError(`${what} is ${value}, too large`);
  return Number(value);
}

/** @throws InvalidArgumentError unless `value` is an integer in 0..`maximum`. */
export function requireInteger(command: string, what: string, value: number, maximum: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > maximum)
    throw new InvalidArgumentError(`${what} is ${value}, must be an integer in 0..${maximum}`, { operation: command });
}

/** A command with data moves whole blocks: `bytes` must be a positive multiple of `blocks`. @throws InvalidArgumentError */
export function requireWholeBlocks(command: string, bytes: number, blocks: number): void {
  const isWhole = blocks === 0 ? bytes === 0 : bytes > 0 && bytes % blocks === 0;
  if (!isWhole) throw new InvalidArgumentError(`${bytes} bytes are not ${blocks} blocks`, { operation: command });
}

const MAX_32 = 0xffffffff;

/** CDB of the 10-byte commands: 32-bit logical block address, 16-bit length (SBC-4 5). @throws InvalidArgumentError */
export function cdb10(command: string, opcode: number, flags: number, lba: number, blocks: number): Buffer {
  requireInteger(command, "logical block address", lba, MAX_32);
  requireInteger(command, "number of blocks", blocks, 0xffff);
  const cdb = Buffer.alloc(10);
  cdb[0] = opcode;
  cdb[1] = flags;
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  return cdb;
}

/** CDB of the 16-byte commands: 64-bit logical block address, 32-bit length (SBC-4 5). @throws InvalidArgumentError */
export function cdb16(command: string, opcode: number, flags: number, lba: number, blocks: number): Buffer {
  requireInteger(command, "logical block address", lba, Number.MAX_SAFE_INTEGER);
  requireInteger(command, "number of blocks", blocks, MAX_32);
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb[1] = flags;
  writeUInt64(cdb, lba, 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

/** Writes a safe integer as 64 bits; without BigInt, because it runs once per read and write. */
export function writeUInt64(into: Buffer, value: number, offset: number): void {
  into.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  into.writeUInt32BE(value % 2 ** 32, offset + 4);
}

/** DPO and FUA of a read or write CDB (SBC-4 5.15, 5.48). */
export interface CacheControl {
  /** FUA: from, or to, the medium itself instead of a volatile cache. */
  readonly forceUnitAccess?: boolean;
  /** DPO: not worth keeping in the cache. */
  readonly disablePageOut?: boolean;
}

export function cacheControlFlags(control: CacheControl | undefined): number {
  return (control?.forceUnitAccess === true ? 0x08 : 0) | (control?.disablePageOut === true ? 0x10 : 0);
}
