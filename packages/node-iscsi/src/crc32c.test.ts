// CRC32C against the examples of RFC 7143 (appendix A.4, same as RFC 3720 B.4) and against a bit-by-bit computation, each time
// with the engine's WebAssembly and with what is left without it.
import { expect } from "chai";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { INPUT_BYTES, SHORTENED_FROM } from "./crc32c-wasm.ts";

/** Straight from the definition: shift one bit at a time through the reflected polynomial. */
function bitwise(data: Uint8Array): number {
  let state = 0xffffffff;
  for (const byte of data) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit += 1) state = (state >>> 1) ^ ((state & 1) === 0 ? 0 : 0x82f63b78);
  }
  return ~state >>> 0;
}

/** Bytes without an evident pattern, the same for the same seed (xorshift32, Marsaglia 2003). The seed is not 0. */
function scrambled(length: number, seed = 0x12345678): Buffer {
  const data = Buffer.alloc(length);
  let word = seed;
  for (let at = 0; at < length; at += 1) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    data[at] = word;
  }
  return data;
}

/** A second copy of the module, loaded while `engine` takes the place of the engine's WebAssembly. */
async function loadedWith(title: string, engine: object | undefined): Promise<typeof crc32c> {
  const original = Object.getOwnPropertyDescriptor(globalThis, "WebAssembly");
  if (original === undefined) throw new Error("these tests are for an engine that has WebAssembly");
  const copy: string = new URL(`./crc32c.ts?${title}`, import.meta.url).href;
  Object.defineProperty(globalThis, "WebAssembly", { ...original, value: engine });
  try {
    const loaded = ((await import(copy)) as { crc32c: typeof crc32c }).crc32c;
    expect(loaded, "a copy").to.not.equal(crc32c);
    // Its engine is chosen at the first digest.
    loaded(Buffer.alloc(1));
    return loaded;
  } finally {
    Object.defineProperty(globalThis, "WebAssembly", original);
  }
}

const counting = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const readTen = "01c00000000000000000000000000000140000000000040000000014000000182800000000000000" + "0200000000000000";

const examples = [
  ["32 bytes of zeroes", Buffer.alloc(32), "aa36918a"],
  ["32 bytes of ones", Buffer.alloc(32, 0xff), "43aba862"],
  ["32 bytes counting up from 0", counting, "4e79dd46"],
  ["32 bytes counting down to 0", Buffer.from(counting).reverse(), "5cdb3f11"],
  ["a SCSI READ(10) PDU", Buffer.from(readTen, "hex"), "563a96d9"],
] as const;

for (const [title, load] of [
  ["with WebAssembly", async () => crc32c],
  ["without WebAssembly (node --jitless)", () => loadedWith("none", undefined)],
  ["without 128-bit vectors", () => loadedWith("no-vectors", { validate: () => false })],
] as const)
  describe(`crc32c ${title}`, () => {
    let digestOf: typeof crc32c;
    before(async () => {
      digestOf = await load();
    });

    for (const [example, data, digest] of examples)
      it(`RFC 7143 A.4: ${example}`, () => {
        // As it lies on the wire: least significant byte first.
        const wire = Buffer.alloc(4);
        wire.writeUInt32LE(digestOf(data));
        expect(wire.toString("hex")).to.equal(digest);
      });

    it("agrees with the bit-by-bit computation at each length up to 600, at all alignments", () => {
      const source = scrambled(640);
      for (let length = 0; length <= 600; length += 1) {
        const data = source.subarray(length % 17, (length % 17) + length);
        expect(digestOf(data), `${length} bytes`).to.equal(bitwise(data));
      }
    });

    it("agrees with it for any bytes anywhere in a buffer", () => {
      // A length and a seed instead of an array: a failure is narrowed down in seconds, not in many minutes.
      const property = fc.property(
        fc.nat(3 * SHORTENED_FROM),
        fc.nat(16),
        fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        (length, skip, seed) => {
          const data = scrambled(length + skip, seed).subarray(skip);
          return digestOf(data) === bitwise(data);
        },
      );
      fc.assert(property);
    });

    it("counts a single bit of each vector of a long message", () => {
      const data = Buffer.alloc(2 * SHORTENED_FROM + 5);
      for (let at = 0; at < data.length; at += 13) {
        data[at] = 1 << (at % 8);
        expect(digestOf(data), `byte ${at}`).to.equal(bitwise(data));
        data[at] = 0;
      }
    });

    it("may be computed in pieces, cut anywhere", () => {
      const data = scrambled(3 * SHORTENED_FROM);
      const digest = bitwise(data);
      const property = fc.property(fc.nat(data.length), fc.nat(data.length), (one, other) => {
        const [first, second] = one < other ? [one, other] : [other, one];
        const start = digestOf(data.subarray(first, second), digestOf(data.subarray(0, first)));
        return digestOf(data.subarray(second), start) === digest;
      });
      fc.assert(property);
    });

    it("agrees where another way of computing takes over, and beyond what the module's memory holds", () => {
      const around = (length: number) => Array.from({ length: 35 }, (_, index) => length - 17 + index);
      const blocks = [2 * INPUT_BYTES, 3 * INPUT_BYTES + SHORTENED_FROM, 2 ** 18, 2 ** 20 - 5, 2 ** 20];
      const source = scrambled(2 ** 20);
      for (const length of [...around(128), ...around(SHORTENED_FROM), ...around(INPUT_BYTES), ...blocks]) {
        const data = source.subarray(0, length);
        expect(digestOf(data), `${length} bytes`).to.equal(bitwise(data));
      }
    });

    it("leaves the bytes as they are", () => {
      const data = scrambled(8192);
      digestOf(data);
      expect(data.equals(scrambled(8192))).to.equal(true);
    });
  });
