// Unit tests of tokens and passwords.
import { expect } from "chai";
import { checkPassword, hashPassword, isPasswordHash } from "./password.ts";
import { TokenService } from "./tokens.ts";
import { makeUser } from "./users.ts";

const KEY = Buffer.alloc(32, 1);
const user = makeUser("alice", "demo", ["member"]);

function service(key = KEY) {
  let time = 1_000_000;
  const clock = { now: () => time, sleep: async () => undefined };
  return { tokens: new TokenService(key, 60_000, clock), advance: (ms: number) => (time += ms) };
}

describe("api/identity/tokens", () => {
  it("says who it was issued to, until it expires", () => {
    const { tokens, advance } = service();
    const { token } = tokens.issue(user, "keystone");
    expect(tokens.check(token)).to.include({
      userName: "alice",
      projectName: "demo",
      isAdmin: false,
      expiresAt: 1_060_000,
    });
    advance(59_999);
    expect(tokens.check(token)).to.not.equal(undefined);
    advance(1);
    expect(tokens.check(token)).to.equal(undefined);
  });

  it("outlives a restart with the same key, and not another key", () => {
    const { token } = service().tokens.issue(user, "keystone");
    expect(service().tokens.check(token)).to.include({ userName: "alice" });
    expect(service(Buffer.alloc(32, 2)).tokens.check(token)).to.equal(undefined);
  });

  it("is worth nothing when a character is changed, cut or added", () => {
    const { tokens } = service();
    const { token } = tokens.issue(user, "keystone");
    const [body = "", signature = ""] = token.split(".");
    const admin = Buffer.from(JSON.stringify({ ...tokens.check(token), isAdmin: true })).toString("base64url");
    const forged = [
      `${admin}.${signature}`,
      body,
      `${body}.`,
      `.${signature}`,
      token.slice(0, -2),
      `${token}AA`,
      "",
      "notused",
      "x".repeat(5000),
    ];
    for (const text of forged) expect(tokens.check(text), text.slice(0, 20)).to.equal(undefined);
  });

  it("rests on what it was issued on, and on nothing else", () => {
    const { tokens } = service();
    const { claims } = tokens.issue(user, "keystone:hash");
    expect(JSON.stringify(claims)).to.not.include("hash");
    expect(tokens.restsOn(claims, "keystone:hash")).to.equal(true);
    expect(service().tokens.restsOn(claims, "keystone:hash"), "after a restart").to.equal(true);
    for (const other of ["noauth", "keystone:hash2", ""]) expect(tokens.restsOn(claims, other), other).to.equal(false);
    expect(tokens.restsOn({ ...claims, stamp: "" }, "")).to.equal(false);
  });

  it("can be revoked", () => {
    const { tokens } = service();
    const [one, two] = [tokens.issue(user, "keystone"), tokens.issue(user, "keystone")];
    tokens.revoke(one.claims);
    expect(tokens.check(one.token)).to.equal(undefined);
    expect(tokens.check(two.token)).to.not.equal(undefined);
  });

  it("got by another token does not outlive that one", () => {
    const { tokens, advance } = service();
    const first = tokens.issue(user, "keystone");
    advance(30_000);
    expect(tokens.issue(user, "keystone", first.claims.expiresAt).claims.expiresAt).to.equal(first.claims.expiresAt);
  });
});

describe("api/identity/password", () => {
  it("knows the password of a hash, and no other; the same password never has the same hash", async () => {
    const hash = await hashPassword("geheim");
    expect(hash)
      .to.match(/^scrypt\$16384\$8\$1\$/)
      .and.not.include("geheim");
    expect(await hashPassword("geheim")).to.not.equal(hash);
    expect(await checkPassword("geheim", hash)).to.equal(true);
    expect(await checkPassword("Geheim", hash)).to.equal(false);
    expect(await checkPassword("", hash)).to.equal(false);
    expect(await checkPassword("x".repeat(100_000), hash)).to.equal(false);
  });

  it("tells its hashes from other text", async () => {
    expect(isPasswordHash(await hashPassword("a"))).to.equal(true);
    for (const text of ["", "geheim", "scrypt$1$2", "scrypt$99999999$8$1$AAAA$AAAA"])
      expect(isPasswordHash(text)).to.equal(false);
  });

  it("refuses a flood instead of taking all memory", async () => {
    const hash = await hashPassword("a");
    const results = await Promise.allSettled(Array.from({ length: 40 }, () => checkPassword("a", hash)));
    expect(results.filter((one) => one.status === "rejected").length).to.equal(24);
    expect(await checkPassword("a", hash)).to.equal(true);
  });
});
