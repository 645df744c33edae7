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
    expect(refusal({ cipherSuites: [0] })).to.contain("cipher suite 0 asks for no password");
    expect(refusal({ cipherSuites: [17, 4] })).to.contain("cipher suite 4 is not supported");
    expect(refusal({ protocol: "3.0" as never })).to.contain('protocol "3.0"');
    expect(refusal({ v15Authentication: ["md2" as never] })).to.contain('"md2"');
    expect(refusal({ v15Authentication: [] })).to.contain("no authentication type");
    expect(refusal({ cipherSuites: [] })).to.contain("no cipher suite");
    expect(refusal({ address: "" })).to.contain("address is empty");
    expect(refusal({ deadlineMs: Number.NaN })).to.contain("deadlineMs");
  });

  it("takes passwords of IPMI 1.5 up to 16 bytes only", () => {
    const password = "p".repeat(17);
    expect(refusal({ protocol: "1.5", password })).to.contain("the password has 17 bytes; IPMI 1.5 allows 16");
    expect(resolveOptions({ ...GOOD, password }).v15Password).to.equal(undefined);
    expect(resolveOptions({ ...GOOD, protocol: "1.5", password: "p".repeat(16) }).v15Password).to.have.length(16);
  });

  it("takes a K_g as text, hex digits or bytes; one of zeroes is none", () => {
    const key = Buffer.alloc(20);
    key.write("Kg");
    for (const kg of ["Kg", "0x4b67", "0x4B67", Buffer.from("Kg")])
      expect(resolveOptions({ ...GOOD, kg }).kg).to.deep.equal(key);
    // Text that is no hex, and hex that has no 0x.
    expect(
      resolveOptions({ ...GOOD, kg: "0xKg" })
        .kg?.subarray(0, 4)
        .toString(),
    ).to.equal("0xKg");
    expect(
      resolveOptions({ ...GOOD, kg: "4b67" })
        .kg?.subarray(0, 4)
        .toString(),
    ).to.equal("4b67");
    for (const none of ["", "0x0000", Buffer.alloc(20)])
      expect(resolveOptions({ ...GOOD, kg: none }).kg).to.equal(undefined);
    expect(refusal({ kg: "0x123" })).to.contain("half a byte");
    expect(refusal({ kg: `0x${"00".repeat(21)}` })).to.contain("longer than the 20 bytes");
  });

  it("lets cipher suite 0 be named with allowCipherZero, and each suite once", () => {
    const { suites } = resolveOptions({ ...GOOD, cipherSuites: [3, 0, 3], allowCipherZero: true });
    expect(suites.map((suite) => suite.id)).to.deep.equal([3, 0]);
  });

  it("has the documented defaults", () => {
    const { port, privilege, suites, deadlineMs, retransmitMs, ...rest } = resolveOptions(GOOD);
    expect([rest.protocol, rest.v15Authentication, rest.nameOnlyLookup]).to.deep.equal(["2.0", [2], true]);
    expect([port, privilege, suites.map((suite) => suite.id), deadlineMs, retransmitMs]).to.deep.equal([
      623,
      4,
      [17, 3],
      10_000,
      1000,
    ]);
  });
});
