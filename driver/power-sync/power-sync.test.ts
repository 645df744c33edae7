import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { nodeRow, PowerRack } from "../../test/fakes/power-rack.ts";
import type { PowerSync } from "./power-sync.ts";

const MINUTE = 60_000;

describe("driver/power-sync: the periodic task", () => {
  let rack: PowerRack;
  let sync: PowerSync;
  beforeEach(() => {
    rack = new PowerRack();
  });
  afterEach(() => sync?.close());
  const start = async (options: Parameters<PowerRack["open"]>[0] = {}) => {
    sync = rack.open(options);
    sync.start();
    // Until all pages were read.
    while (sync.numbers.nodes === 0 && rack.pages < 100) await setImmediate();
  };

  it("sees 10,000 nodes within a minute, writes each once, and nothing when nothing changes", async function () {
    this.timeout(20_000);
    for (let id = 1; id <= 10_000; id++) rack.add(id);
    await start();
    await rack.clock.advance(MINUTE + 1000);
    expect([...rack.machines.values()].filter(({ looks }) => looks === 0)).to.deep.equal([]);
    expect(rack.writes).to.equal(10_000);
    await rack.clock.advance(MINUTE);
    expect(rack.writes).to.equal(10_000);
    expect(sync.numbers).to.include({ nodes: 10_000, failing: 0, missed: 0, failed: 0, acted: 0 });
    expect(sync.numbers.seen).to.be.within(20_000, 20_500);
    for (const { looks } of rack.machines.values()) expect(looks).to.be.within(2, 3);
    expect(rack.mostInFlight).to.be.below(64);
    expect(rack.pages, "41 pages of nodes and one of instances, four times a minute").to.be.at.most(42 * 9);
  });

  it("stops an instance whose machine is off only after a second look, and does it once", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: false });
    await start();
    await rack.clock.advance(MINUTE);
    expect(machine.looks).to.equal(1);
    expect(rack.synced).to.deep.equal([]);
    await rack.clock.advance(31_000);
    expect(machine.looks).to.equal(2);
    expect(rack.synced).to.deep.equal(["instance-1 off"]);
    machine.instance = { id: 1, uuid: "instance-1", vmState: "stopped", taskState: null, powerState: 4 };
    await rack.clock.advance(10 * MINUTE);
    expect(rack.synced).to.have.length(1);
  });

  it("does not take one look for the truth: a machine that is on again at the second one is let be", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: false });
    await start();
    await rack.clock.advance(MINUTE);
    machine.isOn = true;
    await rack.clock.advance(MINUTE);
    machine.isOn = false;
    await rack.clock.advance(20_000);
    machine.isOn = true;
    await rack.clock.advance(5 * MINUTE);
    expect(machine.looks).to.be.at.least(6);
    expect(rack.synced).to.deep.equal([]);
  });

  it("powers a stopped instance's machine off, again after 1, 2, 4 ... minutes while that does not help", async () => {
    rack.add(1, { vmState: "stopped", isOn: true });
    await start();
    await rack.clock.advance(3 * MINUTE);
    expect(rack.synced.slice(0, 1)).to.deep.equal(["instance-1 on"]);
    await rack.clock.advance(57 * MINUTE);
    expect(rack.synced.length, "1 + 1 + 2 + 4 + 8 + 10 + ... minutes").to.be.within(6, 9);
  });

  it("neither asks nor acts on a node in work", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: false, isBusy: true });
    await start();
    await rack.clock.advance(5 * MINUTE);
    expect(machine.looks, "its client is the action's").to.equal(0);
    expect(machine.node.powerState, "nor is it written").to.equal(null);
    machine.isBusy = false;
    machine.isOn = true;
    await rack.clock.advance(5 * MINUTE);
    expect(rack.synced).to.deep.equal([]);
    expect(machine.node.powerState).to.equal("power on");
  });

  it("gives a silent node a fault after three looks, never an off, and clears it at the first answer", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: true, isSilent: true });
    const other = rack.add(2);
    await start();
    await rack.clock.advance(2 * MINUTE);
    expect(machine.node.fault).to.equal(null);
    await rack.clock.advance(MINUTE + 15_000);
    expect(machine.looks).to.equal(3);
    expect(machine.node).to.include({ fault: "power failure", powerState: null });
    expect(rack.log.join("\n")).to.include("node 1 takes no instance until its BMC answers: no answer from 1");
    const { looks } = machine;
    await rack.clock.advance(30 * MINUTE);
    expect(machine.looks - looks, "less and less often").to.be.within(5, 8);
    expect(other.looks).to.be.within(32, 34);
    machine.isSilent = false;
    await rack.clock.advance(5 * MINUTE + 1000);
    expect(machine.node).to.include({ fault: null, powerState: "power on" });
    expect(rack.synced).to.deep.equal([]);
    const seen = machine.looks;
    await rack.clock.advance(5 * MINUTE);
    expect(machine.looks - seen, "every minute again").to.equal(5);
  });

  it("takes two looks from the end of that work on, and counts no silence that ends within it", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: false });
    const silent = rack.add(2, { isSilent: true });
    await start();
    await rack.clock.advance(MINUTE);
    expect(machine.looks).to.equal(1);
    machine.isBusy = true;
    await rack.clock.advance(31_000);
    machine.isBusy = false;
    for (let second = 0; second < 60 && machine.looks === 1; second++) await rack.clock.advance(1000);
    expect(machine.looks).to.equal(2);
    expect(rack.synced, "the first look is forgotten").to.deep.equal([]);
    await rack.clock.advance(31_000);
    expect(rack.synced).to.deep.equal(["instance-1 off"]);
    silent.isBusy = true;
    await rack.clock.advance(10 * MINUTE);
    expect(silent.node.fault).to.equal(null);
    expect(sync.numbers.failing).to.equal(0);
  });

  it("takes in new nodes, forgets removed ones, and looks at a mended BMC in the next minute", async () => {
    rack.add(1);
    const dead = rack.add(2, { isSilent: true });
    await start();
    await rack.clock.advance(20 * MINUTE);
    const added = rack.add(3);
    rack.machines.delete(1);
    dead.isSilent = false;
    dead.node = { ...dead.node, pmAddress: "10.0.1.2" };
    await rack.clock.advance(MINUTE + 16_000);
    expect(added.looks).to.equal(1);
    expect([...rack.kept]).to.deep.equal([2, 3]);
    expect(dead.node).to.include({ fault: null, powerState: "power off" });
  });

  it("outlives a database that is away: goes on looking, writes and acts when it is back", async () => {
    const machine = rack.add(1, { vmState: "active", isOn: false });
    await start();
    await rack.clock.advance(1000);
    rack.isDatabaseAway = true;
    await rack.clock.advance(5 * MINUTE);
    expect(machine.looks).to.be.at.least(5);
    expect(rack.synced).to.deep.equal([]);
    expect(rack.log.join("\n")).to.include("the nodes could not be read").and.include("the database did not answer");
    rack.isDatabaseAway = false;
    await rack.clock.advance(2 * MINUTE);
    expect(rack.synced).to.deep.equal(["instance-1 off"]);
    expect(machine.node.powerState).to.equal("power off");
  });

  it("begins again when the row was written since the first look", async () => {
    rack.add(1, { vmState: "active", isOn: false });
    rack.isSyncTaken = false;
    await start();
    await rack.clock.advance(10 * MINUTE);
    const { looks } = rack.get(1);
    expect(looks).to.be.within(18, 20);
    expect(rack.synced.length, "two looks each").to.equal(Math.floor(looks / 2));
  });

  it("has no more looks under way than it may, and says that it is late", async () => {
    for (let id = 1; id <= 100; id++) rack.add(id);
    rack.lookMs = 9000;
    await start({ maxInFlight: 4 });
    await rack.clock.advance(8 * MINUTE);
    expect(rack.mostInFlight).to.equal(4);
    for (const { looks } of rack.machines.values()) expect(looks).to.be.within(1, 3);
    expect(rack.log.join("\n")).to.match(
      /warn: power sync: .*ms late; \d+ turns were missed.*sync_power_state_pool_size/,
    );
  });

  it("ends in the middle of looks: they are called off, no more begin, nothing is written", async () => {
    for (let id = 1; id <= 50; id++) rack.add(id, { isSilent: true });
    await start();
    await rack.clock.advance(30_000);
    expect(rack.inFlight).to.be.greaterThan(0);
    const { writes } = rack;
    const looks = [...rack.machines.values()].reduce((sum, machine) => sum + machine.looks, 0);
    await sync.close();
    expect(rack.inFlight).to.equal(0);
    await rack.clock.advance(10 * MINUTE);
    expect([...rack.machines.values()].reduce((sum, machine) => sum + machine.looks, 0)).to.equal(looks);
    expect(rack.writes).to.equal(writes);
  });

  it("waits for a write that is under way when it ends", async () => {
    rack.add(1);
    rack.writeMs = 90_000;
    await start();
    await rack.clock.advance(MINUTE);
    let isClosed = false;
    const closing = sync.close().then(() => {
      isClosed = true;
    });
    await rack.clock.advance(15_000);
    expect(isClosed).to.equal(false);
    await rack.clock.advance(MINUTE + 15_000);
    await closing;
    expect(rack.writes).to.equal(1);
  });

  it("writes what it wrote not again while the rows cannot be read", async () => {
    rack.add(1);
    await start();
    await rack.clock.advance(1000);
    rack.isListingAway = true;
    await rack.clock.advance(5 * MINUTE);
    expect(rack.writes).to.equal(1);
  });

  it("looks only at nodes with a power fault when it is switched off, and touches no instance", async () => {
    const well = rack.add(1, { vmState: "active", isOn: false });
    const faulty = rack.add(2, { vmState: "active", isOn: false });
    faulty.node = { ...faulty.node, fault: "power failure" };
    await start({ isFaultsOnly: true });
    await rack.clock.advance(10 * MINUTE);
    expect(well.looks).to.equal(0);
    expect(faulty.node).to.include({ fault: null, powerState: "power off" });
    expect(faulty.looks).to.be.within(1, 2);
    expect(rack.synced).to.deep.equal([]);
  });

  it("closes the client of a node that was removed, and no other, when it is switched off", async () => {
    rack.add(1);
    rack.add(2, { node: { ...nodeRow(2), fault: "power failure" } });
    rack.kept.add(1);
    rack.kept.add(3);
    await start({ isFaultsOnly: true });
    await rack.clock.advance(MINUTE);
    expect([...rack.kept], "one of a user's action, one of a look").to.deep.equal([1, 2]);
    rack.machines.delete(1);
    await rack.clock.advance(MINUTE);
    expect([...rack.kept]).to.deep.equal([2]);
  });
});
