// Cipher suites and the keys of a session (IPMI 2.0, 13.28 to 13.33; table 22-20).
import { type Cipher, createCipheriv, createDecipheriv, createHash, type Decipher, timingSafeEqual } from "node:crypto";
import { type Hash, HmacKey } from "./hmac.ts";
import type { AlgorithmNumbers } from "./wire/open-session.ts";

/** A row of table 22-20 that we speak, with what its numbers mean. */
export interface CipherSuite {
  readonly id: number;
  readonly algorithms: AlgorithmNumbers;
  /** Hash of the check values and keys; undefined for RAKP-none, which has neither. */
  readonly hash: Hash | undefined;
  /** Bytes of the integrity check value of RAKP 4: the hash, truncated. */
  readonly checkValueLength: number;
  /** How packets are signed; undefined if they are not. */
  readonly integrity: IntegrityAlgorithm | undefined;
  readonly isEncrypted: boolean;
}

interface IntegrityAlgorithm {
  readonly hash: Hash;
  /** Bytes of the integrity code of a packet. */
  readonly length: number;
  /** MD5-128: the digest of password, packet, password; the others are HMACs with K_1. */
  readonly isKeyedDigest?: boolean;
}

/** By algorithm number (tables 13-17 and 13-18); the integrity check value of RAKP 4 goes by the authentication. */
const AUTHENTICATIONS: readonly { readonly hash: Hash | undefined; readonly checkValueLength: number }[] = [
  { hash: undefined, checkValueLength: 0 },
  { hash: "sha1", checkValueLength: 12 },
  { hash: "md5", checkValueLength: 16 },
  { hash: "sha256", checkValueLength: 16 },
];
const INTEGRITIES: readonly (IntegrityAlgorithm | undefined)[] = [
  undefined,
  { hash: "sha1", length: 12 },
  { hash: "md5", length: 16 },
  { hash: "md5", length: 16, isKeyedDigest: true },
  { hash: "sha256", length: 16 },
];

/** Table 22-20 without the xRC4 suites: id, then the numbers of authentication, integrity and confidentiality. */
const TABLE = [
  [0, 0, 0, 0],
  [1, 1, 0, 0],
  [2, 1, 1, 0],
  [3, 1, 1, 1],
  [6, 2, 0, 0],
  [7, 2, 2, 0],
  [8, 2, 2, 1],
  [11, 2, 3, 0],
  [12, 2, 3, 1],
  [15, 3, 0, 0],
  [16, 3, 4, 0],
  [17, 3, 4, 1],
] as const;

/** The cipher suites we speak, by id. 3: HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128. 17: HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128. */
export const CIPHER_SUITES: ReadonlyMap<number, CipherSuite> = new Map(
  TABLE.map(([id, authentication, integrity, confidentiality]) => [
    id,
    {
      id,
      algorithms: { authentication, integrity, confidentiality },
      hash: AUTHENTICATIONS[authentication]?.hash,
      checkValueLength: AUTHENTICATIONS[authentication]?.checkValueLength ?? 0,
      integrity: INTEGRITIES[integrity],
      isEncrypted: confidentiality === 1,
    },
  ]),
);

/** Longest password of IPMI 2.0 and length of its key, K_uid; shorter ones are filled with zeroes (22.30). */
export const MAX_PASSWORD_BYTES = 20;

/** Key of 20 bytes from a password or a K_g. */
export function keyFromSecret(secret: string | Buffer): Buffer {
  const key = Buffer.alloc(MAX_PASSWORD_BYTES);
  const bytes = Buffer.from(secret);
  bytes.copy(key);
  return key;
}

/** Key of 20 bytes from a K_g: text, hex digits after `0x`, or bytes. Undefined if it is too long or has half a byte. */
export function keyFromKg(kg: string | Buffer): Buffer | undefined {
  const digits = typeof kg === "string" ? /^0x([0-9a-f]+)$/i.exec(kg)?.[1] : undefined;
  if (digits !== undefined && digits.length % 2 !== 0) return undefined;
  const bytes = digits === undefined ? Buffer.from(kg) : Buffer.from(digits, "hex");
  return bytes.length > MAX_PASSWORD_BYTES ? undefined : keyFromSecret(bytes);
}

/** What both ends know after RAKP 1 and 2. */
export interface RakpTranscript {
  readonly consoleSessionId: number;
  readonly bmcSessionId: number;
  readonly consoleRandom: Buffer;
  readonly bmcRandom: Buffer;
  readonly guid: Buffer;
  readonly role: number;
  readonly user: Buffer;
}

/** Compares secrets without telling by its duration where they differ. */
export function isEqualInConstantTime(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

const NOTHING = Buffer.alloc(0);

/** The HMAC of the suite's authentication algorithm; empty for RAKP-none. */
function hmac({ hash }: CipherSuite, key: Buffer, ...parts: Buffer[]): Buffer {
  return hash === undefined ? NOTHING : new HmacKey(hash, key).digest(...parts);
}

function le32(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index);
  return bytes;
}

