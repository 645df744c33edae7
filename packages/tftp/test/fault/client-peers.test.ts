// Servers that misbehave, against our client. The server is a bare socket.
import { expect } from "chai";
import { get, TftpError } from "../../src/index.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { RawPeer } from "../raw-peer.ts";
import { until } from "../served-folder.ts";

describe("tftp client and bad servers", () => {
  const closing = closeAfterEach();
  let server: RawPeer;
  let transfer: RawPeer;
  beforeEach(async () => {
    server = await RawPeer.open();
    transfer = await RawPeer.open();
  });
  afterEach(async () => {
    await server.close();
    await transfer.close();
  });

  const start = (options = {}) => {
    const base = {
      address: "127.0.0.1",
      port: server.port,
      file: "f",
      requestSize: false,
      timeoutMs: 1000,
      dallyMs: 0,
    };
    const outcome = get({ ...base, ...options }).then(
      (bytes) => bytes.toString(),
      (error: TftpError) => error.code,
    );
    return { outcome, port: server.hears(0).then((request) => request.port) };
  };

  it("takes the first answer's port and tells another one error 5", async () => {
    const { outcome, port } = start();
    const client = await port;
    transfer.say(Buffer.concat([Buffer.from("00030001", "hex"), Buffer.alloc(512, 0x61)]), client);
    expect((await transfer.hears(0)).hex).to.equal("00040001");
    const stranger = closing(await RawPeer.open());
    stranger.say("0005 0000 62796500", client);
    stranger.say("0003 0002 62", client);
    expect((await stranger.hears(0)).hex).to.match(/^00050005/);
    transfer.say("0003 0002 63", client);
    expect(await outcome).to.equal(`${"a".repeat(512)}c`);
    expect(stranger.heard).to.have.length(1);
  });

  it("repeats its request with a doubling pause, then says that nobody answered", async () => {
    expect(await start({ timeoutMs: 10, retries: 3 }).outcome).to.equal("Timeout");
    expect(server.heard).to.have.length(4);
  });

  it("ends at its deadline however lively the server is", async () => {
    const { outcome, port } = start({ deadlineMs: 60, blockSize: 8 });
    const client = await port;
    transfer.say("0006 626c6b73697a6500 3800", client);
    for (let block = 1; transfer.heard.length < 20; block++) {
      await transfer.hears(block - 1);
      if (transfer.heard.at(-1)!.hex.startsWith("0005")) break;
      await new Promise((resolve) => setTimeout(resolve, 8));
      transfer.say(`0003 ${block.toString(16).padStart(4, "0")} 0000000000000000`, client);
    }
    expect(await outcome).to.equal("DeadlineExceeded");
  });

  it("refuses with error 8 an OACK that grants more than was asked", async () => {
    const { outcome, port } = start({ blockSize: 1024 });
    transfer.say("0006 626c6b73697a6500 3230343800", await port);
    expect(await outcome).to.equal("OptionRefused");
    expect((await transfer.hears(0)).hex).to.match(/^00050008/);
  });

  it("refuses a block longer than agreed, an ACK, and bytes that are no packet", async () => {
    for (const [bytes, code] of [
      [`00030001${"00".repeat(513)}`, "IllegalOperation"],
      ["00040000", "IllegalOperation"],
      ["00ff", "MalformedPacket"],
    ] as const) {
      const before = server.heard.length;
      const { outcome } = start();
      const { port } = await server.hears(before);
      const told = transfer.heard.length;
      transfer.say(bytes, port);
      expect(await outcome).to.equal(code);
      expect((await transfer.hears(told)).hex).to.match(/^00050004/);
    }
  });

  it("a file that ends short of its tsize is an error, not a short file", async () => {
    const { outcome, port } = start({ requestSize: true });
    const client = await port;
    transfer.say("0006 7473697a6500 313000", client);
    await transfer.hears(0);
    transfer.say("0003 0001 6162", client);
    expect(await outcome).to.equal("FileChanged");
  });

  it("acknowledges a repeated last block while it dallies", async () => {
    const { outcome, port } = start({ dallyMs: 2000 });
    const client = await port;
    transfer.say("0003 0001 61", client);
    expect(await outcome).to.equal("a");
    transfer.say("0003 0001 61", client);
    await until("the second ACK", () => transfer.heard.length === 2);
    expect(transfer.heard.map(({ hex }) => hex)).to.deep.equal(["00040001", "00040001"]);
  });

  it("names file and server in what it throws", async () => {
    try {
      await get({ address: "127.0.0.1", port: server.port, file: "f", timeoutMs: 5, retries: 0 });
      expect.fail("it resolved");
    } catch (error) {
      expect(error).to.be.instanceOf(TftpError);
      expect(error).to.deep.include({ file: "f", peer: { address: "127.0.0.1", port: server.port } });
      expect((error as Error).message).to.match(/no answer/);
    }
  });
});
