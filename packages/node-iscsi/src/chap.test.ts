// CHAP (RFC 7143 12.1.3, RFC 1994): digests computed with OpenSSL's command line, limits, reflection, secrets.
import { expect } from "chai";
import {
  answerChapChallenge,
  type ChapCredentials,
  ChapInitiator,
  chapAlgorithmsOffered,
  chapDigest,
  checkChapCredentials,
  newChapChallenge,
  verifyChapResponse,
} from "./chap.ts";
import { InvalidArgumentError, LoginError, ProtocolError } from "./errors.ts";

const context = { operation: "login" };
const own = { user: "initiator", secret: "a-secret-of-17-chr" };
const target = { user: "target", secret: "another-secret-of-the-target" };
const challenge = Buffer.from("00010203feff", "hex");
// printf '\x2aa-secret-of-17-chr\x00\x01\x02\x03\xfe\xff' | openssl dgst -md5 (-sha1, -sha256, -sha3-256), OpenSSL 3.0.19
const DIGESTS = {
  5: "cb5b656cfa10cf3c00b4df00f39e801c",
  6: "2e553a677959730bd8c6e1d778afadd0051cf46f",
  7: "0f0e3468ed68f23cf48bea990064f0f1304d8d9a1cfe2b0b952a613cc60c03f8",
  8: "51272f5115193e43964891ff6b9b186f92f2a77b83f909f9ccde973b11b39cb0",
};

const keysOf = (pairs: Record<string, string>) => new Map(Object.entries(pairs));
const challengeOf = (changes: Record<string, string> = {}) =>
  keysOf({ CHAP_A: "5", CHAP_I: "42", CHAP_C: "0x00010203feff", ...changes });

describe("CHAP algorithms", () => {
  for (const [algorithm, digest] of Object.entries(DIGESTS))
    it(`algorithm ${algorithm} is the hash IANA gives that number`, () => {
      expect(chapDigest(algorithm, 42, own.secret, challenge).toString("hex")).to.equal(digest);
      const [name, response] = answerChapChallenge(challengeOf({ CHAP_A: algorithm }), own);
      expect([name, response]).to.deep.equal([
        ["CHAP_N", "initiator"],
        ["CHAP_R", `0x${digest}`],
      ]);
    });

  it("are offered strongest first", () => {
    expect(chapAlgorithmsOffered()).to.equal("8,7,6,5");
  });

  it("reads the challenge as base64 and the identifier as hexadecimal alike", () => {
    // printf '\x00\x01\x02\x03\xfe\xff' | base64
    const answer = answerChapChallenge(challengeOf({ CHAP_C: "0bAAECA/7/", CHAP_I: "0x2A" }), own);
    expect(answer[1]).to.deep.equal(["CHAP_R", `0x${DIGESTS[5]}`]);
  });

  it("takes a secret that looks like hexadecimal as plain text", () => {
    // printf '\x2a0x00112233445566778899\x00\x01\x02\x03\xfe\xff' | openssl dgst -md5
    expect(chapDigest("5", 42, "0x00112233445566778899", challenge).toString("hex")).to.equal(
      "f14a97b53a2a5a5e60093a738920445d",
    );
  });
});

describe("a CHAP challenge", () => {
  for (const [what, changes] of Object.entries({
    "an identifier above a byte": { CHAP_I: "256" },
    "a negative identifier": { CHAP_I: "-1" },
    "an empty identifier": { CHAP_I: "" },
    "an identifier that is no number": { CHAP_I: "1e2" },
    "an algorithm that was not offered": { CHAP_A: "4" },
    "two algorithms": { CHAP_A: "5,7" },
    "an empty challenge": { CHAP_C: "0x" },
    "a challenge of 1025 bytes": { CHAP_C: `0x${"ab".repeat(1025)}` },
    "a challenge without a prefix": { CHAP_C: "aabb" },
    "a challenge that is no base64": { CHAP_C: "0b!!!!" },
  }))
    it(`with ${what} is a ProtocolError`, () => {
      expect(() => answerChapChallenge(challengeOf(changes), own)).to.throw(ProtocolError);
    });

  it("of 1 and of 1024 bytes is answered", () => {
    for (const bytes of [1, 1024])
      expect(answerChapChallenge(challengeOf({ CHAP_C: `0x${"ab".repeat(bytes)}` }), own)).to.have.length(2);
  });

  it("lacking a key is a ProtocolError", () => {
    for (const missing of ["CHAP_A", "CHAP_I", "CHAP_C"]) {
      const keys = challengeOf();
      keys.delete(missing);
      expect(() => answerChapChallenge(keys, own), missing).to.throw(ProtocolError);
    }
  });

  it("with an algorithm we know but did not offer this time is a ProtocolError", () => {
    expect(() => answerChapChallenge(challengeOf({ CHAP_A: "7" }), own, "5")).to.throw(ProtocolError, "not offered");
  });

  it("of our own has the length of the hash and is never the peer's", () => {
    for (const [algorithm, digest] of Object.entries(DIGESTS))
      expect(newChapChallenge(algorithm).challenge.length).to.equal(digest.length / 2);
    const texts = new Set(Array.from({ length: 200 }, () => newChapChallenge("5").challenge.toString("hex")));
    expect(texts.size).to.equal(200);
    // A source of randomness that gives the target's challenge first.
    const theirs = Buffer.alloc(16, 1);
    const source = [theirs, theirs, Buffer.alloc(16, 2)];
    const { challenge: ours } = newChapChallenge("5", theirs, () => source.shift()!);
    expect(ours.equals(Buffer.alloc(16, 2))).to.equal(true);
  });
});

