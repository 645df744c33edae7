// CHAP for iSCSI (RFC 7143 12.1.3, RFC 1994): algorithms, challenge and response in both directions, and the rules about secrets.
import { type ErrorContext, InvalidArgumentError, LoginError, ProtocolError } from "./errors.ts";
import { decodeBinaryValue, type TextPairs } from "./pdu/text-keys.ts";

/** One side's name and secret. The secret is text, taken byte for byte as UTF-8: `0x...` in it means nothing special. */
interface ChapIdentity {
  readonly user: string;
  readonly secret: string;
}

/** Credentials; a secret goes into a hash only, never into a log, an error or the wire. */
export interface ChapCredentials extends ChapIdentity {
  /** Mutual CHAP: the target must prove itself with these, else the login is refused. Its secret must differ from ours. */
  readonly target?: ChapIdentity | undefined;
  /** RFC 7143 12.1.3 wants 12 bytes or more where no IPsec is used. True takes shorter ones of old sites. Default false. */
  readonly allowShortSecrets?: boolean | undefined;
}

interface ChapHash {
  readonly hash: string;
  readonly bytes: number;
}

/** Loaded by the first login that has credentials: a third of the time this package takes to start would go to it and its list of hashes. */
const crypto = () => process.getBuiltinModule("node:crypto");

let knownHashes: ReadonlyMap<string, ChapHash> | undefined;

/** IANA "CHAP Authentication Algorithms" numbers and the hash each names, best first; what this Node lacks is left out. */
function chapHashes(): ReadonlyMap<string, ChapHash> {
  knownHashes ??= new Map(
    (
      [
        ["8", { hash: "sha3-256", bytes: 32 }],
        ["7", { hash: "sha256", bytes: 32 }],
        ["6", { hash: "sha1", bytes: 20 }],
        ["5", { hash: "md5", bytes: 16 }],
      ] as [string, ChapHash][]
    ).filter(([, { hash }]) => crypto().getHashes().includes(hash)),
  );
  return knownHashes;
}

/** Value of CHAP_A that we offer. */
export function chapAlgorithmsOffered(): string {
  return [...chapHashes().keys()].join(",");
}
/** The one algorithm every target numbers alike. */
export const CHAP_MD5 = "5";
/** RFC 7143 12.1.3: a challenge is at most 1024 bytes. */
const MAX_CHALLENGE_BYTES = 1024;
/** RFC 7143 12.1.3: 96 bits, unless IPsec protects the connection, of which we know nothing. */
const MIN_SECRET_BYTES = 12;
/** RFC 7143 6.1: longest text value where a key says nothing else. */
const MAX_NAME_BYTES = 255;

function checkIdentity(
  { user, secret }: ChapIdentity,
  whose: string,
  allowShort: boolean,
  context: ErrorContext,
): void {
  const userBytes = Buffer.byteLength(user);
  // A NUL ends a text value: what follows it would be read as keys of its own.
  if (userBytes === 0 || userBytes > MAX_NAME_BYTES || user.includes("\0"))
    throw new InvalidArgumentError(
      `the CHAP user of the ${whose} must have 1 to ${MAX_NAME_BYTES} bytes and no NUL`,
      context,
    );
  const minimum = allowShort ? 1 : MIN_SECRET_BYTES;
  const secretBytes = Buffer.byteLength(secret);
  if (secretBytes < minimum)
    throw new InvalidArgumentError(
      `the CHAP secret of the ${whose} has ${secretBytes} bytes and needs at least ${minimum} (RFC 7143 12.1.3); ` +
        (allowShort ? "set one" : "choose a longer one on both sides, or set allowShortSecrets for an old site"),
      context,
    );
}

/** @throws InvalidArgumentError, which says what to change and never what the secrets are (RFC 7143 12.1.3). */
export function checkChapCredentials(credentials: ChapCredentials, context: ErrorContext): void {
  const allowShort = credentials.allowShortSecrets === true;
  checkIdentity(credentials, "initiator", allowShort, context);
  if (credentials.target === undefined) return;
  checkIdentity(credentials.target, "target", allowShort, context);
  if (credentials.target.secret === credentials.secret)
    throw new InvalidArgumentError(
      "the CHAP secrets of the two directions are the same; give the target a secret of its own (RFC 7143 12.1.3)",
      context,
    );
}