function identity({ role, user }: RakpTranscript): Buffer {
  const bytes = Buffer.allocUnsafe(2 + user.length);
  bytes[0] = role;
  bytes[1] = user.length;
  user.copy(bytes, 2);
  return bytes;
}

/** Key exchange authentication code of RAKP 2, by which the BMC shows that it knows the password (13.31). */
export function rakp2CheckValue(suite: CipherSuite, userKey: Buffer, t: RakpTranscript): Buffer {
  const ids = le32(t.consoleSessionId, t.bmcSessionId);
  return hmac(suite, userKey, ids, t.consoleRandom, t.bmcRandom, t.guid, identity(t));
}

/** Key exchange authentication code of RAKP 3, by which the console shows that it knows the password (13.31). */
export function rakp3CheckValue(suite: CipherSuite, userKey: Buffer, t: RakpTranscript): Buffer {
  return hmac(suite, userKey, t.bmcRandom, le32(t.consoleSessionId), identity(t));
}

/** Session integrity key: from K_g, or from the user's key when the BMC has no K_g (13.31). */
export function sessionIntegrityKey(suite: CipherSuite, key: Buffer, t: RakpTranscript): Buffer {
  return hmac(suite, key, t.consoleRandom, t.bmcRandom, identity(t));
}

/** Integrity check value of RAKP 4, by which the BMC shows that it has the same session integrity key. */
export function rakp4CheckValue(suite: CipherSuite, sik: Buffer, t: RakpTranscript): Buffer {
  return hmac(suite, sik, t.consoleRandom, le32(t.bmcSessionId), t.guid).subarray(0, suite.checkValueLength);
}

/** The constants of K_1 and K_2. Trap: 20 bytes whatever the hash, as ipmitool and FreeIPMI have it; 13.32 can be read otherwise. */
const CONSTANT_1 = Buffer.alloc(20, 1);
const CONSTANT_2 = Buffer.alloc(20, 2);

/** What the first block of a session is chained to; that block is random itself. */
const FIRST_CHAIN = Buffer.alloc(16);

/** Keys of an open session, and what packets are made with. */
export class SessionKeys {
  /** Integrity key and encryption key (13.32); empty for RAKP-none. */
  readonly k1: Buffer;
  readonly k2: Buffer;
  /** Bytes of the integrity code of a packet; 0 if the suite signs nothing. */
  readonly authCodeLength: number;
  readonly isEncrypted: boolean;
  readonly #integrity: IntegrityAlgorithm | undefined;
  readonly #integrityKey: HmacKey | undefined;
  readonly #userKey: Buffer;
  #cipher: Cipher | undefined;
  #decipher: Decipher | undefined;

  constructor(suite: CipherSuite, sik: Buffer, userKey: Buffer) {
    this.k1 = hmac(suite, sik, CONSTANT_1);
    this.k2 = hmac(suite, sik, CONSTANT_2);
    this.#integrity = suite.integrity;
    this.#integrityKey = suite.integrity === undefined ? undefined : new HmacKey(suite.integrity.hash, this.k1);
    this.#userKey = userKey;
    this.authCodeLength = suite.integrity?.length ?? 0;
    this.isEncrypted = suite.isEncrypted;
  }

  /** The integrity code of a packet; empty if the suite signs nothing. */
  authCode(signed: Buffer): Buffer {
    if (this.#integrity === undefined || this.#integrityKey === undefined) return NOTHING;
    const { hash, length, isKeyedDigest } = this.#integrity;
    const digest = isKeyedDigest
      ? createHash(hash).update(this.#userKey).update(signed).update(this.#userKey).digest()
      : this.#integrityKey.digest(signed);
    return digest.length === length ? digest : digest.subarray(0, length);
  }

  /**
   * AES-CBC-128 of whole blocks, the first of them random: its ciphertext is as random, and is the initialisation
   * vector of the rest (13.29). One cipher object serves the whole session, each packet chained to the one before.
   */
  encrypt(blocks: Buffer): Buffer {
    this.#cipher ??= createCipheriv("aes-128-cbc", this.#aesKey, FIRST_CHAIN).setAutoPadding(false);
    return this.#cipher.update(blocks);
  }

  /** The clear text of an initialisation vector and the blocks after it, which need nothing of the packets before. */
  decrypt(payload: Buffer): Buffer {
    this.#decipher ??= createDecipheriv("aes-128-cbc", this.#aesKey, FIRST_CHAIN).setAutoPadding(false);
    return this.#decipher.update(payload).subarray(16);
  }

  get #aesKey(): Buffer {
    return this.k2.subarray(0, 16);
  }
}

/** The keys that follow from the session integrity key. The user's key signs in suites with MD5-128. */
export function sessionKeys(suite: CipherSuite, sik: Buffer, userKey: Buffer = NOTHING): SessionKeys {
  return new SessionKeys(suite, sik, userKey);
}