/** The pairs the initiator answers with, as a map. */
function started(credentials: ChapCredentials, algorithm = "7"): { chap: ChapInitiator; sent: Map<string, string> } {
  const chap = new ChapInitiator(credentials, chapAlgorithmsOffered(), context);
  const random = newChapChallenge(algorithm).challenge.toString("hex");
  const sent = new Map(chap.answer(challengeOf({ CHAP_A: algorithm, CHAP_C: `0x${random}` })));
  return { chap, sent };
}

/** The right proof for what the initiator asked. */
function proofFor(sent: ReadonlyMap<string, string>, secret: string, algorithm = "7"): string {
  const asked = Buffer.from(sent.get("CHAP_C")!.slice(2), "hex");
  return `0x${chapDigest(algorithm, Number(sent.get("CHAP_I")), secret, asked).toString("hex")}`;
}

describe("mutual CHAP", () => {
  const mutual = { ...own, target };

  it("sends no challenge for one-way credentials and asks for no proof", () => {
    const { chap, sent } = started(own);
    expect([...sent.keys()]).to.deep.equal(["CHAP_N", "CHAP_R"]);
    chap.verifyTarget(new Map());
  });

  for (const algorithm of Object.keys(DIGESTS))
    it(`accepts the right proof with algorithm ${algorithm}`, () => {
      const { chap, sent } = started(mutual, algorithm);
      expect([...sent.keys()]).to.deep.equal(["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"]);
      chap.verifyTarget(keysOf({ CHAP_N: target.user, CHAP_R: proofFor(sent, target.secret, algorithm) }));
    });

  it("refuses a target that proves nothing, with what to do about it", () => {
    const { chap, sent } = started(mutual);
    expect(() => chap.verifyTarget(new Map())).to.throw(LoginError, "configure mutual CHAP");
    expect(() => chap.verifyTarget(keysOf({ CHAP_R: proofFor(sent, target.secret) }))).to.throw(LoginError);
  });

  it("refuses a proof with another secret, also with ours", () => {
    const { chap, sent } = started(mutual);
    for (const secret of ["some-other-secret-here", own.secret])
      expect(() => chap.verifyTarget(keysOf({ CHAP_N: target.user, CHAP_R: proofFor(sent, secret) }))).to.throw(
        LoginError,
        "chap.target.secret",
      );
  });

  it("refuses a right proof under another name", () => {
    const { chap, sent } = started(mutual);
    const keys = keysOf({ CHAP_N: "impostor", CHAP_R: proofFor(sent, target.secret) });
    expect(() => chap.verifyTarget(keys)).to.throw(LoginError, "chap.target.user");
  });

  it("refuses a proof of the wrong length and a name that is too long as a ProtocolError", () => {
    const { chap, sent } = started(mutual);
    expect(() => chap.verifyTarget(keysOf({ CHAP_N: target.user, CHAP_R: "0xaabb" }))).to.throw(
      ProtocolError,
      "2 bytes",
    );
    const long = keysOf({ CHAP_N: "n".repeat(256), CHAP_R: proofFor(sent, target.secret) });
    expect(() => chap.verifyTarget(long)).to.throw(ProtocolError, "CHAP_N");
  });

  it("never answers its own challenge, sent back in the same login or in another", () => {
    const { chap, sent } = started(mutual);
    const reflected = challengeOf({ CHAP_C: sent.get("CHAP_C")!, CHAP_I: sent.get("CHAP_I")! });
    expect(() => chap.answer(reflected)).to.throw(LoginError, "back");
    const other = new ChapInitiator(own, chapAlgorithmsOffered(), context);
    expect(() => other.answer(reflected)).to.throw(LoginError, "back");
    const asBase64 = `0b${Buffer.from(sent.get("CHAP_C")!.slice(2), "hex").toString("base64")}`;
    expect(() => other.answer(challengeOf({ CHAP_C: asBase64 }))).to.throw(LoginError, "back");
  });

  it("remembers the challenges of 1000 later logins, not of all", () => {
    const { sent } = started(mutual);
    const reflected = challengeOf({ CHAP_C: sent.get("CHAP_C")! });
    const answer = () => new ChapInitiator(own, chapAlgorithmsOffered(), context).answer(reflected);
    for (let login = 0; login < 1000; login += 1) started(mutual);
    expect(answer).to.throw(LoginError, "back");
    for (let login = 0; login < 30; login += 1) started(mutual);
    expect(answer()).to.have.length(2);
  });
});

