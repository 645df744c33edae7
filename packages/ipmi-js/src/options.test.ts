// Options of a session: limits of IPMI 2.0 (22.28, 22.30), defaults, and secrets kept out of errors.
import { expect } from "chai";
import { isIpmiError } from "./errors.ts";
import { resolveOptions, type SessionOptions } from "./options.ts";

const GOOD: SessionOptions = { address: "10.0.0.7", user: "admin", password: "secret" };

function refusal(options: Partial<SessionOptions>): string {
  try {
    resolveOptions({ ...GOOD, ...options });
  } catch (error) {
    if (isIpmiError(error, "InvalidArgument")) return error.message;
    throw error;
  }
  throw new Error("the options were accepted");
}

describe("session options", () => {
  it("takes passwords of 0 to 20 bytes and fills the key with zeroes", () => {
    expect(resolveOptions({ ...GOOD, password: "" }).userKey).to.deep.equal(Buffer.alloc(20));
    expect(resolveOptions({ ...GOOD, password: "p".repeat(20) }).userKey).to.deep.equal(Buffer.alloc(20, "p"));
  });

  it("refuses longer ones without showing them", () => {
    const text = refusal({ password: "tellnobody-tellnobody" });
    expect(text).to.contain("the password has 21 bytes; IPMI 2.0 allows 20");
    expect(text).not.to.contain("tellnobody");
    expect(refusal({ password: "é".repeat(11) })).to.contain("22 bytes");
    expect(refusal({ kg: Buffer.alloc(21) })).to.contain("K_g");
  });

  it("refuses long users, odd ports, unknown suites, and nothing to offer", () => {
    expect(resolveOptions({ ...GOOD, user: "u".repeat(16) }).user).to.have.length(16);
    expect(refusal({ user: "u".repeat(17) })).to.contain("17 bytes");
    expect(refusal({ port: 70000 })).to.contain("port 70000");
    expect(refusal({ cipherSuites: [0] })).to.contain("cipher suite 0");
    expect(refusal({ cipherSuites: [] })).to.contain("no cipher suite");
    expect(refusal({ address: "" })).to.contain("address is empty");
    expect(refusal({ deadlineMs: Number.NaN })).to.contain("deadlineMs");
  });

  it("has the documented defaults", () => {
    const { port, privilege, suites, deadlineMs, retransmitMs } = resolveOptions(GOOD);
    expect([port, privilege, suites.map((suite) => suite.id), deadlineMs, retransmitMs]).to.deep.equal([
      623,
      4,
      [17, 3],
      10_000,
      1000,
    ]);
  });
});
