// HMAC of datagrams (RFC 2104). A session needs ten of them: one-shot digests cost a fraction of an Hmac object and its collection.
import { hash } from "node:crypto";

/** The hashes of IPMI's authentication and integrity algorithms. All work on blocks of 64 bytes. */
export type Hash = "sha1" | "md5" | "sha256";

const BLOCK = 64;
const DIGEST_BYTES: Readonly<Record<Hash, number>> = { md5: 16, sha1: 20, sha256: 32 };

/** A key of at most 64 bytes, made ready for many messages. */
export class HmacKey {
  readonly #hash: Hash;
  /** The key's block mixed with the inner and the outer pad. */
  readonly #inner = Buffer.alloc(BLOCK, 0x36);
  readonly #outer = Buffer.alloc(BLOCK, 0x5c);

  /** @throws RangeError for a key that is longer than a block; IPMI's have 16 to 32 bytes. */
  constructor(hashName: Hash, key: Buffer) {
    if (key.length > BLOCK) throw new RangeError(`an HMAC key of ${key.length} bytes is longer than ${BLOCK}`);
    this.#hash = hashName;
    for (const [index, byte] of key.entries()) {
      this.#inner[index] = 0x36 ^ byte;
      this.#outer[index] = 0x5c ^ byte;
    }
  }

  /** The code of the parts, one after the other. */
  digest(...parts: Buffer[]): Buffer {
    const inner = Buffer.concat([this.#inner, ...parts]);
    const outer = Buffer.allocUnsafe(BLOCK + DIGEST_BYTES[this.#hash]);
    this.#outer.copy(outer);
    outer.write(hash(this.#hash, inner, "binary"), BLOCK, "binary");
    return Buffer.from(hash(this.#hash, outer, "binary"), "binary");
  }
}
