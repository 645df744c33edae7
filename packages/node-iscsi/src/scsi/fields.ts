// Big-endian fields of SCSI parameter data, checked for length first so that short answers become typed errors.
import { ProtocolError } from "../errors.ts";

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

/** CDB of the 16-byte commands that carry a logical block address and a 32-bit length (SBC-4 5). */
export function cdb16(opcode: number, flags: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb[1] = flags;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}
