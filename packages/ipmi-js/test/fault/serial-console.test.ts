// Serial over LAN over a network that loses and repeats datagrams, seeded: bytes arrive whole and in order both ways.
// And by a BMC that takes a console away without a word.
import { expect } from "chai";
import { activatePayload } from "../../src/commands/activate-payload.ts";
import { deactivatePayload } from "../../src/commands/deactivate-payload.ts";
import { setSolConfiguration } from "../../src/commands/set-sol-configuration.ts";
import { encodeSolRetry, SOL_PARAMETER } from "../../src/commands/sol-configuration.ts";
import { openSession } from "../../src/open-session.ts";
import type { SimulatorFaults } from "../../src/simulator/faults.ts";
import { openSerialConsole, type SerialConsoleEvent } from "../../src/sol/serial-console.ts";
import { type Network, noWayError, UdpTransport } from "../../src/transport.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { eventually, failure } from "../failure.ts";
import { ConsoleReader, consoleBytes, SerialMachine } from "../serial-machine.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";

describe("serial console over a lossy network", () => {
  const closing = closeAfterEach();

  const survive = async (faults: SimulatorFaults, length: number): Promise<void> => {
    const serial = new SerialMachine();
    const { simulator } = await startSimulator({ serial });
    closing(simulator);
    const options = { address: simulator.address, port: simulator.port, ...CREDENTIALS, retransmitMs: 100 };
    const session = await openSession(options);
    const data = encodeSolRetry({ count: 7, intervalMs: 20 });
    await session.execute(setSolConfiguration, { channel: 1, parameter: SOL_PARAMETER.retry, data });
    await session.close();
    Object.assign(simulator.faults, faults);
    const console = closing(await openSerialConsole({ ...options, retryIntervalMs: 20, deadlineMs: 15_000 }));
    const reader = new ConsoleReader(console);
    const printed = consoleBytes(length);
    const typed = consoleBytes(length).reverse();
    serial.print(printed);
    await console.write(typed);
    expect(serial.typed.equals(typed), `typed, seed ${faults.seed}`).to.equal(true);
    expect((await reader.until(length, 15_000)).equals(printed), `printed, seed ${faults.seed}`).to.equal(true);
    await console.close();
    expect(await reader.ended).to.equal(undefined);
  };

  const faults: [string, SimulatorFaults][] = [
    ["30% lost each way", { dropRate: 0.3 }],
    ["half of them twice", { duplicateRate: 0.5 }],
    ["20% lost, 30% twice", { dropRate: 0.2, duplicateRate: 0.3 }],
    ["answers later than the first retries", { delayMs: 50 }],
  ];
  for (const [name, fault] of faults) {
    it(name, async () => {
      // A late network takes the time of each packet, however many seeds.
      const [seeds, length] = fault.delayMs === undefined ? [[1, 2, 3], 10_000] : [[1], 4000];
      await Promise.all(seeds.map((seed) => survive({ ...fault, seed }, length)));
    });
  }
});

describe("serial console without a way back", () => {
  const closing = closeAfterEach();

  it("leaves the process its turns, though openings fail at once and no wait was asked for", async () => {
    const { simulator } = await startSimulator({ serial: new SerialMachine() });
    closing(simulator);
    const { address, port } = simulator;
    let attempts = 0;
    const network: Network = {
      connect: async (...where) => {
        attempts += 1;
        if (attempts === 1) return UdpTransport.connect(...where);
        throw noWayError(address, port, new Error("gone"));
      },
    };
    const reconnect = { firstMs: 0, maxMs: 0, deadlineMs: 300 };
    const console = closing(await openSerialConsole({ address, port, ...CREDENTIALS, network, reconnect }));
    const taker = closing(await openSession({ address, port, ...CREDENTIALS }));
    await taker.execute(deactivatePayload, { payloadType: 1, instance: 1 });
    const { message } = await failure(new ConsoleReader(console).ended.then((error) => Promise.reject(error)));
    expect(message).to.contain("gone");
    expect(attempts).to.be.within(3, 2 * reconnect.deadlineMs);
  });
});

describe("serial console of a BMC that takes it away without a word", () => {
  const closing = closeAfterEach();

  const watched = async () => {
    const serial = new SerialMachine();
    const { simulator } = await startSimulator({ serial, faults: { takesSolSilently: true } });
    closing(simulator);
    const { address, port } = simulator;
    const options = { address, port, ...CREDENTIALS, retransmitMs: 100, keepAliveMs: 50 };
    const events: SerialConsoleEvent[] = [];
    const reconnect = { firstMs: 50, maxMs: 100 };
    const onEvent = (event: SerialConsoleEvent) => events.push(event);
    const console = closing(await openSerialConsole({ ...options, takeOver: true, reconnect, onEvent }));
    const reader = new ConsoleReader(console);
    // It must have seen once that the console is its own.
    const before = simulator.counters.commands;
    await eventually("it to look", () => simulator.counters.commands > before);
    return { simulator, serial, options, events, reader };
  };

  it("opens it again if nobody has it", async () => {
    const { options, serial, events, reader } = await watched();
    const session = closing(await openSession(options));
    await session.execute(deactivatePayload, { payloadType: 1, instance: 1 });
    await eventually("it to be back", () => events.length === 2);
    const [lost, back] = events;
    expect(lost).to.include({ kind: "disconnected", isTaken: false });
    expect(lost?.kind === "disconnected" && lost.error.message).to.contain("not active any more");
    expect(back).to.deep.equal({ kind: "reconnected" });
    serial.print("here");
    expect((await reader.until(4)).toString()).to.equal("here");
  });

  it("gives way to whoever took it, and has it again after him", async () => {
    const { simulator, options, serial, events, reader } = await watched();
    const taker = closing(await openSession(options));
    const payload = { payloadType: 1, instance: 1 };
    // Sent together, so that no look falls in between.
    await Promise.all([
      taker.execute(deactivatePayload, payload),
      taker.execute(activatePayload, { ...payload, encryption: true, authentication: true }),
    ]);
    await eventually("it to notice", () => events.length === 1);
    expect(events[0]).to.include({ kind: "disconnected", isTaken: true });
    const before = simulator.counters.sessionsOpened;
    await eventually("it to try again", () => simulator.counters.sessionsOpened > before + 3);
    await taker.execute(deactivatePayload, payload);
    await eventually("it to be back", () => events.length > 1);
    expect(events.slice(1)).to.deep.equal([{ kind: "reconnected" }]);
    serial.print("here");
    expect((await reader.until(4)).toString()).to.equal("here");
  });
});
