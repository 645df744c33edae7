// Connection against a raw TCP peer that plays bytes put together by hand: digests, the pause after the login, what a capture sees.
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { Connection, type ConnectionListener, type WireCapture } from "../../src/connection.ts";
import { type IscsiError, TransportError } from "../../src/errors.ts";

/** Login Response with T=1, CSG=1, NSG=3, status 0 (RFC 7143 11.13): the last one; 5 bytes of text and 3 of padding. */
const FINAL_LOGIN_RESPONSE = Buffer.concat([
  Buffer.from("238700000000000580000000000000010000000000000000000000010000000100000010".padEnd(96, "0"), "hex"),
  Buffer.from("a=bc\0\0\0\0"),
]);
/** A NOP-In with 32 bytes of data (RFC 7143 11.19). */
const NOP_IN = Buffer.from("2080000000000020".padEnd(32, "0").concat("ffffffffffffffff").padEnd(96, "0"), "hex");
/** CRC32C of NOP_IN: python3 -c with the bitwise definition (poly 0x82f63b78), little endian. */
const NOP_IN_DIGEST = Buffer.from("d951b584", "hex");
/** RFC 7143 A.4: the digest of 32 zeroes. */
const ZEROES_WITH_DIGEST = Buffer.from(`${"00".repeat(32)}aa36918a`, "hex");
const BOTH = { header: true, data: true };

class Listener implements ConnectionListener {
  readonly seen: string[] = [];
  readonly closed: Promise<IscsiError>;
  #arrived: (() => void) | undefined;
  #onClosed: ((error: IscsiError) => void) | undefined;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  onPdu(header: Buffer, data: Buffer): void {
    this.seen.push(`${header[0]}:${data.length}`);
    this.#arrived?.();
  }

  onDrain(): void {}

  onClose(error: IscsiError): void {
    this.#onClosed?.(error);
  }

  async count(wanted: number): Promise<void> {
    while (this.seen.length < wanted)
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
  }
}

class RecordedWire implements WireCapture {
  readonly sentBytes: Buffer[] = [];
  readonly receivedBytes: Buffer[] = [];
  ends = 0;

  sent(bytes: Buffer): void {
    this.sentBytes.push(Buffer.from(bytes));
  }

  received(bytes: Buffer): void {
    this.receivedBytes.push(Buffer.from(bytes));
  }

  end(): void {
    this.ends += 1;
  }
}

describe("Connection and a raw peer", () => {
  let server: Server;
  let peer: Socket;
  let received: Buffer[];
  let connection: Connection;
  let wire: RecordedWire;

  beforeEach(async () => {
    server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const accepted = once(server, "connection");
    wire = new RecordedWire();
    const capture = () => wire;
    connection = await Connection.open({ address: "127.0.0.1", port, maxDataSegmentBytes: 8192, capture }, 5000);
    [peer] = (await accepted) as [Socket];
    received = [];
    peer.on("data", (chunk: Buffer) => received.push(chunk));
    peer.on("error", () => peer.destroy());
  });

  afterEach(async () => {
    peer?.destroy();
    await connection?.close();
    await new Promise((resolve) => server.close(resolve));
  });

  async function arrivedAtPeer(bytes: number): Promise<string> {
    while (Buffer.concat(received).length < bytes) await once(peer, "data");
    return Buffer.concat(received).toString("hex");
  }

  it("sends digests from the start of the full feature phase on, over header and padded data", async () => {
    const header = () => Buffer.from(NOP_IN);
    connection.send(header(), Buffer.alloc(31));
    connection.startFullFeaturePhase(BOTH);
    connection.send(header(), Buffer.alloc(31));
    connection.send(header());
    const plain = `${NOP_IN.toString("hex")}${"00".repeat(32)}`;
    const withDigests = `${NOP_IN.toString("hex")}${NOP_IN_DIGEST.toString("hex")}`;
    const expected = `${plain}${withDigests}${ZEROES_WITH_DIGEST.toString("hex")}${withDigests}`;
    expect(await arrivedAtPeer(expected.length / 2)).to.equal(expected);
    expect(Buffer.concat(wire.sentBytes).toString("hex")).to.equal(expected);
  });

  it("parses nothing after the final login response until it knows the digests, even of the same chunk", async () => {
    const early = Buffer.concat([NOP_IN, NOP_IN_DIGEST, ZEROES_WITH_DIGEST]);
    const all = Buffer.concat([FINAL_LOGIN_RESPONSE, early, early]);
    peer.write(all);
    expect((await connection.receive()).data.toString()).to.equal("a=bc\0");
    connection.startFullFeaturePhase(BOTH);
    const listener = new Listener();
    connection.attach(listener);
    peer.write(early);
    await listener.count(3);
    expect(listener.seen).to.deep.equal(["32:32", "32:32", "32:32"]);
    expect(Buffer.concat(wire.receivedBytes).equals(Buffer.concat([all, early]))).to.equal(true);
  });

  it("goes on without digests for a caller that only attaches", async () => {
    peer.write(Buffer.concat([FINAL_LOGIN_RESPONSE, NOP_IN, Buffer.alloc(32)]));
    await connection.receive();
    const listener = new Listener();
    connection.attach(listener);
    await listener.count(1);
    expect(listener.seen).to.deep.equal(["32:32"]);
  });

  for (const [digest, at] of [
    ["header", 20],
    ["header", 50],
    ["data", 60],
    ["data", 86],
  ] as const)
    it(`a wrong ${digest} digest (byte ${at}) ends the connection with a TransportError that names it`, async () => {
      connection.startFullFeaturePhase(BOTH);
      const listener = new Listener();
      connection.attach(listener);
      const pdu = Buffer.concat([NOP_IN, NOP_IN_DIGEST, ZEROES_WITH_DIGEST]);
      pdu[at] = (pdu[at] ?? 0) ^ 1;
      peer.write(pdu);
      const error = await listener.closed;
      expect(error).to.be.instanceOf(TransportError);
      expect(error.message).to.contain(`${digest} digest of a NopIn`);
      expect(listener.seen).to.deep.equal([]);
      expect(wire.ends).to.equal(1);
    });

  it("is congested while the peer does not read, and says when that is over", async () => {
    connection.startFullFeaturePhase({ header: false, data: false });
    const listener = new Listener();
    const drained = new Promise<void>((resolve) => {
      listener.onDrain = resolve;
    });
    connection.attach(listener);
    peer.pause();
    const data = Buffer.alloc(8192);
    let sent = 0;
    for (; !connection.isCongested; sent += 1) connection.send(Buffer.from(NOP_IN), data);
    expect(sent * data.length).to.be.at.most(9 * 1024 * 1024);
    peer.resume();
    await drained;
    expect(connection.isCongested).to.equal(false);
  });
});
