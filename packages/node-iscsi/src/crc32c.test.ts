// CRC32C against the examples of RFC 7143 (appendix A.4, same as RFC 3720 B.4) and against a bit-by-bit computation.
import { expect } from "chai";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { INPUT_BYTES } from "./crc32c-wasm.ts";

/** Straight from the definition: shift one bit at a time through the reflected polynomial. */
function bitwise(data: Uint8Array): number {
  let state = 0xffffffff;
  for (const byte of data) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit += 1) state = (state >>> 1) ^ ((state & 1) === 0 ? 0 : 0x82f63b78);
  }
  return ~state >>> 0;
}

/** As a digest lies on the wire: least significant byte first. */
function onTheWire(data: Uint8Array): string {
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(crc32c(data));
  return digest.toString("hex");
}

const counting = Buffer.from(Array.from({ length: 32 }, (_, index) => index));

describe("crc32c", () => {
  for (const [title, data, digest] of [
    ["32 bytes of zeroes", Buffer.alloc(32), "aa36918a"],
    ["32 bytes of ones", Buffer.alloc(32, 0xff), "43aba862"],
    ["32 bytes counting up from 0", counting, "4e79dd46"],
    ["32 bytes counting down to 0", Buffer.from(counting).reverse(), "5cdb3f11"],
    [
      "a SCSI READ(10) PDU",
      Buffer.from(
        "01c00000000000000000000000000000140000000000040000000014000000182800000000000000" + "0200000000000000",
        "hex",
      ),
      "563a96d9",
    ],
  ] as const)
    it(`RFC 7143 A.4: ${title}`, () => expect(onTheWire(data)).to.equal(digest));

  it("agrees with the bit-by-bit computation at every length and alignment", () => {
    const property = fc.property(
      fc.uint8Array({ maxLength: 700 }),
      fc.nat(16),
      (bytes, skip) => crc32c(Buffer.from(bytes).subarray(skip)) === bitwise(bytes.subarray(skip)),
    );
    fc.assert(property);
  });

  it("may be computed in pieces, cut anywhere", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(700), (bytes, cut) => {
      const data = Buffer.from(bytes);
      return crc32c(data.subarray(cut), crc32c(data.subarray(0, cut))) === bitwise(bytes);
    });
    fc.assert(property);
  });

  it("goes on beyond what its module's memory holds at once", () => {
    for (const length of [INPUT_BYTES - 1, INPUT_BYTES, INPUT_BYTES + 1, 2 * INPUT_BYTES, 3 * INPUT_BYTES + 17]) {
      const data = Buffer.from(Array.from({ length }, (_, index) => (index * 7919) >> 5));
      expect(crc32c(data), `${length} bytes`).to.equal(bitwise(data));
    }
  });
});
