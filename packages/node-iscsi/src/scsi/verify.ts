// VERIFY(10) and (16) (SBC-4 5.38, 5.40): the medium is read where it is, and compared with data when there is some.
import { InvalidArgumentError } from "../errors.ts";
import { noResult, type ScsiCommand } from "./command.ts";
import { cdb10, cdb16, requireWholeBlocks } from "./fields.ts";

const VERIFY_10 = 0x2f;
const VERIFY_16 = 0x8f;
const DISABLE_PAGE_OUT = 0x10;

/**
 * Trap: LIO (Linux 6.1) takes BYTCHK 01b, compares nothing and answers GOOD. Who wants to know what is on the disk reads it back.
 *
 * What the blocks are compared with: nothing (BYTCHK 00b: only readable), `data` for all of them (01b), or one `block` that each of
 * them must equal (11b, SBC-3).
 */
export type VerifyAgainst = { readonly data: Buffer } | { readonly block: Buffer } | undefined;

/** A difference ends in ScsiError with sense key MISCOMPARE. @throws InvalidArgumentError for an address above 2^32-1 or a length above 65535. */
export function verify10(lba: number, blocks: number, against?: VerifyAgainst): ScsiCommand<void> {
  const name = "VERIFY(10)";
  return command(name, cdb10(name, VERIFY_10, DISABLE_PAGE_OUT | byteCheck(against), lba, blocks), blocks, against);
}

/** A difference ends in ScsiError with sense key MISCOMPARE. @throws InvalidArgumentError for an address above 2^53-1 or a length above 2^32-1. */
export function verify16(lba: number, blocks: number, against?: VerifyAgainst): ScsiCommand<void> {
  const name = "VERIFY(16)";
  return command(name, cdb16(name, VERIFY_16, DISABLE_PAGE_OUT | byteCheck(against), lba, blocks), blocks, against);
}

function byteCheck(against: VerifyAgainst): number {
  if (against === undefined) return 0;
  return "data" in against ? 0b01 << 1 : 0b11 << 1;
}

function command(name: string, cdb: Buffer, blocks: number, against: VerifyAgainst): ScsiCommand<void> {
  const plain = { name, cdb, isIdempotent: true, decode: noResult };
  if (against === undefined) return plain;
  if ("data" in against) requireWholeBlocks(name, against.data.length, blocks);
  else if (against.block.length === 0) throw new InvalidArgumentError("the block is empty", { operation: name });
  return { ...plain, dataOut: "data" in against ? against.data : against.block };
}
