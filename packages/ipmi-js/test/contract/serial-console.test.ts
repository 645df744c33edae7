// The serial console against our simulator: characters both ways, who may have it, loss and return, limits.
import { expect } from "chai";
import type { IpmiError } from "../../src/errors.ts";
import type { BmcSimulatorOptions } from "../../src/simulator/simulator.ts";
import { openSerialConsole, type SerialConsoleEvent, type SerialConsoleOptions } from "../../src/sol/serial-console.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { eventually, failure } from "../failure.ts";
import { ConsoleReader, consoleBytes, SerialMachine } from "../serial-machine.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";

const FAST = {
  ...CREDENTIALS,
  retransmitMs: 100,
  retryIntervalMs: 50,
  reconnect: { firstMs: 50, maxMs: 200 },
} as const;

describe("serial console", () => {
  const closing = closeAfterEach();
  const start = async (options: Partial<BmcSimulatorOptions> = {}) => {
    const serial = new SerialMachine();
    const { simulator } = await startSimulator({ serial, ...options });
    closing(simulator);
    const { address, port } = simulator;
    const open = async (more: Partial<SerialConsoleOptions> = {}) => {
      const console = closing(await openSerialConsole({ address, port, ...FAST, ...more }));
      return { console, reader: new ConsoleReader(console) };
    };
    return { serial, simulator, open };
  };

  it("moves 100 kB each way, byte for byte", async () => {
    const { serial, open } = await start();
    const { console, reader } = await open();
    const data = consoleBytes(100_000);
    serial.print(data);
    await console.write(data);
    expect(serial.typed.equals(data)).to.equal(true);
    expect((await reader.until(data.length)).equals(data)).to.equal(true);
    await console.close();
    expect(await reader.ended).to.equal(undefined);
  });

  for (const cipherSuite of [3, 17]) {
    it(`works with cipher suite ${cipherSuite}`, async () => {
      const { serial, open } = await start();
      const { console, reader } = await open({ cipherSuites: [cipherSuite] });
      await console.write("login");
      serial.print("hello");
      expect((await reader.until(5)).toString()).to.equal("hello");
      expect(serial.typed.toString()).to.equal("login");
    });
  }

  it("keeps what the machine wrote last before anybody looked, and no more", async () => {
    const { serial, open } = await start();
    serial.print(consoleBytes(10_000));
    await new Promise((resolve) => setImmediate(resolve));
    const { reader } = await open();
    const last = consoleBytes(10_000).subarray(-4096);
    expect((await reader.until(last.length)).equals(last)).to.equal(true);
  });

  it("sends a break in its place", async () => {
    const { serial, open } = await start();
    const { console } = await open();
    await console.write("before");
    await console.sendBreak();
    expect(serial.breaks).to.equal(1);
    await console.write("after");
    expect(serial.typed.toString()).to.equal("beforeafter");
  });

  it("says that another session has the console, and takes it over when told to", async () => {
    const { serial, open } = await start();
    const { console: first, reader } = await open({ reconnect: { deadlineMs: 0 } });
    const error = await failure(open());
    expect(error.code).to.equal("ConsoleInUse");
    expect(error.completionCode).to.equal(0x80);
    expect(error.message).to.contain("in use by another session");
    const { console: second } = await open({ takeOver: true });
    const end = (await reader.ended) as IpmiError;
    expect(end.code).to.equal("Closed");
    expect(end.message).to.contain("the BMC has deactivated Serial over LAN");
    expect((await failure(first.write("x"))).message).to.contain("deactivated");
    await second.write("mine");
    expect(serial.typed.toString()).to.equal("mine");
  });

  it("gives the console back when it is closed", async () => {
    const { simulator, open } = await start();
    for (let n = 0; n < 3; n += 1) {
      const { console } = await open();
      await console.close();
      expect((await failure(console.write("x"))).code).to.equal("Closed");
    }
    expect(simulator.sessionCount).to.equal(0);
  });

  it("a BMC without Serial over LAN refuses", async () => {
    const { simulator } = await startSimulator();
    closing(simulator);
    const { address, port } = simulator;
    const error = await failure(openSerialConsole({ address, port, ...FAST }));
    expect(error.code).to.equal("CompletionCode");
    expect(error.completionCode).to.equal(0x81);
  });

  it("outlives the idle time of the session", async () => {
    const { serial, simulator, open } = await start({ sessionIdleMs: 1000 });
    const events: SerialConsoleEvent[] = [];
    const { reader } = await open({ keepAliveMs: 50, onEvent: (event) => events.push(event) });
    const enough = simulator.counters.commands + 40;
    await eventually("keep-alives for longer than the BMC waits", () => simulator.counters.commands > enough, 15_000);
    serial.print("still here");
    expect((await reader.until(10)).toString()).to.equal("still here");
    expect(events).to.deep.equal([]);
  });

  it("a keep-alive longer than a timer can wait is a rare one", async () => {
    const { simulator, open } = await start();
    await open({ keepAliveMs: 2 ** 31 });
    const before = simulator.counters.commands;
    await eventually("the first", () => simulator.counters.commands > before);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(simulator.counters.commands).to.equal(before + 1);
  });

  it("a reader that is slow makes the BMC wait, and loses nothing", async () => {
    const { serial, simulator } = await start();
    const { address, port } = simulator;
    const console = closing(await openSerialConsole({ address, port, ...FAST, maxBufferedBytes: 2000 }));
    const data = consoleBytes(20_000);
    serial.print(data);
    // Nobody reads: retries come and go.
    const before = simulator.counters.datagramsSent;
    await eventually("retries", () => simulator.counters.datagramsSent > before + 12);
    const held = await console.output[Symbol.asyncIterator]().next();
    expect(held.value?.length).to.be.within(1, 2000);
    const reader = new ConsoleReader(console);
    const rest = data.subarray(held.value?.length);
    expect((await reader.until(rest.length)).equals(rest)).to.equal(true);
  });

  it("opens again after the BMC has restarted, and says so", async () => {
    const { serial, simulator, open } = await start();
    const events: string[] = [];
    const { console, reader } = await open({ keepAliveMs: 50, onEvent: ({ kind }) => events.push(kind) });
    serial.print("one ");
    await reader.until(4);
    await simulator.close();
    const { simulator: second } = await startSimulator({ serial, port: simulator.port });
    closing(second);
    await eventually("the console to be back", () => events.includes("reconnected"), 15_000);
    serial.print("two");
    expect((await reader.until(7)).toString()).to.equal("one two");
    await console.write("hi");
    expect(serial.typed.toString()).to.equal("hi");
    expect(events.filter((kind) => kind !== "transfer-available")).to.deep.equal(["disconnected", "reconnected"]);
  });

  it("ends with the reason when the BMC does not come back in time", async () => {
    const { simulator, open } = await start();
    const reconnect = { firstMs: 50, deadlineMs: 600 };
    const { console, reader } = await open({ keepAliveMs: 50, deadlineMs: 500, reconnect });
    await simulator.close();
    const written = failure(console.write("lost"));
    const end = (await reader.ended) as IpmiError;
    expect(end.code).to.equal("Timeout");
    // Of what was under way nobody knows whether the machine has it.
    expect((await written).code).to.be.oneOf(["Timeout", "Closed"]);
    expect((await failure(console.write("late"))).code).to.equal("Timeout");
  });

  it("a line that is gone: characters wait, and the reader is told", async () => {
    const { serial, open } = await start();
    const events: string[] = [];
    const { console } = await open({ onEvent: ({ kind }) => events.push(kind) });
    serial.unplug();
    const written = console.write("patience");
    await eventually("the event", () => events.includes("transfer-unavailable"));
    expect(serial.typed.length).to.equal(0);
    await written;
    expect(serial.opened).to.equal(2);
    expect(serial.typed.toString()).to.equal("patience");
    expect(events).to.deep.equal(["transfer-unavailable", "transfer-available"]);
  });

  it("a signal ends it at any time", async () => {
    const { simulator, open } = await start();
    const abort = new AbortController();
    const { console, reader } = await open({ signal: abort.signal });
    abort.abort();
    expect(((await reader.ended) as IpmiError).code).to.equal("Aborted");
    expect((await failure(console.write("x"))).code).to.equal("Aborted");
    await console.close();
    expect(simulator.sessionCount).to.equal(0);
    expect((await failure(open({ signal: abort.signal }))).code).to.equal("Aborted");
  });
});
