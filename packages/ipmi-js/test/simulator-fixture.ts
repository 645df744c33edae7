// What most tests begin with: simulated BMCs that are closed after each test.
import type { BmcSimulatorOptions } from "../src/simulator/simulator.ts";
import { closeAfterEach } from "./close-after-each.ts";
import { startSimulator } from "./simulated-machine.ts";

/** Call it once in a suite. `host` is how the command line names the BMC. */
export function simulatorFixture() {
  const closing = closeAfterEach();
  const simulate = async (options: Partial<BmcSimulatorOptions> = {}) => {
    const { simulator, machine } = await startSimulator(options);
    return { simulator: closing(simulator), machine, host: `127.0.0.1:${simulator.port}` };
  };
  return { closing, simulate };
}
