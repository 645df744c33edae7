// The codec against bytes from real clients and from the RFCs' own packet pictures, both ways.
import { expect } from "chai";
import { TftpError } from "./errors.ts";
import { dataHeader, decode, encode, type Packet } from "./packet.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Each with its source. The RFC pictures give fields and texts; the bytes were written out from them by hand. */
const VECTORS: [source: string, bytes: string, packet: Packet][] = [
  [
    "captured: tftp-hpa 5.2 `tftp -m binary 127.0.0.1 PORT -c get pxelinux.0`",
    "0001 7078656c696e75782e30 00 6f63746574 00",
    { kind: "rrq", file: "pxelinux.0", mode: "octet", options: [] },
  ],
  [
    "captured: atftp 0.8.0 with --option 'blksize 1428', 'tsize 0', 'windowsize 8'",
    "00017078656c696e75782e30006f63746574007473697a65003000626c6b73697a6500313432380077696e646f7773697a65003800",
    {
      kind: "rrq",
      file: "pxelinux.0",
      mode: "octet",
      options: [
        ["tsize", "0"],
        ["blksize", "1428"],
        ["windowsize", "8"],
      ],
    },
  ],
  [
    "RFC 2348, read request example: foobar, octet, blksize 1428",
    "0001 666f6f626172 00 6f63746574 00 626c6b73697a65 00 31343238 00",
    { kind: "rrq", file: "foobar", mode: "octet", options: [["blksize", "1428"]] },
  ],
  [
    "RFC 1350 figure 5-1 with opcode 2: a write request in netascii",
    "0002 61 00 6e65746173636969 00",
    { kind: "wrq", file: "a", mode: "netascii", options: [] },
  ],
  ["RFC 1350 figure 5-2: DATA", "0003 fffe 0102", { kind: "data", block: 0xfffe, data: Buffer.from([1, 2]) }],
  ["RFC 1350 figure 5-2: an empty last DATA", "0003 0002", { kind: "data", block: 2, data: Buffer.alloc(0) }],
  ["RFC 1350 figure 5-3; captured from tftp-hpa 5.2", "0004 0001", { kind: "ack", block: 1 }],
  [
    "RFC 1350 figure 5-4: ERROR 1 with the appendix's text",
    "0005 0001 46696c65206e6f7420666f756e642e 00",
    { kind: "error", errorCode: 1, message: "File not found." },
  ],
  [
    "RFC 2347 section 3: OACK, with the option of RFC 7440 section 3",
    "0006 77696e646f7773697a65 00 3136 00",
    { kind: "oack", options: [["windowsize", "16"]] },
  ],
];

describe("tftp packets", () => {
  for (const [source, bytes, packet] of VECTORS) {
    it(`${packet.kind}: ${source}`, () => {
      expect(decode(hex(bytes))).to.deep.equal(packet);
      expect(encode(packet).toString("hex")).to.equal(hex(bytes).toString("hex"));
    });
  }

  it("dataHeader is the first half of DATA", () => {
    expect(dataHeader(0x0102).toString("hex")).to.equal("00030102");
  });

  it("reads the mode without case, and keeps the spelling of options", () => {
    const packet = decode(hex("0001 61 00 4f43544554 00 424c4b53495a45 00 38 00"));
    expect(packet).to.deep.equal({ kind: "rrq", file: "a", mode: "octet", options: [["BLKSIZE", "8"]] });
  });

  it("bears what firmware sends: padding after a request, an ACK with a tail, an ERROR without its NUL", () => {
    expect(decode(hex("0001 61 00 6f63746574 00 0000000000"))).to.deep.include({ file: "a", options: [] });
    expect(decode(hex("0001 61 00 6f63746574 00 7473697a65 00 30"))).to.deep.include({ options: [] });
    expect(decode(hex("0004 0007 00000000"))).to.deep.equal({ kind: "ack", block: 7 });
    expect(decode(hex("0005 0000 6162"))).to.deep.equal({ kind: "error", errorCode: 0, message: "ab" });
    expect(decode(hex("0005 0000"))).to.deep.equal({ kind: "error", errorCode: 0, message: "" });
  });

  it("refuses everything else with MalformedPacket", () => {
    const bad = [
      "",
      "00",
      "0000",
      "0007 0000",
      "0100 0001",
      "0003",
      "0003 00",
      "0004 01",
      "0005",
      "0001",
      "0001 00 00",
      "0001 6162",
      "0001 61 00 6f",
    ];
    for (const bytes of bad) {
      expect(() => decode(hex(bytes)), bytes)
        .to.throw(TftpError)
        .with.property("code", "MalformedPacket");
    }
    const options = Buffer.concat([hex("0001 61 00 6f63746574 00"), Buffer.from("n\0v\0".repeat(33))]);
    expect(() => decode(options)).to.throw(TftpError, /32 options/);
    expect(() => decode(Buffer.concat([hex("0001"), Buffer.alloc(2047, 0x61)]))).to.throw(TftpError, /2049 bytes/);
  });

  it("does not encode what can't be said", () => {
    expect(() => encode({ kind: "rrq", file: "a\0b", mode: "octet", options: [] })).to.throw(TftpError, /NUL/);
    expect(() => encode({ kind: "ack", block: 65536 })).to.throw(TftpError, /16 bits/);
  });
});