describe("the target's check of a response", () => {
  const expected = { algorithm: "5", identifier: 42, challenge, credentials: own };

  it("is true for the right one only", () => {
    const right = `0x${DIGESTS[5]}`;
    expect(verifyChapResponse(keysOf({ CHAP_N: "initiator", CHAP_R: right }), expected)).to.equal(true);
    expect(verifyChapResponse(keysOf({ CHAP_N: "somebody", CHAP_R: right }), expected)).to.equal(false);
    expect(verifyChapResponse(keysOf({ CHAP_N: "initiator", CHAP_R: `${right}00` }), expected)).to.equal(false);
    expect(verifyChapResponse(keysOf({ CHAP_N: "initiator", CHAP_R: "nonsense" }), expected)).to.equal(false);
    expect(verifyChapResponse(keysOf({ CHAP_N: "initiator" }), expected)).to.equal(false);
  });
});

describe("CHAP credentials", () => {
  const check = (credentials: ChapCredentials) => () => checkChapCredentials(credentials, context);

  it("take secrets of 12 bytes and of any greater length", () => {
    for (const length of [12, 16, 255, 1000]) check({ user: "u", secret: "x".repeat(length) })();
    // Six letters of two bytes each: bytes count, not characters.
    check({ user: "u", secret: "äöüäöü" })();
  });

  it("with a short secret are refused with the fix, in both directions", () => {
    expect(check({ user: "u", secret: "x".repeat(11) })).to.throw(InvalidArgumentError, "allowShortSecrets");
    expect(check({ ...own, target: { user: "t", secret: "short" } })).to.throw(InvalidArgumentError, "of the target");
  });

  it("with a short secret are taken from old sites that say so; an empty one never", () => {
    check({ user: "u", secret: "short", allowShortSecrets: true })();
    expect(check({ user: "u", secret: "", allowShortSecrets: true })).to.throw(InvalidArgumentError);
  });

  it("with one secret for both directions are refused", () => {
    expect(check({ ...own, target: { user: "t", secret: own.secret } })).to.throw(InvalidArgumentError, "same");
  });

  it("with a user that is empty, too long or would smuggle in keys are refused", () => {
    for (const user of ["", "u".repeat(256), "u\0CHAP_R=0x00"])
      expect(check({ ...own, user })).to.throw(InvalidArgumentError, "user");
  });

  it("never show in a message", () => {
    const secrets = ["tiny-secre", "same-secret-twice", "long-enough-secret"];
    const wrong: ChapCredentials[] = [
      { user: "u", secret: "tiny-secre" },
      { user: "u", secret: "same-secret-twice", target: { user: "t", secret: "same-secret-twice" } },
      { user: "u", secret: "long-enough-secret", target: { user: "t", secret: "tiny-secre" } },
      { user: "", secret: "long-enough-secret" },
    ];
    for (const credentials of wrong) {
      let error: Error | undefined;
      try {
        check(credentials)();
      } catch (cause) {
        error = cause as Error;
      }
      expect(error).to.be.instanceOf(InvalidArgumentError);
      for (const secret of secrets) expect(`${error?.message}${error?.stack}`).not.to.contain(secret);
    }
  });
});
