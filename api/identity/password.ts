// Passwords: scrypt (RFC 7914), compared in constant time, `scrypt$N$r$p$salt$hash` at rest.
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { BaremetalError } from "../../lib/errors.ts";
import { HttpError } from "../http-error.ts";

const COST = { N: 16_384, r: 8, p: 1 };
const HASH_BYTES = 32;
const LENGTH_LIMIT = 1024;
/** Each check takes 16 MiB and a thread for some 50 ms: more at once than this is a flood. */
const CHECKS_AT_ONCE = 16;

let running = 0;

function derive(password: string, salt: Buffer, cost: typeof COST): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, { ...cost, maxmem: 256 * cost.N * cost.r }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

/** A new salted hash of `password`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST);
  return ["scrypt", COST.N, COST.r, COST.p, salt.toString("base64"), hash.toString("base64")].join("$");
}

/** True if `stored` can be a hash of ours. */
export function isPasswordHash(stored: string): boolean {
  return parse(stored) !== undefined;
}

/** True if `password` has this hash. @throws HttpError 429 when too many are checked at once; BaremetalError for a broken hash */
export async function checkPassword(password: string, stored: string): Promise<boolean> {
  const known = parse(stored);
  if (known === undefined) throw new BaremetalError("Internal", "a stored password hash cannot be read");
  if (password.length > LENGTH_LIMIT) return false;
  if (running >= CHECKS_AT_ONCE) throw new HttpError(429, "Too many logins at once; try again in a second.");
  running++;
  try {
    return timingSafeEqual(await derive(password, known.salt, known.cost), known.hash);
  } finally {
    running--;
  }
}

function parse(stored: string): { cost: typeof COST; salt: Buffer; hash: Buffer } | undefined {
  const [scheme, ...rest] = stored.split("$");
  const [N, r, p] = rest.slice(0, 3).map(Number);
  const [salt, hash] = rest.slice(3).map((text) => Buffer.from(text, "base64"));
  if (scheme !== "scrypt" || !N || !r || !p || salt === undefined || hash?.length !== HASH_BYTES) return undefined;
  if (N > 1_048_576 || r > 32 || p > 16) return undefined;
  return { cost: { N, r, p }, salt, hash };
}