function chapHash(algorithm: string): ChapHash {
  const found = chapHashes().get(algorithm);
  if (found === undefined) throw new ProtocolError("the CHAP algorithm chosen was not offered");
  return found;
}

/** hash(identifier, secret, challenge); the identifier is one byte. */
export function chapDigest(algorithm: string, identifier: number, secret: string, challenge: Buffer): Buffer {
  return crypto()
    .createHash(chapHash(algorithm).hash)
    .update(Buffer.from([identifier]))
    .update(secret, "utf8")
    .update(challenge)
    .digest();
}

/** First algorithm of the peer's list that we know, for the target's side. */
export function chooseChapAlgorithm(offered: string): string | undefined {
  return offered.split(",").find((algorithm) => chapHashes().has(algorithm));
}

/** One challenge as it goes over the wire and as its answer is checked. */
export interface ChapChallenge {
  readonly algorithm: string;
  readonly identifier: number;
  readonly challenge: Buffer;
}

/** A fresh challenge of the hash's length, never the one in `not` (RFC 7143 12.1.3). */
export function newChapChallenge(
  algorithm: string,
  not?: Buffer,
  random: (bytes: number) => Buffer = crypto().randomBytes,
): ChapChallenge {
  let challenge: Buffer;
  do challenge = random(chapHash(algorithm).bytes);
  while (not?.equals(challenge));
  return { algorithm, identifier: crypto().randomInt(0, 256), challenge };
}

/** CHAP_I and CHAP_C. */
export function challengePairs({ identifier, challenge }: ChapChallenge): [key: string, value: string][] {
  return [
    ["CHAP_I", String(identifier)],
    ["CHAP_C", `0x${challenge.toString("hex")}`],
  ];
}

function parseIdentifier(text: string | undefined): number {
  const value = text !== undefined && /^(0[xX][0-9a-fA-F]{1,4}|[0-9]{1,4})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 255)) throw new ProtocolError("CHAP_I is not a number in 0..255");
  return value;
}

/** Reads CHAP_I and CHAP_C. @throws ProtocolError when one is missing or outside its limits. */
export function readChapChallenge(keys: ReadonlyMap<string, string>, algorithm: string): ChapChallenge {
  const text = keys.get("CHAP_C");
  if (text === undefined) throw new ProtocolError("a CHAP challenge lacks CHAP_C");
  const challenge = decodeBinaryValue(text);
  if (challenge.length < 1 || challenge.length > MAX_CHALLENGE_BYTES)
    throw new ProtocolError(`CHAP_C has ${challenge.length} bytes; 1 to ${MAX_CHALLENGE_BYTES} are allowed`);
  return { algorithm, identifier: parseIdentifier(keys.get("CHAP_I")), challenge };
}

/** CHAP_N and CHAP_R: the proof that `identity` knows its secret. */
export function chapResponsePairs(challenge: ChapChallenge, identity: ChapIdentity): [key: string, value: string][] {
  const response = chapDigest(challenge.algorithm, challenge.identifier, identity.secret, challenge.challenge);
  return [
    ["CHAP_N", identity.user],
    ["CHAP_R", `0x${response.toString("hex")}`],
  ];
}

/**
 * Answers the target's CHAP_A, CHAP_I, CHAP_C with the pairs CHAP_N and CHAP_R.
 * @throws ProtocolError when a key is missing, malformed, or names an algorithm that is not in `offered`.
 */
export function answerChapChallenge(
  keys: ReadonlyMap<string, string>,
  credentials: ChapIdentity,
  offered: string = chapAlgorithmsOffered(),
): [key: string, value: string][] {
  return chapResponsePairs(readChapChallenge(keys, chosenAlgorithm(keys, offered)), credentials);
}

function chosenAlgorithm(keys: ReadonlyMap<string, string>, offered: string): string {
  const algorithm = keys.get("CHAP_A");
  if (algorithm === undefined) throw new ProtocolError("a CHAP challenge lacks CHAP_A");
  if (!offered.split(",").includes(algorithm)) throw new ProtocolError("the CHAP algorithm chosen was not offered");
  return algorithm;
}

type ChapVerdict = "right" | "missing" | "other name" | "wrong response";

