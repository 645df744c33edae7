// Lost and repeated datagrams, seeded: operations succeed within the deadline, whatever the network does.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import type { SimulatorFaults } from "../../src/simulator/faults.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";

// One tenth of the default times: the same number of sends fits into the deadline.
const TENTH = { retransmitMs: 100, operationDeadlineMs: 3000 } as const;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

async function survive(faults: SimulatorFaults): Promise<void> {
  const { simulator, machine } = await startSimulator({ faults });
  const bmc = new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS, ...TENTH });
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

describe("lossy network", () => {
  for (const seed of SEEDS) {
    it(`30% of the datagrams lost each way, seed ${seed}`, () => survive({ dropRate: 0.3, seed }));
  }
  for (const seed of SEEDS.slice(0, 4)) {
    it(`half of the datagrams come twice, seed ${seed}`, () => survive({ duplicateRate: 0.5, seed }));
    it(`20% lost and 30% twice, late by 20 ms, seed ${seed}`, () => {
      return survive({ dropRate: 0.2, duplicateRate: 0.3, delayMs: 20, seed });
    });
  }

  it("answers later than the first retransmissions reach the question they belong to", async () => {
    const { simulator, machine } = await startSimulator({ faults: { delayMs: 120 } });
    const bmc = new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS, ...TENTH });
    for (const action of ["power-up", "power-down", "power-up"] as const) {
      await bmc.control(action);
      expect(await bmc.getPower()).to.equal(action === "power-up");
    }
    // Retransmissions inside a session are recognised by the BMC: no action was done twice.
    expect(machine.actions).to.deep.equal(["power-up", "power-down", "power-up"]);
    await bmc.close();
    await simulator.close();
  });

  it("every datagram twice: each action is done once", async () => {
    const { simulator, machine } = await startSimulator({ faults: { duplicateRate: 1 } });
    const bmc = new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS, ...TENTH });
    await bmc.control("power-up");
    await bmc.control("power-cycle");
    await bmc.control("power-cycle");
    await bmc.close();
    await simulator.close();
    expect(machine.actions).to.deep.equal(["power-up", "power-cycle", "power-cycle"]);
  });
});
