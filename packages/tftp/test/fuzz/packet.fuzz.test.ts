// Any bytes decode or throw TftpError MalformedPacket; what is encoded decodes to itself; any cut of a packet is safe.
import { expect } from "chai";
import fc from "fast-check";
import { TftpError } from "../../src/errors.ts";
import { decode, encode, type Packet } from "../../src/packet.ts";
import { isInside, relativePath } from "../../src/path.ts";

const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((s) => !s.includes("\0"));
const options = fc.array(fc.tuple(text, text), { maxLength: 6 });
const number16 = fc.integer({ min: 0, max: 0xffff });
const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({ kind: fc.constantFrom("rrq", "wrq"), file: text, mode: fc.constantFrom("octet", "netascii"), options }),
  fc.record({ kind: fc.constant("oack" as const), options }),
  fc.record({ kind: fc.constant("ack" as const), block: number16 }),
  fc.record({ kind: fc.constant("error" as const), errorCode: number16, message: text }),
  fc.record({
    kind: fc.constant("data" as const),
    block: number16,
    data: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
  }),
);

function decodesOrRefuses(bytes: Buffer): void {
  try {
    decode(bytes);
  } catch (error) {
    if (!(error instanceof TftpError) || error.code !== "MalformedPacket") throw error;
  }
}

describe("tftp packets, fuzzed", () => {
  it("never throws anything untyped", () => {
    const anything = fc.uint8Array({ maxLength: 80 });
    const withOpcode = fc
      .tuple(fc.integer({ min: 0, max: 7 }), anything)
      .map(([op, tail]) => Uint8Array.from([0, op, ...tail]));
    fc.assert(
      fc.property(fc.oneof(anything, withOpcode), (bytes) => decodesOrRefuses(Buffer.from(bytes))),
      { numRuns: 500 },
    );
  });

  it("round trip", () => {
    fc.assert(
      fc.property(packet, (p) => void expect(decode(encode(p))).to.deep.equal(p)),
      { numRuns: 300 },
    );
  });

  it("is safe when cut at every byte", () => {
    fc.assert(
      fc.property(packet, (p) => {
        const bytes = encode(p);
        for (let cut = 0; cut < Math.min(bytes.length, 120); cut++) decodesOrRefuses(bytes.subarray(0, cut));
      }),
      { numRuns: 50 },
    );
  });

  it("no name leads out of the root", () => {
    const part = fc.constantFrom("..", ".", "a", "/", "\\", "srv", "tftp", "...", "%2e", " ");
    const root = { path: "/srv/tftp", prefixes: [["srv", "tftp"]] };
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        try {
          const path = new URL(`file:///srv/tftp/${encodeURI(relativePath(root, parts.join("")))}`).pathname;
          expect(isInside("/srv/tftp", path)).to.equal(true);
        } catch (error) {
          if (!(error instanceof TftpError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
