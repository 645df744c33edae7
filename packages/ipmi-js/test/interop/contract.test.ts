// The BMC contract against both implementations: our simulator and OpenIPMI's ipmi_sim.
import { BmcSimulator } from "../../src/simulator/simulator.ts";
import { type BmcUnderTest, describeBmcContract } from "../contract/bmc-contract.ts";
import { CREDENTIALS, SimulatedMachine } from "../simulated-machine.ts";
import { startIpmiSim } from "./ipmi-sim.ts";

async function startOurs(): Promise<BmcUnderTest> {
  const machine = new SimulatedMachine();
  const options = { address: "127.0.0.1", ...CREDENTIALS, handlers: machine };
  let simulator = await BmcSimulator.listen(options);
  const { port } = simulator;
  return {
    address: "127.0.0.1",
    port,
    ...CREDENTIALS,
    machineIsOn: () => Promise.resolve(machine.isOn),
    bootDevice: () => Promise.resolve(machine.bootDevices.at(-1)?.device ?? "none"),
    restart: async () => {
      await simulator.close();
      simulator = await BmcSimulator.listen({ ...options, port });
    },
    close: () => simulator.close(),
  };
}

describeBmcContract("our simulator", startOurs);
describeBmcContract("ipmi_sim", startIpmiSim);
