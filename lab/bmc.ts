// The BMC of a machine: an IPMI 2.0 simulator whose buttons are the machine's, and its serial console over LAN.
import { BmcSimulator } from "ipmi-js";
import { BaremetalError } from "../lib/errors.ts";
import type { Machine } from "./machine.ts";
import type { SerialPort } from "./serial-port.ts";

export const BMC_USER = "admin";
/** Known to everybody: the BMCs are on the loopback of the lab's own namespace. */
export const BMC_PASSWORD = "lab-secret";

/** Listens on port 623 of the machine's BMC address. */
export async function startBmc(machine: Machine, serial: SerialPort): Promise<BmcSimulator> {
  return BmcSimulator.listen({
    address: machine.address.bmcAddress,
    port: 623,
    user: BMC_USER,
    password: BMC_PASSWORD,
    serial: { open: () => serial.open(), onBreak: () => serial.holdFor(machine.sendBreak()) },
    handlers: {
      getPower: () => machine.isOn,
      setPower: (action: string) => press(machine, action),
      setBootDevice: (request: { device: string }) => {
        machine.bootDevice = request.device === "pxe" ? "pxe" : "disk";
      },
    },
  });
}

async function press(machine: Machine, action: string): Promise<void> {
  switch (action) {
    case "power-up":
      return machine.powerOn();
    case "power-down":
      return machine.powerOff();
    case "power-cycle":
      await machine.powerOff();
      return machine.powerOn();
    case "hard-reset":
      return machine.reset();
    case "soft-shutdown":
      return machine.pressPowerButton();
    default:
      throw new BaremetalError("BadInput", `${machine.name} has no button for "${action}"`);
  }
}
