// Lost and repeated datagrams, seeded: operations succeed within the deadline, whatever the network does.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import type { SimulatorFaults } from "../../src/simulator/faults.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

// Retransmission ten times as fast as by default, and a fifth of the default deadline: the machine may be busy too.
const FAST = { retransmitMs: 100, operationDeadlineMs: 6000 } as const;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

async function survive(faults: SimulatorFaults): Promise<void> {
  const { simulator, machine } = await startSimulator({ faults });
  const bmc = new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS, ...FAST });
  try {
    expect(await bmc.getPower()).to.equal(false);
    await bmc.control("power-up");
    expect(machine.isOn).to.equal(true);
    await bmc.setBootDevice({ device: "pxe", persistent: true });
    expect(machine.bootDevices.at(-1)).to.deep.equal({ device: "pxe", persistent: true, efi: false });
    expect(await bmc.getPower()).to.equal(true);
    await bmc.control("power-down");
    expect(await bmc.getPower()).to.equal(false);
  } finally {
    await bmc.close();
    await simulator.close();
  }
}

/** One BMC for each seed, all at once. A failure names its seed. */
async function surviveAll(faultsOf: (seed: number) => SimulatorFaults): Promise<void> {
  const outcomes = await Promise.allSettled(SEEDS.map((seed) => survive(faultsOf(seed))));
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === "rejected") throw new Error(`seed ${SEEDS[index]}`, { cause: outcome.reason });
  }
}

describe("lossy network", () => {
  const { closing, simulate } = simulatorFixture();
  const start = async (faults: SimulatorFaults) => {
    const { simulator, machine } = await simulate({ faults });
    const bmc = closing(new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS, ...FAST }));
    return { simulator, machine, bmc };
  };

  it("30% of the datagrams lost each way", () => surviveAll((seed) => ({ dropRate: 0.3, seed })));

  it("half of the datagrams come twice", () => surviveAll((seed) => ({ duplicateRate: 0.5, seed })));

  it("20% lost, 30% twice, late by 20 ms, and a new random number for each RAKP 1", () => {
    return surviveAll((seed) => ({ dropRate: 0.2, duplicateRate: 0.3, delayMs: 20, newRandomForRetries: true, seed }));
  });

  it("answers slower than our waits, from a BMC with a new random number for each RAKP 1", async () => {
    const { simulator, bmc } = await start({ delayMs: 0.5 * FAST.retransmitMs, newRandomForRetries: true });
    expect(await bmc.getPower()).to.equal(false);
    // Open Session Request, RAKP 1 and 3, the privilege and the command, and each of them again.
    expect(simulator.counters.datagramsReceived).to.be.at.least(10);
  });

  it("answers later than the first retransmissions reach the question they belong to", async () => {
    const { machine, bmc } = await start({ delayMs: 1.2 * FAST.retransmitMs });
    for (const action of ["power-up", "power-down", "power-up"] as const) {
      await bmc.control(action);
      expect(await bmc.getPower()).to.equal(action === "power-up");
    }
    // Retransmissions inside a session are recognised by the BMC: no action was done twice.
    expect(machine.actions).to.deep.equal(["power-up", "power-down", "power-up"]);
  });

  it("every datagram twice: each action is done once", async () => {
    const { machine, bmc } = await start({ duplicateRate: 1 });
    await bmc.control("power-up");
    await bmc.control("power-cycle");
    await bmc.control("power-cycle");
    await bmc.close();
    expect(machine.actions).to.deep.equal(["power-up", "power-cycle", "power-cycle"]);
  });
});
