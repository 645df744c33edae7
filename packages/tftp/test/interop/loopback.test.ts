// Our client against our server over real sockets: sizes, options, roll-over, refusals, closing.
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { get, TftpError, type TransferEvent } from "../../src/index.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { noise, type ServedFolder, serveFolder, sha256, until } from "../served-folder.ts";

async function failure(promise: Promise<unknown>): Promise<TftpError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof TftpError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("tftp, our client and our server", () => {
  const closing = closeAfterEach();
  let folder: ServedFolder;
  const read = (file: string, options = {}) =>
    get({ address: "127.0.0.1", port: folder.port, file, dallyMs: 0, deadlineMs: 15_000, ...options });

  beforeEach(async () => {
    folder = await serveFolder({ maxBlockSize: 65464 });
  });
  afterEach(() => folder.close());

  for (const size of [0, 1, 511, 512, 513, 1024, 100_000, 128 * 1024, 1_000_000]) {
    it(`${size} bytes, lock step and windows`, async () => {
      const bytes = noise(size);
      await folder.write("f", bytes);
      expect((await read("f")).equals(bytes), "512").to.equal(true);
      expect((await read("f", { requestSize: false })).equals(bytes), "no options").to.equal(true);
      expect((await read("f", { blockSize: 1468, windowSize: 16 })).equals(bytes), "window").to.equal(true);
    });
  }

  it("block numbers roll over: 65535 x 512 bytes and more", async () => {
    const bytes = noise(65_537 * 512 + 100);
    await folder.write("big", bytes);
    expect(sha256(await read("big", { requestSize: false }))).to.equal(sha256(bytes));
  });

  it("rolls over at blksize 8 with a window across the edge, and at an exact multiple", async () => {
    const bytes = noise(65_540 * 8);
    await folder.write("big", bytes);
    expect((await read("big", { blockSize: 8, windowSize: 64 })).equals(bytes)).to.equal(true);
  });

  it("the largest block, in a window cut to what a socket buffer holds", async () => {
    const bytes = noise(300_000);
    await folder.write("f", bytes);
    expect((await read("f", { blockSize: 65464, windowSize: 50 })).equals(bytes)).to.equal(true);
    await until("the end", () => folder.events.length === 2);
    expect(folder.events.at(-1)).to.include({ kind: "end", blockSize: 65464, windowSize: 2 });
  });

  it("reports start and end with size, options and duration", async () => {
    await folder.write("f", noise(5000));
    await read("f", { blockSize: 1024, windowSize: 3 });
    await until("the end", () => folder.events.length === 2);
    expect(folder.events[0]).to.include({ kind: "start", file: "f", bytes: 0, sizeBytes: 5000, retransmits: 0 });
    expect(folder.events[1]).to.include({ kind: "end", bytes: 5000, blockSize: 1024, windowSize: 3, retransmits: 0 });
    expect(folder.events[1]!.durationMs).to.be.greaterThan(0);
  });

  it("a missing file is error 1 to the client and one event to the server, which lives on", async () => {
    const missing = await failure(read("nothing"));
    expect(missing).to.include({ code: "PeerError", tftpCode: 1, file: "nothing" });
    expect(missing.message).to.match(/"nothing" from 127\.0\.0\.1:\d+: error 1/);
    expect(folder.events).to.have.length(1);
    expect(folder.events[0]).to.include({ kind: "error", file: "nothing", sizeBytes: 0 });
    expect(folder.events[0]!.error).to.include({ code: "NotFound" });
    await folder.write("f", "x");
    expect((await read("f")).toString()).to.equal("x");
  });

  it("goes on with the open file when it is replaced during the transfer", async () => {
    const bytes = noise(2_000_000);
    await folder.write("f", bytes);
    await folder.write("new", "new");
    let replaced: Promise<void> | undefined;
    const onTransfer = ({ kind }: TransferEvent) => {
      if (kind === "start") replaced = rename(join(folder.root, "new"), join(folder.root, "f"));
    };
    const swapper = closing(await serveFolder({ root: folder.root, onTransfer }));
    expect((await read("f", { port: swapper.port })).equals(bytes)).to.equal(true);
    await replaced;
    expect((await stat(join(folder.root, "f"))).size).to.equal(3);
  });

  it("100 transfers at a time", async () => {
    const files = Array.from({ length: 10 }, (_, i) => noise(50_000 + i * 1468));
    await Promise.all(files.map((bytes, i) => folder.write(`f${i}`, bytes)));
    const got = await Promise.all(
      Array.from({ length: 100 }, (_, i) => read(`f${i % 10}`, { blockSize: 1468, windowSize: (i % 4) + 1 })),
    );
    got.forEach((bytes, i) => {
      expect(bytes.equals(files[i % 10]!), `transfer ${i}`).to.equal(true);
    });
    await until("all sessions to be gone", () => folder.server.activeTransfers === 0);
  });

  it("close drains what is under way and takes nothing new; a second close is the same", async () => {
    const bytes = noise(3_000_000);
    await folder.write("f", bytes);
    const reading = read("f", { blockSize: 1468 });
    await until("the start", () => folder.events.length === 1);
    const closing = folder.server.close();
    expect((await failure(read("f", { timeoutMs: 20, retries: 1 }))).code).to.equal("Timeout");
    expect((await reading).equals(bytes)).to.equal(true);
    await closing;
    expect(folder.server.activeTransfers).to.equal(0);
    await folder.server.close();
  });

  it("a signal ends server and client at once", async () => {
    const stop = new AbortController();
    const other = closing(await serveFolder({ signal: stop.signal, drainMs: 60_000 }));
    await other.write("f", noise(30_000_000));
    const reading = failure(read("f", { port: other.port }));
    await until("the start", () => other.events.length === 1);
    stop.abort();
    expect(await reading).to.include({ code: "PeerError", tftpCode: 0 });
    await other.close();
    expect(other.events.at(-1)!.error).to.include({ code: "Aborted" });

    await folder.write("f", noise(30_000_000));
    const mine = new AbortController();
    const cancelled = failure(read("f", { signal: mine.signal }));
    await until("the start", () => folder.events.length > 0);
    mine.abort();
    expect((await cancelled).code).to.equal("Aborted");
    await until("the server to know", () => folder.server.activeTransfers === 0);
    expect(folder.events.at(-1)!.error).to.include({ code: "PeerError", tftpCode: 0 });
  });

  it("refuses a file longer than maxBytes from its tsize, and unusable arguments", async () => {
    await folder.write("f", noise(5000));
    expect((await failure(read("f", { maxBytes: 4999 }))).code).to.equal("TooLarge");
    expect((await failure(read("f", { maxBytes: 4999, requestSize: false }))).code).to.equal("TooLarge");
    expect((await failure(read("f", { blockSize: 7 }))).code).to.equal("BadInput");
    expect((await failure(read("f", { address: "localhost" }))).code).to.equal("BadInput");
    expect((await failure(serveFolder({ root: "/nonexistent/tftp" }))).message).to.match(/create it/);
    expect((await failure(serveFolder({ maxBlockSize: 4 }))).message).to.match(/maxBlockSize/);
    expect((await failure(serveFolder({ port: folder.port }))).code).to.equal("SocketFailed");
  });
});
