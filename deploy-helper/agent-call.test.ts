// One spelling per address: the caller's, as node:net gives it, against the one that the ramdisk posts.
import { expect } from "chai";
import { canonicalAddress } from "./agent-call.ts";

describe("canonicalAddress", () => {
  const same: [string, string][] = [
    ["10.0.0.7", "10.0.0.7"],
    ["::ffff:10.0.0.7", "10.0.0.7"],
    ["::FFFF:10.0.0.7", "10.0.0.7"],
    ["0:0:0:0:0:ffff:10.0.0.7", "10.0.0.7"],
    ["::ffff:0a00:0007", "10.0.0.7"],
    ["fd00:0:0::0001", "fd00::1"],
    ["FE80::1%eth0", "fe80::1"],
    [" 10.0.0.7 ", "10.0.0.7"],
  ];
  for (const [text, canonical] of same) it(text, () => expect(canonicalAddress(text)).to.equal(canonical));
  for (const text of [
    "",
    "localhost",
    "10.0.0",
    "10.0.0.7:80",
    "0x0a000007",
    "010.0.0.7",
    "10.0.0.7/8",
    "::ffff:10.0.0.7.1",
    "[::1]",
  ]) {
    it(`not an address: "${text}"`, () => expect(canonicalAddress(text)).to.equal(undefined));
  }
});
