// 16 random bytes at a time. They are drawn for many at once: a call to the generator for each costs more than its AES.
import { randomBytes } from "node:crypto";

const BLOCK = 16;
const BLOCKS_AT_ONCE = 256;

let pool = Buffer.alloc(0);
let next = 0;

/** 16 random bytes, nobody else's: a random number of RAKP, the initialisation vector of a packet. */
export function randomBlock(): Buffer {
  if (next === pool.length) {
    pool = randomBytes(BLOCKS_AT_ONCE * BLOCK);
    next = 0;
  }
  next += BLOCK;
  return pool.subarray(next - BLOCK, next);
}
