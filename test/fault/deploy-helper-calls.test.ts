// The deploy helper's port under bad calls (S1, S2, R13): each refused as the original words it, and nothing changed.
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import type { DeploymentRecord } from "../../db/records.ts";
import type { DeployHelper } from "../../deploy-helper/deploy-helper.ts";
import { CallServer } from "../../deploy-helper/server.ts";
import { silentLogger } from "../../lib/log.ts";
import { DeployBench, post } from "../fakes/deploy-bench.ts";

describe("deploy helper: bad calls", () => {
  let bench: DeployBench;
  let helper: DeployHelper;
  let before: DeploymentRecord;
  beforeEach(async () => {
    bench = await DeployBench.open({ diskMb: 32, imageMb: 8, rootMb: 16 });
    helper = await bench.startHelper();
    before = await bench.row();
  });
  afterEach(() => bench.close());

  async function expectRefused(overrides: Record<string, string | undefined>, status: number, text: string | RegExp) {
    const answer = await post(helper.address.port, bench.call(overrides), { path: "/any/path" });
    expect(answer.status).to.equal(status);
    if (typeof text === "string") expect(answer.text).to.equal(text);
    else expect(answer.text).to.match(text);
    expect(answer.type).to.equal("text/plain");
    expect(await bench.row()).to.deep.equal(before);
    expect(bench.target.connectionCount).to.equal(0);
  }

  for (const field of ["i", "k", "a", "n"]) {
    it(`without ${field}`, () => expectRefused({ [field]: undefined }, 400, `parameter ''${field}'' is not defined`));
    it(`with a blank ${field}`, () => expectRefused({ [field]: "" }, 400, `parameter ''${field}'' is not defined`));
  }
  it("a wrong key", () => expectRefused({ k: "WRONG" }, 400, "key is not match"));
  it("the hash of the key instead of the key", () =>
    expectRefused({ k: before.deployKeyHash ?? "" }, 400, "key is not match"));
  it("an unknown id", () => expectRefused({ i: "4711" }, 404, "deployment id ''4711'' is not known"));
  for (const id of ["abc", "1e1", "-1", "1 OR 1=1", "99999999999999999999"]) {
    it(`an id like ${id}`, () => expectRefused({ i: id }, 400, "parameter ''i'' is not a deployment id"));
  }
  for (const address of ["127.0.0.2", "10.0.0.1", "::1", "localhost", "127.0.0.1:80", "0x7f000001"]) {
    it(`a foreign address: ${address}`, () =>
      expectRefused({ a: address }, 400, "parameter ''a'' is not the address of the caller"));
  }
  it("another target name", () =>
    expectRefused({ n: "iqn-other" }, 400, "parameter ''n'' is not the target name that was issued"));
  for (const port of ["0", "65536", "x", "-1", "3260;reboot"]) {
    it(`a port like ${port}`, () => expectRefused({ p: port }, 400, "parameter ''p'' is not a port number"));
  }
  it("a LUN that is none", () => expectRefused({ l: "99999" }, 400, "parameter ''l'' is not a LUN"));

  it("a right call from a foreign address is refused", async () => {
    const answer = await post(helper.address.port, bench.call(), { localAddress: "127.0.0.77" });
    expect(answer).to.include({ status: 400, text: "parameter ''a'' is not the address of the caller" });
    expect(await bench.row()).to.deep.equal(before);
  });

  for (const method of ["GET", "PUT", "DELETE"]) {
    it(`${method} is not implemented`, async () => {
      const answer = await post(helper.address.port, "", { method });
      expect(answer).to.deep.equal({ status: 501, text: "Not Implemented", type: "text/plain" });
    });
  }

  it("two calls at once: one is taken, the other's key is spent", async () => {
    const port = helper.address.port;
    const answers = await Promise.all([post(port, bench.call()), post(port, bench.call()), post(port, bench.call())]);
    expect(answers.map((answer) => answer.status).sort()).to.deep.equal([200, 400, 400]);
    expect(answers.filter((answer) => answer.status === 400).map((answer) => answer.text)).to.deep.equal([
      "key is not match",
      "key is not match",
    ]);
    expect(await bench.until(["deploy complete", "failed"])).to.include({ state: "deploy complete", attempts: 1 });
  });

  it("a used key does nothing after the deployment", async () => {
    await post(helper.address.port, bench.call());
    const row = await bench.until(["deploy complete", "failed"]);
    expect((await post(helper.address.port, bench.call())).text).to.equal("key is not match");
    expect(await bench.row()).to.deep.equal(row);
  });

  it("the ramdisk's error fails the deployment with its text", async () => {
    const answer = await post(helper.address.port, bench.call({ e: "no disk found in\n sda,vda" }));
    expect(answer).to.include({ status: 200, text: "" });
    const row = await bench.row();
    expect(row).to.include({
      state: "failed",
      error: "the deploy ramdisk reported: no disk found in  sda,vda",
      deployKeyHash: null,
    });
    expect((await post(helper.address.port, bench.call())).text).to.equal("key is not match");
  });

  it("an error text with a wrong key fails nothing", () =>
    expectRefused({ k: "X", e: "boom" }, 400, "key is not match"));

  it("an error with a key that another call has just spent fails nothing", async () => {
    const { deployments } = bench;
    // The other call comes in between the look at the row and the write.
    const current = deployments.current.bind(deployments);
    deployments.current = async (nodeId) => {
      const row = await current(nodeId);
      deployments.current = current;
      expect((await post(helper.address.port, bench.call())).status).to.equal(200);
      await bench.until(["deploying", "deploy complete"]);
      return row;
    };
    const late = await post(helper.address.port, bench.call({ e: "no disk found" }));
    expect(late).to.include({ status: 400, text: "key is not match" });
    expect(await bench.until(["deploy complete", "failed"])).to.include({ state: "deploy complete", error: null });
  });

  it("the same refusal again and again is one event", async () => {
    for (let call = 0; call < 5; call++) await expectRefused({ k: "WRONG" }, 400, "key is not match");
    await expectRefused({ p: "0" }, 400, "parameter ''p'' is not a port number");
    const events = await bench.events.list({ deploymentId: before.id });
    const refusals = events.filter((event) => event.step === "agent call").map((event) => event.message);
    expect(refusals).to.have.length(2);
  });

  it("refused and accepted calls are in the timeline, without the key", async () => {
    await post(helper.address.port, bench.call({ k: "WRONG" }));
    await post(helper.address.port, bench.call());
    const events = await bench.events.list({ deploymentId: before.id });
    const calls = events.filter((event) => event.step === "agent call");
    expect(calls.map((event) => event.kind)).to.deep.equal(["error", "info"]);
    expect(JSON.stringify(events)).to.not.include(bench.key);
    await bench.until(["deploy complete", "failed"]);
  });

  it("a body of 10 MB is refused and not read", async () => {
    const before = process.memoryUsage().rss;
    const sent = await flood(helper.address.port, 10 * 1024 * 1024, true);
    expect(sent.answer).to.match(/^HTTP\/1\.1 413 /);
    expect(sent.bytes).to.be.lessThan(10 * 1024 * 1024);
    expect(process.memoryUsage().rss - before).to.be.lessThan(64 * 1024 * 1024);
  });

  it("so is a body of unknown length that does not end", async () => {
    const sent = await flood(helper.address.port, 10 * 1024 * 1024, false);
    expect(sent.answer).to.match(/^HTTP\/1\.1 413 /);
  });
});

