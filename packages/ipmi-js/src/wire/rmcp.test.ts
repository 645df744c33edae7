// RMCP header and presence ping. Bytes from DSP0136 (ASF 2.0) 3.2.4.2 and IPMI 2.0 table 13-6, written out by hand.
import { expect } from "chai";
import { decodePresencePing, decodePresencePong, decodeRmcp, encodePresencePing, encodePresencePong } from "./rmcp.ts";
import { WireError } from "./wire-error.ts";

const PING = "0600ff06000011be802a0000";
const PONG = "0600ff06000011be402a0010000011be00000000" + "8100000000000000";

describe("RMCP", () => {
  it("makes the presence ping of the specification", () => {
    expect(encodePresencePing(0x2a).toString("hex")).to.equal(PING);
    expect(decodePresencePing(decodeRmcp(Buffer.from(PING, "hex")).body)).to.deep.equal({ tag: 0x2a });
  });

  it("makes and reads the pong of an IPMI BMC", () => {
    expect(encodePresencePong(0x2a).toString("hex")).to.equal(PONG);
    const pong = decodePresencePong(decodeRmcp(Buffer.from(PONG, "hex")).body);
    expect(pong).to.deep.equal({ tag: 0x2a, supportsIpmi: true });
  });

  it("tells ping and pong apart", () => {
    expect(decodePresencePong(decodeRmcp(Buffer.from(PING, "hex")).body)).to.equal(undefined);
    expect(decodePresencePing(decodeRmcp(Buffer.from(PONG, "hex")).body)).to.equal(undefined);
  });

  it("refuses other versions, acknowledges and foreign enterprise numbers", () => {
    expect(() => decodeRmcp(Buffer.from("0500ff07", "hex"))).to.throw(WireError, "version");
    expect(() => decodeRmcp(Buffer.from("0600ff87", "hex"))).to.throw(WireError, "class");
    expect(() => decodePresencePing(Buffer.from("000011bf802a0000", "hex"))).to.throw(WireError, "enterprise");
  });
});
