import { expect } from "chai";
import { BaremetalError } from "../../lib/errors.ts";
import { parsePmAddress } from "./ipmi.ts";

describe("driver/power: pm_address", () => {
  const cases: [string, string, number][] = [
    ["192.168.7.4", "192.168.7.4", 623],
    ["192.168.7.4:6230", "192.168.7.4", 6230],
    ["bmc7.example.org", "bmc7.example.org", 623],
    ["fd00::7", "fd00::7", 623],
    ["[fd00::7]:6230", "fd00::7", 6230],
  ];
  for (const [text, address, port] of cases) {
    it(`reads ${text}`, () => expect(parsePmAddress(text)).to.deep.equal({ address, port }));
  }

  for (const text of ["", "a:b", "host:0", "host:70000", "[fd00::7"]) {
    it(`refuses "${text}"`, () =>
      expect(() => parsePmAddress(text)).to.throw(BaremetalError, "is not a host or host:port"));
  }
});