/** Checks CHAP_N and CHAP_R. @throws ProtocolError on values that cannot be read or have a wrong length. */
function judgeChapResponse(
  keys: ReadonlyMap<string, string>,
  expected: ChapChallenge & { readonly credentials: ChapIdentity },
): ChapVerdict {
  const name = keys.get("CHAP_N");
  const responseText = keys.get("CHAP_R");
  if (name === undefined || responseText === undefined) return "missing";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new ProtocolError(`CHAP_N has more than ${MAX_NAME_BYTES} bytes`);
  const digest = chapDigest(expected.algorithm, expected.identifier, expected.credentials.secret, expected.challenge);
  const response = decodeBinaryValue(responseText);
  if (response.length !== digest.length)
    throw new ProtocolError(`CHAP_R has ${response.length} bytes where the chosen algorithm gives ${digest.length}`);
  const isRight = crypto().timingSafeEqual(response, digest);
  if (name !== expected.credentials.user) return "other name";
  return isRight ? "right" : "wrong response";
}

/** The target's check of CHAP_N and CHAP_R, in constant time for the response; malformed values count as wrong. */
export function verifyChapResponse(
  keys: ReadonlyMap<string, string>,
  expected: ChapChallenge & { readonly credentials: ChapIdentity },
): boolean {
  try {
    return judgeChapResponse(keys, expected) === "right";
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

/** Challenges remembered: more than logins run at once in any process we know of. */
const REMEMBERED_CHALLENGES = 1024;

/**
 * The challenges this process sent lately, oldest first. Trap: whoever gets one of them back as a "target's" challenge and answers it
 * has computed, for an impostor, the very proof that it asked for in another login (RFC 7143 12.1.3, 9.2.1).
 */
class IssuedChallenges {
  readonly #recent = new Set<string>();

  add(challenge: Buffer): void {
    this.#recent.add(challenge.toString("hex"));
    if (this.#recent.size <= REMEMBERED_CHALLENGES) return;
    for (const oldest of this.#recent) {
      this.#recent.delete(oldest);
      break;
    }
  }

  has(challenge: Buffer): boolean {
    return this.#recent.has(challenge.toString("hex"));
  }
}

const issuedChallenges = new IssuedChallenges();

const TARGET_VERDICTS: Record<Exclude<ChapVerdict, "right">, string> = {
  missing:
    "the target did not prove itself; configure mutual CHAP (an outgoing account) on it, or leave out the target's credentials",
  "other name":
    "the target proved itself under another name; check chap.target.user against the name it is set up with",
  "wrong response": "the target's proof is wrong; check chap.target.secret, or this is not the target you meant",
};

/** The initiator's side of one CHAP exchange. */
export class ChapInitiator {
  readonly #credentials: ChapCredentials;
  readonly #offered: string;
  readonly #context: ErrorContext;
  #algorithm: string | undefined;
  #ours: ChapChallenge | undefined;

  constructor(credentials: ChapCredentials, offered: string, context: ErrorContext) {
    this.#credentials = credentials;
    this.#offered = offered;
    this.#context = context;
  }

  /** What the target chose; undefined before its challenge came. */
  get algorithm(): string | undefined {
    return this.#algorithm;
  }

  get isMutual(): boolean {
    return this.#credentials.target !== undefined;
  }

  /**
   * The proof the target asks for and, for mutual CHAP, our own challenge.
   * @throws LoginError when the target sends back a challenge of ours, ProtocolError when the challenge is malformed.
   */
  answer(keys: ReadonlyMap<string, string>): TextPairs {
    const algorithm = chosenAlgorithm(keys, this.#offered);
    const theirs = readChapChallenge(keys, algorithm);
    this.#algorithm = algorithm;
    if (issuedChallenges.has(theirs.challenge))
      throw new LoginError(
        "the target sent a challenge of this initiator back to it; somebody is trying to have us compute the target's proof",
        this.#context,
      );
    const proof = chapResponsePairs(theirs, this.#credentials);
    if (!this.isMutual) return proof;
    this.#ours = newChapChallenge(algorithm, theirs.challenge);
    issuedChallenges.add(this.#ours.challenge);
    return [...proof, ...challengePairs(this.#ours)];
  }

  /** Checks the target's proof; does nothing for one-way CHAP. @throws LoginError that says what to fix. */
  verifyTarget(keys: ReadonlyMap<string, string>): void {
    const credentials = this.#credentials.target;
    const ours = this.#ours;
    if (credentials === undefined) return;
    const verdict = ours === undefined ? "missing" : judgeChapResponse(keys, { ...ours, credentials });
    if (verdict !== "right") throw new LoginError(TARGET_VERDICTS[verdict], this.#context);
  }
}
