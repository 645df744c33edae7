// The IPMI power driver against simulated BMCs that misbehave: each fault ends in its own error, within the deadline.
import { expect } from "chai";
import { BmcSimulator, type SimulatorFaults } from "ipmi-js";
import { IpmiPower } from "../../driver/power/ipmi.ts";
import { systemClock } from "../../lib/clock.ts";
import type { BaremetalError } from "../../lib/errors.ts";
import { eventually } from "../../packages/ipmi-js/test/failure.ts";

const SEED = 20261121;

describe("driver/power over IPMI, with faults", () => {
  const machine = { isOn: false, boot: "" };
  let simulator: BmcSimulator | undefined;
  let power: IpmiPower;
  const open = (powerDeadlineMs: number) =>
    new IpmiPower({
      clock: systemClock,
      powerDeadlineMs,
      pollIntervalMs: 50,
      operationDeadlineMs: powerDeadlineMs / 2,
    });

  beforeEach(() => {
    Object.assign(machine, { isOn: false, boot: "" });
    power = open(2000);
  });
  afterEach(async () => {
    await power.close();
    await simulator?.close();
    simulator = undefined;
  });

  async function bmc(faults: SimulatorFaults = {}): Promise<string> {
    simulator = await BmcSimulator.listen({
      address: "127.0.0.1",
      user: "admin",
      password: "secret",
      handlers: {
        getPower: () => machine.isOn,
        setPower: (action) => {
          machine.isOn = action === "power-up";
        },
        setBootDevice: ({ device, persistent }) => {
          machine.boot = `${device} ${persistent}`;
        },
      },
      faults,
    });
    return `127.0.0.1:${simulator.port}`;
  }
  const node = (pmAddress: string, pmPassword = "secret") => ({ id: 1, pmAddress, pmUser: "admin", pmPassword });
  const failure = (work: Promise<unknown>): Promise<BaremetalError> =>
    work.then(
      () => expect.fail("it should have failed"),
      (error: unknown) => error as BaremetalError,
    );

  it("does not close the client of an action for somebody with older settings of the node", async () => {
    const address = await bmc({ lyingStatus: "off" });
    const control = power.for(node(address));
    const action = control.powerOn();
    await eventually("the machine to be on", () => machine.isOn);
    await failure(power.for(node(address, "an older one")).isPowerOn());
    delete simulator?.faults.lyingStatus;
    const sessions = simulator?.counters.sessionsOpened;
    await action;
    expect(simulator?.counters.sessionsOpened, "the action goes on in its session").to.equal(sessions);
    expect(await control.isPowerOn(), "and so may its next one, in one of its own").to.equal(true);
  });

  it("keeps the session of a node that there is, and closes it when the node and its last action are gone", async () => {
    const control = power.for(node(await bmc({ lyingStatus: "off" })));
    await control.isPowerOn();
    power.forgetOthers(new Set([1]));
    const action = control.powerOn();
    await eventually("the machine to be on", () => machine.isOn);
    power.forgetOthers(new Set([2]));
    delete simulator?.faults.lyingStatus;
    await action;
    expect(simulator?.counters.sessionsOpened).to.equal(1);
    await eventually("the session to be closed", () => simulator?.sessionCount === 0);
    await control.isPowerOn();
    power.forgetOthers(new Set([2]));
    await eventually("an idle session to be closed", () => simulator?.sessionCount === 0);
  });

  it("switches off, sets PXE for good, switches on", async () => {
    const control = power.for(node(await bmc()));
    machine.isOn = true;
    await control.powerOff();
    expect(machine.isOn).to.equal(false);
    await control.setBootDevicePxe();
    await control.powerOn();
    expect(machine).to.deep.equal({ isOn: true, boot: "pxe true" });
  });

  it("works through a network that loses 30% of the packets", async () => {
    power = open(30_000);
    const control = power.for(node(await bmc({ dropRate: 0.3, seed: SEED })));
    await control.powerOn();
    await control.powerOff();
    expect(machine.isOn).to.equal(false);
  });

  it("names a wrong password at once, and does not try again", async () => {
    const error = await failure(power.for(node(await bmc(), "wrong")).powerOff());
    expect(error.code).to.equal("PeerMisbehaved");
    expect(error.message)
      .to.match(/127\.0\.0\.1/)
      .and.match(/password/);
    expect(error.message).to.not.include("wrong");
  });

  it("names a BMC that does not answer, within the deadline", async () => {
    const address = await bmc();
    await simulator?.close();
    const error = await failure(power.for(node(address)).powerOff());
    expect(error.code).to.equal("PeerUnreachable");
    expect(error.message).to.include(address);
  });

  it("does not take the BMC's word: a machine that stays on is an error", async () => {
    const control = power.for(node(await bmc({ lyingStatus: "on" })));
    const error = await failure(control.powerOff());
    expect(error.code).to.equal("DeadlineExceeded");
    expect(error.message).to.include("still reported the power on");
  });

  it("says that a sealed password could not be opened, and why", () => {
    const broken = {
      id: 3,
      pmAddress: "10.0.0.1",
      pmUser: "a",
      pmPassword: null,
      pmPasswordError: "sealed with another key",
    };
    expect(() => power.for(broken)).to.throw("the BMC password of node 3 cannot be used: sealed with another key");
  });

  it("says which part of the BMC login is missing", () => {
    expect(() => power.for({ id: 3, pmAddress: "10.0.0.1", pmUser: null, pmPassword: null })).to.throw(
      "node 3 has no pm_user, pm_password",
    );
  });
}).timeout(40_000);
