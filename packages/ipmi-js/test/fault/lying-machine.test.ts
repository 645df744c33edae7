// Faults of the machine behind the BMC: wrong status, slow power, boot devices refused or forgotten, flags used up.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { eventually, failure } from "../failure.ts";
import { CREDENTIALS, type SimulatedMachine } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";

describe("machines that misbehave", () => {
  const { closing, simulate } = simulatorFixture();
  let simulator: BmcSimulator;
  let machine: SimulatedMachine;
  let bmc: Bmc;

  beforeEach(async () => {
    ({ simulator, machine } = await simulate());
    bmc = closing(new Bmc({ address: simulator.address, port: simulator.port, ...CREDENTIALS }));
  });

  it("lie about their power", async () => {
    simulator.faults.lyingStatus = "on";
    expect(await bmc.getPower()).to.equal(true);
    delete simulator.faults.lyingStatus;
    expect(await bmc.getPower()).to.equal(false);
  });

  it("accept a power command long before they act on it", async () => {
    simulator.faults.slowPowerMs = 1000;
    await bmc.control("power-up");
    expect(await bmc.getPower()).to.equal(false);
    await eventually("the power to come", () => bmc.getPower());
    expect(machine.actions).to.deep.equal(["power-up"]);
  });

  it("refuse a boot device: CompletionCode with the code", async () => {
    simulator.faults.refusesBootDevice = true;
    const error = await failure(bmc.setBootDevice({ device: "pxe", persistent: true }));
    expect([error.code, error.completionCode, error.operation]).to.deep.equal([
      "CompletionCode",
      0xcc,
      "Set System Boot Options",
    ]);
    expect(machine.bootDevices).to.deep.equal([]);
  });

  it("accept a boot device and forget it: reading back shows it", async () => {
    simulator.faults.forgetsBootDevice = true;
    await bmc.setBootDevice({ device: "pxe", persistent: true });
    expect((await bmc.getBootDevice()).isValid).to.equal(false);
  });

  it("use a boot device up that was meant for one boot, and keep a persistent one", async () => {
    await bmc.setBootDevice({ device: "pxe", persistent: false, efi: true });
    expect(await bmc.getBootDevice()).to.deep.equal({ isValid: true, device: "pxe", persistent: false, efi: true });
    await bmc.control("power-up");
    expect((await bmc.getBootDevice()).isValid).to.equal(false);
    expect(machine.bootDevices.at(-1)).to.deep.equal({ device: "none", persistent: false, efi: false });
    await bmc.setBootDevice({ device: "disk", persistent: true });
    await bmc.control("power-cycle");
    expect((await bmc.getBootDevice()).isValid).to.equal(true);
    expect(machine.bootDevices.at(-1)?.device).to.equal("disk");
  });

  it("fail inside: the BMC answers FFh and lives on", async () => {
    machine.setPower = () => {
      throw new Error("the hypervisor is gone");
    };
    const error = await failure(bmc.control("power-up"));
    expect(error.completionCode).to.equal(0xff);
    expect(await bmc.getPower()).to.equal(false);
  });

  it("cannot be reset while off: D5h", async () => {
    const error = await failure(bmc.control("hard-reset"));
    expect(error.completionCode).to.equal(0xd5);
    expect(error.message).to.contain("not supported in the present state");
  });

  it("live side by side in one process", async () => {
    const others = await Promise.all(Array.from({ length: 20 }, () => simulate()));
    const clients = others.map(({ simulator: { address, port } }) =>
      closing(new Bmc({ address, port, ...CREDENTIALS })),
    );
    await Promise.all(clients.map((client, n) => client.control(n % 2 === 0 ? "power-up" : "power-down")));
    expect(others.map((other) => other.machine.isOn)).to.deep.equal(others.map((_, n) => n % 2 === 0));
  });
});
