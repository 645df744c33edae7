// Lost, doubled and reordered packets between our client and our server, by seed; the seed is in each test's name.
import { expect } from "chai";
import { get } from "../../src/index.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { LossyProxy } from "../lossy-proxy.ts";
import { noise, type ServedFolder, serveFolder, until } from "../served-folder.ts";

describe("tftp through a bad network", () => {
  const closing = closeAfterEach();
  let folder: ServedFolder;
  beforeEach(async () => {
    // A session whose last ACK is lost after the client has gone cannot learn that: its pauses, doubled each time, add up to
    // 2 minutes. Its deadline ends it within the 15 s that the test waits.
    folder = await serveFolder({ timeoutMs: 15, retries: 12, transferDeadlineMs: 10_000 });
  });
  afterEach(() => folder.close());

  for (const [seed, windowSize, blockSize] of [
    [1, 1, 512],
    [2, 4, 1024],
    [3, 16, 1468],
    [4, 64, 256],
  ] as const) {
    it(`20% lost, 20% doubled, 10% late each way: seed ${seed}, window ${windowSize}, block ${blockSize}`, async () => {
      const faults = { seed, loss: 0.2, duplicates: 0.2, reorder: 0.1 };
      const proxy = closing(await LossyProxy.open(folder.port, faults));
      const bytes = noise(40 * blockSize + 7);
      await folder.write("f", bytes);
      const options = { blockSize, windowSize, timeoutMs: 25, retries: 12, dallyMs: 300, deadlineMs: 15_000 };
      const got = await get({ address: "127.0.0.1", port: proxy.port, file: "f", ...options });
      expect(got.equals(bytes)).to.equal(true);
      expect(proxy.lost, "lost").to.be.greaterThan(0);
      expect(proxy.duplicated, "doubled").to.be.greaterThan(0);
      await until("the server's sessions to end", () => folder.server.activeTransfers === 0, 15_000);
    });
  }

  it("doubling everything sends nothing twice: no Sorcerer's Apprentice (RFC 1123 4.2.3.1)", async () => {
    const calm = closing(await serveFolder());
    const proxy = closing(await LossyProxy.open(calm.port, { seed: 5, loss: 0, duplicates: 1, reorder: 0 }));
    const bytes = noise(300 * 512);
    await calm.write("f", bytes);
    const got = await get({ address: "127.0.0.1", port: proxy.port, file: "f", dallyMs: 200 });
    expect(got.equals(bytes)).to.equal(true);
    await until("the end", () => calm.events.some((event) => event.kind === "end"));
    expect(calm.events.find((event) => event.kind === "end")).to.include({ retransmits: 0, bytes: bytes.length });
  });
});
