// Peers that misbehave, against our server: doubled ACKs, strangers, silence, repeated requests, nonsense.
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { closeAfterEach } from "../close-after-each.ts";
import { RawPeer, rrq } from "../raw-peer.ts";
import { noise, type ServedFolder, serveFolder, until } from "../served-folder.ts";

const ack = (block: number) => `0004${block.toString(16).padStart(4, "0")}`;

const udpSockets = () => process.getActiveResourcesInfo().filter((name) => name === "UDPWrap").length;

async function openFilesUnder(folder: string): Promise<number> {
  const fds = await readdir("/proc/self/fd");
  const links = await Promise.all(fds.map((fd) => readlink(join("/proc/self/fd", fd)).catch(() => "")));
  return links.filter((link) => link.startsWith(folder)).length;
}

describe("tftp server and bad peers", () => {
  const closing = closeAfterEach();
  let folder: ServedFolder;
  let peer: RawPeer;
  beforeEach(async () => {
    folder = await serveFolder({ timeoutMs: 1000, drainMs: 0 });
    peer = await RawPeer.open();
  });
  afterEach(async () => {
    await peer.close();
    await folder.close();
  });

  it("each block goes once although every ACK comes three times", async () => {
    await folder.write("f", noise(21 * 512));
    peer.say(rrq("f", "octet"), folder.port);
    for (let block = 1; block <= 22; block++) {
      const { hex, port } = await peer.hears(block - 1);
      expect(hex.slice(0, 8)).to.equal(`0003${block.toString(16).padStart(4, "0")}`);
      for (let copy = 0; copy < 3; copy++) peer.say(ack(block), port);
    }
    await until("the end", () => folder.events.at(-1)?.kind === "end");
    expect(peer.heard).to.have.length(22);
    expect(folder.events.at(-1)).to.include({ retransmits: 0 });
  });

  it("a stranger's ERROR and ACK change nothing; he hears error 5, and nothing for his ERROR", async () => {
    await folder.write("f", noise(512));
    peer.say(rrq("f", "octet"), folder.port);
    const { port } = await peer.hears(0);
    const stranger = closing(await RawPeer.open());
    stranger.say("0005 0000 62796500", port);
    stranger.say(ack(1), port);
    expect((await stranger.hears(0)).hex).to.match(/^00050005/);
    peer.say(ack(1), port);
    expect((await peer.hears(1)).hex).to.equal("00030002");
    peer.say(ack(2), port);
    await until("the end", () => folder.events.at(-1)?.kind === "end");
    expect(stranger.heard).to.have.length(1);
  });

  it("a peer that vanishes is given up after its retries; socket and file are closed", async () => {
    const hasty = closing(await serveFolder({ timeoutMs: 10, retries: 2 }));
    await hasty.write("f", noise(5000));
    const before = udpSockets();
    peer.say(rrq("f", "octet", "windowsize", "4"), hasty.port);
    peer.say(ack(0), (await peer.hears(0)).port);
    expect(await openFilesUnder(hasty.root), "open during the transfer").to.equal(1);
    await until("the error", () => hasty.events.at(-1)?.kind === "error");
    const { error, retransmits } = hasty.events.at(-1)!;
    expect(error).to.include({ code: "Timeout", file: "f" });
    expect(error!.message).to.match(/stopped answering; 2 retries were spent \(0 of 5000 bytes/);
    expect(retransmits).to.equal(8);
    await until("the session to be gone", () => hasty.server.activeTransfers === 0);
    // OACK, three times a window of 4, and the ERROR that says so.
    expect(peer.heard).to.have.length(14);
    expect(await openFilesUnder(hasty.root)).to.equal(0);
    expect(udpSockets()).to.be.at.most(before);
  });

  it("a transfer that outlasts its deadline is ended", async () => {
    const short = closing(await serveFolder({ transferDeadlineMs: 30 }));
    await short.write("f", noise(5000));
    peer.say(rrq("f", "octet"), short.port);
    await until("the error", () => short.events.at(-1)?.kind === "error");
    expect(short.events.at(-1)!.error).to.include({ code: "DeadlineExceeded" });
  });

  it("the same request again from the same port starts nothing; another one replaces the transfer silently", async () => {
    await folder.write("f", noise(5000));
    await folder.write("g", "g");
    peer.say(rrq("f", "octet"), folder.port);
    const first = await peer.hears(0);
    peer.say(rrq("f", "octet"), folder.port);
    peer.say(ack(1), first.port);
    expect((await peer.hears(1)).port).to.equal(first.port);
    peer.say(rrq("f", "octet"), folder.port);
    peer.say(rrq("g", "octet"), folder.port);
    const other = await peer.hears(2);
    expect(other.hex).to.equal("0003000167");
    expect(other.port).to.not.equal(first.port);
    expect(folder.events.filter((event) => event.kind === "start")).to.have.length(2);
    expect(folder.events.find((event) => event.kind === "error")!.error).to.include({ code: "Superseded" });
  });

  it("a node that was power-cycled in mid-transfer is served anew on the same port", async () => {
    const quick = closing(await serveFolder({ timeoutMs: 20, retries: 20, drainMs: 0 }));
    await quick.write("f", noise(5000));
    peer.say(rrq("f", "octet"), quick.port);
    const first = await peer.hears(0);
    peer.say(ack(1), first.port);
    await until("a fresh transfer", () => {
      peer.say(rrq("f", "octet"), quick.port);
      return peer.heard.some(({ port, hex }) => port !== first.port && hex.startsWith("00030001"));
    });
  });

  it("requests beyond maxTransfers are dropped and reported, and served later", async () => {
    const small = closing(await serveFolder({ maxTransfers: 1, drainMs: 0 }));
    await small.write("f", "f");
    peer.say(rrq("f", "octet"), small.port);
    const { port } = await peer.hears(0);
    const second = closing(await RawPeer.open());
    second.say(rrq("f", "octet"), small.port);
    await until("the drop", () => small.events.some((event) => event.error?.code === "Busy"));
    expect(second.heard).to.have.length(0);
    peer.say(ack(1), port);
    await until("the first to end", () => small.server.activeTransfers === 0);
    second.say(rrq("f", "octet"), small.port);
    expect((await second.hears(0)).hex).to.equal("0003000166");
  });

  it("writes, folders, bad modes and torn requests get their error number, noise gets nothing", async () => {
    const cases: [name: string, bytes: Buffer, number: string][] = [
      ["WRQ", Buffer.from("\0\x02f\0octet\0"), "0002"],
      ["climbing out", rrq("../etc/passwd", "octet"), "0002"],
      ["the root", rrq("/", "octet"), "0001"],
      ["missing", rrq("none", "octet"), "0001"],
      ["mail", rrq("f", "mail"), "0004"],
      ["torn", Buffer.from("\0\x01f"), "0004"],
    ];
    await folder.write("f", "f");
    for (const bytes of ["", "00", "0004 0001", "0005 0001 00", "0009 0000"]) peer.say(bytes, folder.port);
    for (const [index, [name, bytes, number]] of cases.entries()) {
      peer.say(bytes, folder.port);
      expect((await peer.hears(index)).hex.slice(0, 8), name).to.equal(`0005${number}`);
      await until("the session to be gone", () => folder.server.activeTransfers === 0);
    }
    expect(peer.heard).to.have.length(cases.length);
    expect(folder.events.map((event) => event.kind)).to.deep.equal(cases.map(() => "error"));
  });

  it("a packet that is out of place from the right port ends the transfer with error 4", async () => {
    await folder.write("f", "f");
    peer.say(rrq("f", "octet"), folder.port);
    peer.say("0003 0001 00", (await peer.hears(0)).port);
    expect((await peer.hears(1)).hex).to.match(/^00050004/);
    await until("the error", () => folder.events.at(-1)?.error?.code === "IllegalOperation");
  });

  it("netascii is translated, with tsize to match; a large file in it is refused politely", async () => {
    await folder.write("f", "a\nb\r");
    peer.say(rrq("f", "netascii", "tsize", "0"), folder.port);
    const { hex, port } = await peer.hears(0);
    expect(hex).to.equal(`0006${Buffer.from("tsize\x006\0").toString("hex")}`);
    peer.say(ack(0), port);
    expect((await peer.hears(1)).hex).to.equal("00030001610d0a620d00");
    peer.say(ack(1), port);
    await until("the end", () => folder.server.activeTransfers === 0);
    await folder.write("f", noise(1024 * 1024 + 1));
    peer.say(rrq("f", "netascii"), folder.port);
    const refusal = (await peer.hears(2)).hex;
    expect(refusal.slice(0, 8)).to.equal("00050000");
    expect(Buffer.from(refusal.slice(8), "hex").toString()).to.match(/^netascii .* use mode octet/);
  });

  it("an observer that throws harms nobody", async () => {
    const errors: string[] = [];
    const onTransfer = () => {
      throw new Error("observer");
    };
    const odd = closing(await serveFolder({ onTransfer, onError: (error) => errors.push(error.message) }));
    await odd.write("f", "f");
    peer.say(rrq("f", "octet"), odd.port);
    peer.say(ack(1), (await peer.hears(0)).port);
    await until("both events", () => errors.length === 2);
    expect(errors[0]).to.equal("onTransfer threw: observer");
  });
});
