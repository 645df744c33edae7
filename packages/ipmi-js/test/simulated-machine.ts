// A machine for a simulated BMC: remembers its power, its boot device and what was done to it.
import type { ChassisControlAction } from "../src/commands/chassis-control.ts";
import type { SimulatedBootDevice, SimulatorHandlers } from "../src/simulator/chassis.ts";
import { BmcSimulator, type BmcSimulatorOptions } from "../src/simulator/simulator.ts";

export class SimulatedMachine implements SimulatorHandlers {
  isOn = false;
  readonly actions: ChassisControlAction[] = [];
  readonly bootDevices: SimulatedBootDevice[] = [];

  getPower(): boolean {
    return this.isOn;
  }

  setPower(action: ChassisControlAction): void {
    this.actions.push(action);
    if (action === "power-up") this.isOn = true;
    if (action === "power-down" || action === "soft-shutdown") this.isOn = false;
  }

  setBootDevice(setting: SimulatedBootDevice): void {
    this.bootDevices.push(setting);
  }
}

export const CREDENTIALS = { user: "admin", password: "secret" } as const;

/** A simulator with a machine behind it. */
export async function startSimulator(
  options: Partial<BmcSimulatorOptions> = {},
): Promise<{ machine: SimulatedMachine; simulator: BmcSimulator }> {
  const machine = new SimulatedMachine();
  const simulator = await BmcSimulator.listen({ address: "127.0.0.1", ...CREDENTIALS, handlers: machine, ...options });
  return { machine, simulator };
}
