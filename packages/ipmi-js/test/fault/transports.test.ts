// Networks without a way to the BMC, and addresses that name the network they are on.
import { once } from "node:events";
import { expect } from "chai";
import { startBudget } from "../../src/budget.ts";
import { openSession } from "../../src/open-session.ts";
import { ping } from "../../src/sessionless.ts";
import { SharedSockets } from "../../src/shared-sockets.ts";
import { type Network, UdpTransport } from "../../src/transport.ts";
import { bindSocket } from "../bind-socket.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { eventually, failure } from "../failure.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";

describe("transports", () => {
  const closing = closeAfterEach();
  /** Nobody may send to it without having said so to the kernel. */
  const broadcast = { address: "255.255.255.255", ...CREDENTIALS, deadlineMs: 500, retransmitMs: 50 };

  it("an address the kernel does not connect to is an IpmiError at once, with the kernel's word", async () => {
    for (const work of [openSession(broadcast), ping(broadcast), ping({ address: "127.0.0.1", port: 70_000 })]) {
      const { code, operation, message } = await failure(work);
      expect([code, operation]).to.deep.equal(["Timeout", "open a UDP socket"]);
      expect(message).to.match(/no way to the BMC .*: (connect E[A-Z]+|Port should be)/);
    }
  });

  it("a shared socket tells the error of each send when time is up", async () => {
    const network = closing(new SharedSockets());
    const error = await failure(openSession({ ...broadcast, network }));
    expect(error.code).to.equal("Timeout");
    expect(error.message).to.match(/the network reported E[A-Z]+/);
  });

  it("a simulator that cannot listen says so, and one that cannot start leaves its port free", async () => {
    const { simulator } = await startSimulator();
    const { port } = closing(simulator);
    const taken = await failure(startSimulator({ port }));
    expect(taken.code).to.equal("InvalidArgument");
    expect(taken.message).to.contain(`cannot listen on 127.0.0.1:${port}: bind EADDRINUSE`);
    await simulator.close();
    expect((await failure(startSimulator({ port, guid: "0011" }))).message).to.contain("not 2");
    closing((await startSimulator({ port })).simulator);
  });

  it("a network that gives no transport is waited for no longer than asked; one that comes late is closed", async () => {
    const { port } = closing((await startSimulator()).simulator);
    let give = (): void => {};
    let isClosed = false;
    const network: Network = {
      connect: async (...where) => {
        await new Promise<void>((resolve) => {
          give = resolve;
        });
        const late = closing(await UdpTransport.connect(...where));
        const close = late.close.bind(late);
        late.close = () => {
          isClosed = true;
          return close();
        };
        return late;
      },
    };
    const options = { address: "127.0.0.1", port, ...CREDENTIALS, network };
    const { code, message } = await failure(openSession({ ...options, deadlineMs: 100 }));
    expect([code, message.includes("no socket within 100 ms")], message).to.deep.equal(["Timeout", true]);
    give();
    await eventually("the late one to be closed", () => isClosed);
    isClosed = false;
    const stop = new AbortController();
    const opening = failure(openSession({ ...options, signal: stop.signal }));
    stop.abort();
    expect((await opening).code).to.equal("Aborted");
    give();
    await eventually("the late one to be closed", () => isClosed);
  });

  it("a name that does not resolve is nobody's unhandled rejection when the caller had given up before", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    closing({ close: () => process.off("unhandledRejection", note) });
    const error = await failure(ping({ address: "nosuch.invalid", signal: AbortSignal.abort() }));
    expect(error.code).to.equal("Aborted");
    await failure(ping({ address: "nosuch.invalid" }));
    expect(unhandled).to.deep.equal([]);
  });

  it("what was sent before the shared sockets are closed leaves", async () => {
    const bmc = closing(await bindSocket());
    const received = once(bmc, "message", { signal: AbortSignal.timeout(5000) });
    const network = new SharedSockets();
    const transport = await network.connect("127.0.0.1", bmc.address().port, startBudget(1000));
    transport.send(Buffer.from("last words"));
    await network.close();
    expect(String((await received)[0])).to.equal("last words");
  });

  it("the zone of a link-local address reaches the kernel: there is no such address on the loopback", async () => {
    const network = closing(new SharedSockets());
    const transport = closing(await network.connect("fe80::1%lo", 623, startBudget(1000)));
    transport.send(Buffer.from([0]));
    await eventually("the kernel to refuse", () => transport.lastError !== undefined);
    expect(transport.lastError).to.be.oneOf(["ENETUNREACH", "EADDRNOTAVAIL"]);
  });
});
