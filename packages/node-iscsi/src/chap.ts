// CHAP for iSCSI (RFC 7143 12.1.3, RFC 1994): algorithms, challenge and response. One-way: the initiator proves itself.
import { createHash, timingSafeEqual } from "node:crypto";
import { ProtocolError } from "./errors.ts";
import { decodeBinaryValue } from "./pdu/text-keys.ts";

/** Credentials; the secret goes into a hash only, never into a log, an error or the wire. */
export interface ChapCredentials {
  readonly user: string;
  readonly secret: string;
}

/** IANA "CHAP Authentication Algorithms" numbers and the hash each names, best first. */
const CHAP_HASHES: ReadonlyMap<string, string> = new Map([
  ["7", "sha256"],
  ["6", "sha1"],
  ["5", "md5"],
]);

/** Value of CHAP_A that we offer. */
export const CHAP_ALGORITHMS_OFFERED = [...CHAP_HASHES.keys()].join(",");
/** The one algorithm every target numbers alike. */
export const CHAP_MD5 = "5";
/** RFC 7143 12.1.3: a challenge is at most 1024 bytes. */
const MAX_CHALLENGE_BYTES = 1024;

/** hash(identifier, secret, challenge); the identifier is one byte. */
export function chapDigest(algorithm: string, identifier: number, secret: string, challenge: Buffer): Buffer {
  const hash = CHAP_HASHES.get(algorithm);
  if (hash === undefined) throw new ProtocolError(`CHAP algorithm ${algorithm} was not offered`);
  return createHash(hash)
    .update(Buffer.from([identifier]))
    .update(secret, "utf8")
    .update(challenge)
    .digest();
}

/** First algorithm of the peer's list that we know, for the target's side. */
export function chooseChapAlgorithm(offered: string): string | undefined {
  return offered.split(",").find((algorithm) => CHAP_HASHES.has(algorithm));
}

function parseIdentifier(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || !Number.isInteger(value) || value < 0 || value > 255)
    throw new ProtocolError("CHAP_I is not a byte");
  return value;
}

/** Answers the target's CHAP_A, CHAP_I, CHAP_C with the pairs CHAP_N and CHAP_R. */
export function answerChapChallenge(
  keys: ReadonlyMap<string, string>,
  credentials: ChapCredentials,
): [key: string, value: string][] {
  const algorithm = keys.get("CHAP_A");
  const challengeText = keys.get("CHAP_C");
  if (algorithm === undefined || challengeText === undefined)
    throw new ProtocolError("the target's CHAP challenge lacks CHAP_A or CHAP_C");
  const challenge = decodeBinaryValue(challengeText);
  if (challenge.length > MAX_CHALLENGE_BYTES) throw new ProtocolError("the target's CHAP challenge is too long");
  const response = chapDigest(algorithm, parseIdentifier(keys.get("CHAP_I")), credentials.secret, challenge);
  return [
    ["CHAP_N", credentials.user],
    ["CHAP_R", `0x${response.toString("hex")}`],
  ];
}

/** The target's check of CHAP_N and CHAP_R, in constant time for the response. */
export function verifyChapResponse(
  keys: ReadonlyMap<string, string>,
  expected: { algorithm: string; identifier: number; challenge: Buffer; credentials: ChapCredentials },
): boolean {
  const responseText = keys.get("CHAP_R");
  if (keys.get("CHAP_N") !== expected.credentials.user || responseText === undefined) return false;
  const digest = chapDigest(expected.algorithm, expected.identifier, expected.credentials.secret, expected.challenge);
  const response = decodeBinaryValue(responseText);
  return response.length === digest.length && timingSafeEqual(response, digest);
}