describe("deploy helper: slow calls", () => {
  it("a body that does not come ends in 408, and others are served meanwhile", async () => {
    const server = await CallServer.listen({
      host: "127.0.0.1",
      port: 0,
      logger: silentLogger,
      requestTimeoutMs: 300,
      receive: async () => ({ status: 200, text: "", isQueued: false }),
    });
    try {
      const slow = connect(server.address.port, "127.0.0.1");
      let text = "";
      slow.on("data", (data) => {
        text += data.toString();
      });
      slow.on("error", () => {});
      slow.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ni=1");
      const ended = once(slow, "close");
      expect((await post(server.address.port, "i=1")).status).to.equal(200);
      await ended;
      expect(text).to.match(/^HTTP\/1\.1 408 /);
    } finally {
      await server.close();
    }
  });
});

/** Sends a huge body until the other side has enough; resolves when it closed. */
async function flood(port: number, total: number, isDeclared: boolean): Promise<{ answer: string; bytes: number }> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  let bytes = 0;
  socket.on("data", (data) => {
    answer += data.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const length = isDeclared ? `Content-Length: ${total}` : "Transfer-Encoding: chunked";
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${length}\r\n\r\n`);
  const piece = Buffer.alloc(16 * 1024, "a");
  while (bytes < total && !socket.destroyed && answer === "") {
    if (!isDeclared) socket.write(`${piece.length.toString(16)}\r\n`);
    const isRoom = socket.write(isDeclared ? piece : Buffer.concat([piece, Buffer.from("\r\n")]));
    bytes += piece.length;
    if (!isRoom) await Promise.race([new Promise<void>((resolve) => socket.once("drain", resolve)), closed]);
    else await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  return { answer, bytes };
}
