// The framer: PDUs split at every byte, placement, padding, additional header segments, and hostile lengths.
import { expect } from "chai";
import { ProtocolError } from "./errors.ts";
import { Framer } from "./framer.ts";

/** A PDU put together by hand, not by our encoders: opcode, AHS words, data. */
function rawPdu(opcode: number, data: Buffer, ahsWords = 0): Buffer {
  const header = Buffer.alloc(48);
  header[0] = opcode;
  header[4] = ahsWords;
  header[5] = data.length >> 16;
  header[6] = (data.length >> 8) & 0xff;
  header[7] = data.length & 0xff;
  const padding = (4 - (data.length % 4)) % 4;
  return Buffer.concat([header, Buffer.alloc(ahsWords * 4, 0xaa), data, Buffer.alloc(padding, 0xbb)]);
}

const stream = Buffer.concat([
  rawPdu(0x20, Buffer.alloc(0)),
  rawPdu(0x25, Buffer.from("abcde")),
  rawPdu(0x21, Buffer.from("xyzw"), 2),
  rawPdu(0x3f, Buffer.alloc(0), 1),
  rawPdu(0x24, Buffer.from("k=v\0")),
]);
const expected = ["32:", "37:abcde", "33:xyzw", "63:", "36:k=v\0"];

function collect(chunks: Buffer[]): { seen: string[]; framer: Framer } {
  const seen: string[] = [];
  const framer = new Framer({ onPdu: (header, data) => seen.push(`${header[0]}:${data.toString()}`) }, 1024);
  for (const chunk of chunks) {
    // The receive buffer is reused by the connection: what the framer kept must survive that.
    const reused = Buffer.from(chunk);
    framer.push(reused);
    reused.fill(0xee);
  }
  return { seen, framer };
}

describe("Framer", () => {
  it("finds the same PDUs wherever the stream is cut in two", () => {
    for (let cut = 0; cut <= stream.length; cut += 1)
      expect(collect([stream.subarray(0, cut), stream.subarray(cut)]).seen, `cut at ${cut}`).to.deep.equal(expected);
  });

  it("finds them byte by byte and ends at a boundary", () => {
    const { seen, framer } = collect([...stream].map((byte) => Buffer.from([byte])));
    expect(seen).to.deep.equal(expected);
    expect(framer.isAtBoundary).to.equal(true);
    framer.push(Buffer.alloc(1));
    expect(framer.isAtBoundary).to.equal(false);
  });

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
});
