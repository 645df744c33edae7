// Serial over LAN over a network that loses and repeats datagrams, seeded: bytes arrive whole and in order both ways.
import { expect } from "chai";
import { setSolConfiguration } from "../../src/commands/set-sol-configuration.ts";
import { encodeSolRetry, SOL_PARAMETER } from "../../src/commands/sol-configuration.ts";
import { openSession } from "../../src/open-session.ts";
import type { SimulatorFaults } from "../../src/simulator/faults.ts";
import { openSerialConsole } from "../../src/sol/serial-console.ts";
import { closeAfterEach } from "../close-after-each.ts";
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
