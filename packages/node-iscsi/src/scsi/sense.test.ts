// Sense decoding against the layouts of SPC-4 4.5.2 (descriptor) and 4.5.3 (fixed), written out by hand.
import { expect } from "chai";
import fc from "fast-check";
import { additionalSenseText } from "./additional-sense-codes.ts";
import { decodeSense, describeSense, type SenseData } from "./sense.ts";

function senseOf(hex: string): SenseData {
  const sense = decodeSense(Buffer.from(hex.replaceAll(" ", ""), "hex"));
  if (sense === undefined) throw new Error(`no sense in ${hex}`);
  return sense;
}

describe("decodeSense", () => {
  it("reads fixed format with information", () => {
    const sense = senseOf("f0 00 03 0000abcd 0a 00000000 11 04 00 000000");
    expect(sense).to.deep.equal({
      senseKey: 3,
      asc: 0x11,
      ascq: 4,
      isDeferred: false,
      information: 0xabcdn,
      senseKeySpecific: undefined,
    });
    expect(describeSense(sense)).to.equal(
      "MEDIUM ERROR, unrecovered read error, auto reallocate failed (key 3h, ASC 11h, ASCQ 04h)",
    );
  });

  it("reads descriptor format and finds the information descriptor behind another", () => {
    const sense = senseOf("72 05 24 00 000000 14 02 06 0000 80000000 00 0a 80 00 0000000000001234".slice(0, 70));
    expect([sense.senseKey, sense.asc]).to.deep.equal([5, 0x24]);
    expect(senseOf("72 03 03 00 000000 14 02 06 0000 c0000000 00 0a 80 00 0000000012345678").information).to.equal(
      0x12345678n,
    );
  });

  it("leaves an INFORMATION field alone that is not valid", () => {
    expect(senseOf("70 00 03 0000abcd 0a 00000000 11 00 00 000000").information).to.equal(undefined);
    expect(senseOf("72 03 11 00 000000 0c 00 0a 00 00 0000000000001234").information).to.equal(undefined);
  });

  it("the offset of a COMPARE AND WRITE difference is the INFORMATION field", () => {
    const sense = senseOf("f0 00 0e 00000123 0a 00000000 1d 00 00 000000");
    expect(sense.information).to.equal(0x123n);
    expect(describeSense(sense)).to.contain("MISCOMPARE, miscompare during verify operation");
  });

  it("the progress of a sanitize, in both formats (SPC-4 4.5.2.4.4)", () => {
    for (const hex of [
      "70 00 02 00000000 0a 00000000 04 1b 00 80 4000",
      "72 02 04 1b 000000 08 02 06 0000 80 4000 00",
    ]) {
      const sense = senseOf(hex);
      expect(sense.senseKeySpecific).to.deep.equal({ kind: "progress", fraction: 0.25 });
      expect(describeSense(sense)).to.equal(
        "NOT READY, logical unit not ready, sanitize in progress, 25 % done (key 2h, ASC 04h, ASCQ 1bh)",
      );
    }
  });

  it("points at the wrong field (SPC-4 4.5.2.4.2)", () => {
    // SKSV, C/D (in the CDB), BPV with bit 3; then byte 1.
    const inCdb = senseOf("70 00 05 00000000 0a 00000000 24 00 00 cb 0001");
    expect(inCdb.senseKeySpecific).to.deep.equal({ kind: "field pointer", isInCdb: true, byte: 1, bit: 3 });
    expect(describeSense(inCdb)).to.contain("invalid field in CDB, byte 1 bit 3 of the CDB (key 5h");
    const inList = senseOf("70 00 05 00000000 0a 00000000 26 00 00 80 0102");
    expect(inList.senseKeySpecific).to.deep.equal({ kind: "field pointer", isInCdb: false, byte: 258, bit: undefined });
    expect(describeSense(inList)).to.contain("byte 258 of the parameter list");
  });

  it("counts the retries of a medium error", () => {
    const sense = senseOf("70 00 03 00000000 0a 00000000 0c 00 00 80 0007");
    expect(sense.senseKeySpecific).to.deep.equal({ kind: "actual retry count", retries: 7 });
  });

  it("ignores what is beyond the additional sense length", () => {
    // Length 4: ASC and ASCQ at bytes 12 and 13 are leftovers.
    const sense = senseOf("70 00 06 00000000 04 00000000 29 00 00 000000");
    expect([sense.senseKey, sense.asc]).to.deep.equal([6, 0]);
  });

  it("marks deferred errors, tolerates short sense, refuses unknown formats", () => {
    expect(senseOf("71 00 04").isDeferred).to.equal(true);
    const deferred = senseOf("73 03 0c 00 000000 00");
    expect(deferred.isDeferred).to.equal(true);
    expect(describeSense(deferred)).to.equal("MEDIUM ERROR, write error (key 3h, ASC 0ch, ASCQ 00h, deferred)");
    expect(decodeSense(Buffer.from("7000", "hex"))).to.equal(undefined);
    expect(decodeSense(Buffer.from("7f0000000000", "hex"))).to.equal(undefined);
  });

  it("names the reset UNIT ATTENTION, falls back to the ASC's text, then to numbers", () => {
    const text = (code: string) => describeSense(senseOf(`70 00 06 00000000 0a 00000000 ${code} 00 000000`));
    expect(text("29 00")).to.contain("UNIT ATTENTION, power on, reset");
    expect(text("29 ee")).to.contain("power on, reset").and.contain("ASCQ eeh");
    expect(text("99 01")).to.equal("UNIT ATTENTION (key 6h, ASC 99h, ASCQ 01h)");
    expect(additionalSenseText(0x40, 0x83)).to.equal("diagnostic failure on component 83h");
  });

  it("never throws, and describes whatever it decodes", () => {
    const first = fc.constantFrom(0x70, 0xf0, 0x71, 0x72, 0x73, 0x00, 0x7f);
    fc.assert(
      fc.property(first, fc.uint8Array({ maxLength: 60 }), (code, rest) => {
        const sense = decodeSense(Buffer.from([code, ...rest]));
        if (sense !== undefined) expect(describeSense(sense)).to.contain("ASC ");
      }),
      { numRuns: 2000 },
    );
  });
});
