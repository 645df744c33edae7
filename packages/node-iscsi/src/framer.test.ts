// The framer: PDUs split at every byte, digests, pauses, placement, padding, additional header segments, and hostile lengths.
import { expect } from "chai";
import fc from "fast-check";
import { ProtocolError } from "./errors.ts";
import { DigestError, type Digests, Framer } from "./framer.ts";

/** CRC32C from its definition, bit by bit, as bytes on the wire (RFC 7143 13.1). */
function digestOf(data: Uint8Array): Buffer {
  let state = 0xffffffff;
  for (const byte of data) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit += 1) state = (state >>> 1) ^ ((state & 1) === 0 ? 0 : 0x82f63b78);
  }
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(~state >>> 0);
  return digest;
}

const NONE: Digests = { header: false, data: false };
const BOTH: Digests = { header: true, data: true };

/** A PDU put together by hand, not by our encoders: opcode, AHS words, data, digests. */
function rawPdu(opcode: number, data: Buffer, ahsWords = 0, digests = NONE): Buffer {
  const header = Buffer.alloc(48 + ahsWords * 4, 0xaa);
  header.fill(0, 0, 48);
  header[0] = opcode;
  header[4] = ahsWords;
  header[5] = data.length >> 16;
  header[6] = (data.length >> 8) & 0xff;
  header[7] = data.length & 0xff;
  const padded = Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4, 0xbb)]);
  const digest = (isOn: boolean, bytes: Buffer) => (isOn && bytes.length > 0 ? digestOf(bytes) : Buffer.alloc(0));
  return Buffer.concat([header, digest(digests.header, header), padded, digest(digests.data, padded)]);
}

const streamWith = (digests: Digests) =>
  Buffer.concat([
    rawPdu(0x20, Buffer.alloc(0), 0, digests),
    rawPdu(0x25, Buffer.from("abcde"), 0, digests),
    rawPdu(0x21, Buffer.from("xyzw"), 2, digests),
    rawPdu(0x3f, Buffer.alloc(0), 1, digests),
    rawPdu(0x24, Buffer.from("k=v\0"), 0, digests),
  ]);
const expected = ["32:", "37:abcde", "33:xyzw", "63:", "36:k=v\0"];

function collect(chunks: Buffer[], digests = NONE): { seen: string[]; framer: Framer } {
  const seen: string[] = [];
  const framer = new Framer({ onPdu: (header, data) => seen.push(`${header[0]}:${data.toString()}`) }, 1024);
  framer.resume(digests);
  for (const chunk of chunks) {
    // The receive buffer is reused by the connection: what the framer kept must survive that.
    const reused = Buffer.from(chunk);
    framer.push(reused);
    reused.fill(0xee);
  }
  return { seen, framer };
}

for (const digests of [NONE, { header: true, data: false }, { header: false, data: true }, BOTH]) {
  describe(`Framer, digests of header: ${digests.header}, of data: ${digests.data}`, () => {
    const stream = streamWith(digests);

    it("finds the same PDUs wherever the stream is cut in two", () => {
      for (let cut = 0; cut <= stream.length; cut += 1)
        expect(collect([stream.subarray(0, cut), stream.subarray(cut)], digests).seen, `cut at ${cut}`).to.deep.equal(
          expected,
        );
    });

    it("finds them byte by byte and ends at a boundary", () => {
      const { seen, framer } = collect(
        [...stream].map((byte) => Buffer.from([byte])),
        digests,
      );
      expect(seen).to.deep.equal(expected);
      expect(framer.isAtBoundary).to.equal(true);
      framer.push(Buffer.alloc(1));
      expect(framer.isAtBoundary).to.equal(false);
    });

    it("keeps what follows a pause, wherever the chunks end, and goes on with the digests it is then told", () => {
      // The PDU before the pause is a Login Response: no digests, and here with padding (its text has 5 bytes).
      const all = Buffer.concat([rawPdu(0x23, Buffer.from("a=bc\0")), stream]);
      for (let cut = 1; cut < all.length; cut += 1) {
        const seen: string[] = [];
        const onPdu = (header: Buffer, data: Buffer) => {
          seen.push(`${header[0]}:${data.toString()}`);
          if (header[0] === 0x23) framer.pause();
        };
        const framer = new Framer({ onPdu }, 1024);
        const first = Buffer.from(all.subarray(0, cut));
        framer.push(first);
        first.fill(0xee);
        if (cut % 2 === 0 && framer.isPaused) framer.resume(digests);
        framer.push(Buffer.from(all.subarray(cut)));
        if (framer.isPaused) {
          expect(seen, `cut at ${cut}`).to.deep.equal(["35:a=bc\0"]);
          framer.resume(digests);
        }
        expect(seen, `cut at ${cut}`).to.deep.equal(["35:a=bc\0", ...expected]);
      }
    });

    it("never allocates above its limit and never loses count, whatever comes", () => {
      const chunks = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 });
      const property = fc.property(chunks, (pieces) => {
        let total = 0;
        const onPdu = (_header: Buffer, data: Buffer) => {
          expect(data.length).to.be.at.most(256);
          total += 48 + data.length;
        };
        const framer = new Framer({ onPdu }, 256);
        framer.resume(digests);
        try {
          for (const piece of pieces) framer.push(Buffer.from(piece));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
        expect(total).to.be.at.most(pieces.reduce((sum, piece) => sum + piece.length, 0));
      });
      fc.assert(property);
    });
  });
}

