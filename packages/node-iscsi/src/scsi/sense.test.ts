// Sense decoding against the layouts of SPC-4 4.5.2 (descriptor) and 4.5.3 (fixed), written out by hand.
import { expect } from "chai";
import { decodeSense, describeSense } from "./sense.ts";

describe("decodeSense", () => {
  it("reads fixed format with information", () => {
    const sense = decodeSense(Buffer.from("f000030000abcd0a00000000110400000000", "hex"));
    expect(sense).to.deep.equal({ senseKey: 3, asc: 0x11, ascq: 4, isDeferred: false, information: 0xabcdn });
    expect(sense && describeSense(sense)).to.equal(
      "MEDIUM ERROR, unrecovered read error, auto reallocate failed (key 3h, ASC 11h, ASCQ 04h)",
    );
  });

  it("reads descriptor format and finds the information descriptor behind another", () => {
    const sense = decodeSense(
      Buffer.from("7205240000000014020600008000000000000a80000000000000001234".slice(0, 56), "hex"),
    );
    expect([sense?.senseKey, sense?.asc]).to.deep.equal([5, 0x24]);
    const bytes = Buffer.from("720303000000001402060000c00000ff000a800000000000123456780000", "hex");
    expect(decodeSense(bytes)?.information).to.equal(0x12345678n);
  });

  it("marks deferred errors, tolerates short sense, refuses unknown formats", () => {
    expect(decodeSense(Buffer.from("710004", "hex"))?.isDeferred).to.equal(true);
    expect(decodeSense(Buffer.from("7000", "hex"))).to.equal(undefined);
    expect(decodeSense(Buffer.from("7f0000000000", "hex"))).to.equal(undefined);
  });

  it("names the reset UNIT ATTENTION and falls back to the ASC's text", () => {
    const text = (hex: string) => describeSense(decodeSense(Buffer.from(hex, "hex"))!);
    expect(text("700006000000000a000000002900")).to.contain("UNIT ATTENTION, power on, reset");
    expect(text("700006000000000a0000000029ee")).to.contain("power on, reset").and.contain("ASCQ eeh");
  });
});
