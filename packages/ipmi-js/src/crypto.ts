// Cipher suites and the keys of a session (IPMI 2.0, 13.28, 13.31, 13.32; table 22-20).
import { createHmac, timingSafeEqual } from "node:crypto";
import type { AlgorithmNumbers } from "./wire/open-session.ts";

/** A row of table 22-20 that we speak: which hash makes the check values, how long the codes are. */
export interface CipherSuite {
  readonly id: number;
  readonly algorithms: AlgorithmNumbers;
  readonly hash: "sha1" | "sha256";
  /** Bytes of the integrity code of a packet, and of the check value of RAKP 4: the hash, truncated. */
  readonly authCodeLength: number;
}

/** Cipher suites by id. 3: HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128. 17: HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128. */
export const CIPHER_SUITES: ReadonlyMap<number, CipherSuite> = new Map(
  [
    {
      id: 3,
      algorithms: { authentication: 1, integrity: 1, confidentiality: 1 },
      hash: "sha1" as const,
      authCodeLength: 12,
    },
    {
      id: 17,
      algorithms: { authentication: 3, integrity: 4, confidentiality: 1 },
      hash: "sha256" as const,
      authCodeLength: 16,
    },
  ].map((suite) => [suite.id, suite]),
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

/** Keys of an open session. */
export interface SessionKeys {
  /** Integrity key and encryption key (13.32). */
  readonly k1: Buffer;
  readonly k2: Buffer;
  readonly authCodeLength: number;
  /** The integrity code of a packet. */
  authCode(signed: Buffer): Buffer;
}

/** Compares secrets without telling by its duration where they differ. */
export function isEqualInConstantTime(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function hmac(suite: CipherSuite, key: Buffer, ...parts: Buffer[]): Buffer {
  const mac = createHmac(suite.hash, key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function identity(transcript: RakpTranscript): Buffer {
  return Buffer.concat([Buffer.from([transcript.role, transcript.user.length]), transcript.user]);
}

/** Key exchange authentication code of RAKP 2, by which the BMC shows that it knows the password (13.31). */
export function rakp2CheckValue(suite: CipherSuite, userKey: Buffer, t: RakpTranscript): Buffer {
  const ids = [le32(t.consoleSessionId), le32(t.bmcSessionId)];
  return hmac(suite, userKey, ...ids, t.consoleRandom, t.bmcRandom, t.guid, identity(t));
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
  return hmac(suite, sik, t.consoleRandom, le32(t.bmcSessionId), t.guid).subarray(0, suite.authCodeLength);
}

/** K_1 and K_2 from the session integrity key. The constants are 20 bytes for SHA-256 too: peers do so. */
export function sessionKeys(suite: CipherSuite, sik: Buffer): SessionKeys {
  const k1 = hmac(suite, sik, Buffer.alloc(20, 1));
  const k2 = hmac(suite, sik, Buffer.alloc(20, 2));
  return {
    k1,
    k2,
    authCodeLength: suite.authCodeLength,
    authCode: (signed) => hmac(suite, k1, signed).subarray(0, suite.authCodeLength),
  };
}