describe("Framer", () => {
  it("writes data where the sink wants it", () => {
    const destination = Buffer.alloc(10);
    let data: Buffer | undefined;
    const sink = { placeData: () => destination.subarray(2), onPdu: (_header: Buffer, got: Buffer) => (data = got) };
    new Framer(sink, 64).push(rawPdu(0x25, Buffer.from("12345")));
    expect(destination.toString("latin1", 2, 7)).to.equal("12345");
    expect(data?.buffer).to.equal(destination.buffer);
    expect(data?.length).to.equal(5);
  });

  it("refuses a data segment above the limit before allocating, and everything after it", () => {
    const framer = new Framer({ onPdu: () => undefined }, 1024);
    const header = Buffer.alloc(48);
    header.writeUInt32BE(0x00ffffff, 4);
    expect(() => framer.push(header)).to.throw(ProtocolError, "16777215 bytes");
    expect(() => framer.push(rawPdu(0x20, Buffer.alloc(0)))).to.throw(ProtocolError);
  });

  it("finds one flipped bit anywhere under a digest, names digest and opcode, and delivers nothing of that PDU", () => {
    const pdu = rawPdu(0x25, Buffer.from("abcde"), 1, BOTH);
    for (let at = 0; at < pdu.length; at += 1) {
      // Byte 4, the length of the additional headers, moves the digest itself: more bytes are awaited, which is tested below.
      if (at === 4) continue;
      const damaged = Buffer.from(pdu);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const headerEnd = 48 + 4 + 4;
      const opcode = at === 0 ? "opcode 0x35" : "Data-?In";
      const reason = new RegExp(`the ${at < headerEnd ? "header" : "data"} digest of a ${opcode} is wrong`);
      const seen: string[] = [];
      const framer = new Framer({ onPdu: () => seen.push("PDU") }, 1024);
      framer.resume(BOTH);
      expect(() => framer.push(damaged), `byte ${at}`).to.throw(DigestError, reason);
      expect(seen).to.deep.equal([]);
    }
  });

  it("checks the header's digest before it believes the length of the data", () => {
    const pdu = rawPdu(0x25, Buffer.from("abcd"), 0, BOTH);
    pdu[5] = 0xff;
    let isPlaced = false;
    const placeData = () => {
      isPlaced = true;
      return undefined;
    };
    const framer = new Framer({ placeData, onPdu: () => undefined }, 1024);
    framer.resume(BOTH);
    expect(() => framer.push(pdu)).to.throw(DigestError, "header digest");
    expect(isPlaced).to.equal(false);
  });

  it("a damaged length of the additional headers is found when the digest it points to came", () => {
    const pdu = rawPdu(0x25, Buffer.from("abcd"), 0, BOTH);
    pdu[4] = 1;
    const framer = new Framer({ onPdu: () => undefined }, 1024);
    framer.resume(BOTH);
    expect(() => framer.push(pdu)).to.throw(DigestError, "header digest");
  });

  it("keeps no more than its limit while paused", () => {
    const framer = new Framer({ onPdu: () => framer.pause() }, 1024);
    framer.push(rawPdu(0x20, Buffer.alloc(0)));
    framer.push(Buffer.alloc(1024 * 1024));
    expect(() => framer.push(Buffer.alloc(1))).to.throw(ProtocolError, "paused");
  });
});
