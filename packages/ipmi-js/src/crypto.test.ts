// The table of cipher suites against the specification's table 22-20, written out again by hand.
import { expect } from "chai";
import { CIPHER_SUITES, sessionKeys } from "./crypto.ts";

/** Id: authentication, integrity, confidentiality (numbers of tables 13-17, 13-18, 13-19); code and check value bytes. */
const TABLE_22_20: Readonly<Record<number, [number, number, number, number, number]>> = {
  0: [0x00, 0x00, 0x00, 0, 0],
  1: [0x01, 0x00, 0x00, 0, 12],
  2: [0x01, 0x01, 0x00, 12, 12],
  3: [0x01, 0x01, 0x01, 12, 12],
  6: [0x02, 0x00, 0x00, 0, 16],
  7: [0x02, 0x02, 0x00, 16, 16],
  8: [0x02, 0x02, 0x01, 16, 16],
  11: [0x02, 0x03, 0x00, 16, 16],
  12: [0x02, 0x03, 0x01, 16, 16],
  15: [0x03, 0x00, 0x00, 0, 16],
  16: [0x03, 0x04, 0x00, 16, 16],
  17: [0x03, 0x04, 0x01, 16, 16],
};

describe("cipher suites", () => {
  it("have the numbers of table 22-20; xRC4 is left out", () => {
    const ours = [...CIPHER_SUITES.values()].map((suite) => {
      const { authentication, integrity, confidentiality } = suite.algorithms;
      const keys = sessionKeys(suite, Buffer.alloc(20, 1), Buffer.alloc(20, 2));
      const lengths = [keys.authCode(Buffer.from("packet")).length, suite.checkValueLength];
      return [suite.id, [authentication, integrity, confidentiality, ...lengths]];
    });
    expect(Object.fromEntries(ours)).to.deep.equal(TABLE_22_20);
  });
});
