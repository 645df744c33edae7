// The simulated machine: order of power actions, boot flags that are used up or expire.
import { expect } from "chai";
import type { ChassisControlAction } from "../commands/chassis-control.ts";
import { SimulatedChassis } from "./chassis.ts";

const PXE_ONCE = Buffer.from("8004000000", "hex");

describe("SimulatedChassis", () => {
  it("does one power action at a time, in order, though the machine is slow", async () => {
    const log: string[] = [];
    let isOn = false;
    const chassis = new SimulatedChassis(
      {
        getPower: () => isOn,
        setPower: async (action: ChassisControlAction) => {
          log.push(`${action} starts`);
          await new Promise((resolve) => setImmediate(resolve));
          isOn = action === "power-up";
          log.push(`${action} ends`);
        },
      },
      {},
    );
    const codes = await Promise.all([chassis.control("power-up"), chassis.control("power-down")]);
    await chassis.close();
    expect(codes).to.deep.equal([0, 0]);
    expect(log).to.deep.equal(["power-up starts", "power-up ends", "power-down starts", "power-down ends"]);
  });

  it("refuses boot flags that are cut short, and parameters it does not have", async () => {
    const chassis = new SimulatedChassis({ getPower: () => true, setPower: () => undefined }, {});
    expect(await chassis.setBootOption(5, PXE_ONCE.subarray(0, 4))).to.equal(0xc7);
    expect(await chassis.setBootOption(9, PXE_ONCE)).to.equal(0x80);
    expect(chassis.getBootOption(9)).to.equal(undefined);
    await chassis.close();
  });

  it("keeps flags for one boot when the machine is on already and is switched on", async () => {
    const chassis = new SimulatedChassis({ getPower: () => true, setPower: () => undefined }, {});
    expect(await chassis.setBootOption(5, PXE_ONCE)).to.equal(0);
    await chassis.control("power-up");
    expect(chassis.getBootOption(5)?.toString("hex")).to.equal("8004000000");
    await chassis.control("hard-reset");
    expect(chassis.getBootOption(5)?.toString("hex")).to.equal("0004000000");
    await chassis.close();
  });

  it("drops a slow power action that waits when it is closed", async () => {
    const actions: string[] = [];
    const handlers = { getPower: () => false, setPower: (action: string) => void actions.push(action) };
    const chassis = new SimulatedChassis(handlers, { slowPowerMs: 60_000 });
    expect(await chassis.control("power-up")).to.equal(0);
    await chassis.close();
    expect(actions).to.deep.equal([]);
  });
});
