// What the power sync reads and writes, on both engines: narrow pages, writes only of what is as it was read, and the stops.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { recoverInstances } from "../../compute/recovery.ts";
import type { InstanceRepository } from "../../db/instances.ts";
import type { NodePower } from "../../db/records.ts";
import { SecretBox } from "../../db/secret-box.ts";
import { systemClock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import { ApiBench, until } from "../fakes/api-bench.ts";
import { Rack } from "./baremetal.ts";
import { onEachEngine } from "./engines.ts";

onEachEngine("power sync: the nodes' rows", (context) => {
  let rack: Rack;
  beforeEach(() => {
    rack = new Rack(context().databases);
  });
  const power = async (id: number): Promise<NodePower> => {
    const page = await rack.nodes.listPower("compute-1", id - 1, 1);
    if (page[0] === undefined) throw new Error(`node ${id} is not listed`);
    return page[0];
  };

  it("gives the nodes of a host by pages, with their BMC's login and nothing that looks do not need", async () => {
    const nodes = [await rack.enrol(), await rack.enrol(), await rack.enrol()];
    await rack.nodes.create({ serviceHost: "compute-2" });
    const gone = await rack.enrol();
    await rack.nodes.destroy(gone.id);
    const { instanceUuid, id: deploymentId } = await rack.taken(nodes[1]);
    const ids = async (after: number, limit: number) =>
      (await rack.nodes.listPower("compute-1", after, limit)).map(({ id }) => id);
    expect(await ids(0, 2)).to.deep.equal([nodes[0]!.id, nodes[1]!.id]);
    expect(await ids(nodes[1]!.id, 2)).to.deep.equal([nodes[2]!.id]);
    expect(await ids(nodes[2]!.id, 2)).to.deep.equal([]);
    expect(await power(nodes[1]!.id)).to.deep.include({
      pmAddress: "127.0.0.9",
      pmUser: "ADMIN",
      pmPassword: "s3cret",
      instanceUuid,
      deploymentId,
      taskState: "building",
      powerState: null,
      targetPowerState: null,
      maintenance: false,
      fault: null,
    });
    const { baremetal } = context().databases;
    await baremetal("bm_nodes")
      .where({ id: nodes[0]!.id })
      .update({ pm_password: new SecretBox(randomBytes(32)).seal("x") });
    expect((await power(nodes[0]!.id)).pmPasswordError).to.contain("secret_key_file");
  });

  it("notes power while the row is as it was seen, in both directions and with nulls", async () => {
    const { id } = await rack.enrol();
    const fresh = await power(id);
    rack.clock.advance(1000);
    expect(await rack.nodes.notePower(fresh, { powerState: "power on" })).to.equal(true);
    expect(await rack.node(id)).to.deep.include({ powerState: "power on", updatedAt: new Date(rack.clock.now()) });
    expect(await rack.nodes.notePower(fresh, { powerState: "power off" }), "seen before that").to.equal(false);
    const seen = await power(id);
    const fault = { fault: "power failure", lastError: "no answer" };
    expect(await rack.nodes.notePower(seen, fault)).to.equal(true);
    expect(await rack.nodes.notePower(seen, fault), "the fault is there already").to.equal(false);
    const cleared = { fault: null, lastError: null, targetPowerState: null };
    expect(await rack.nodes.notePower(await power(id), cleared)).to.equal(true);
    expect(await rack.node(id)).to.include({ ...cleared, powerState: "power on" });
  });

  const changes: [string, (id: number) => Promise<unknown>][] = [
    ["was taken for an instance", async (id) => rack.taken(await rack.node(id))],
    ["is in a power action", (id) => rack.nodes.setPower(id, { targetPowerState: "power off" })],
    ["has a fault", (id) => rack.nodes.setPower(id, { fault: "power failure" })],
    ["was deleted", (id) => rack.nodes.destroy(id)],
  ];
  for (const [what, change] of changes) {
    it(`notes nothing on a node that ${what} since it was read`, async () => {
      const { id } = await rack.enrol();
      const seen = await power(id);
      await change(id);
      expect(await rack.nodes.notePower(seen, { powerState: "power on" })).to.equal(false);
      const row = await context().databases.baremetal("bm_nodes").where({ id }).first("power_state");
      expect(row.power_state).to.equal(null);
    });
  }

  it("lets one of two writers at once have it", async () => {
    const { id } = await rack.enrol();
    const seen = await power(id);
    const ends = await Promise.all([
      rack.nodes.notePower(seen, { powerState: "power on" }),
      rack.nodes.notePower(seen, { powerState: "power off" }),
    ]);
    expect(ends.filter(Boolean)).to.have.length(1);
  });
});

const ACTIVE = { vmState: "active", taskState: null, powerState: 1 };
const STOPPED = { vmState: "stopped", taskState: null, powerState: 4 };

onEachEngine("power sync: the instances", (context) => {
  let bench: ApiBench;
  let id: string;
  let instances: InstanceRepository;
  beforeEach(async () => {
    bench = await ApiBench.open({ reportIntervalMs: 3_600_000, databases: context().databases });
    instances = bench.repositories.instances;
    await bench.furnish();
    await bench.enrol("52:54:00:00:00:01");
    id = await bench.boot("a");
    await until("ACTIVE", async () => (await bench.server(id)).status === "ACTIVE");
    // The boot is written down as done before its task ends, and a power sync lets an instance be that has a task.
    await settled();
  });
  afterEach(() => bench.close());

  /** What a power sync does whose first look was after all writes so far. */
  const sync = (isOn: boolean, sinceMs = Date.now() + 1) => bench.services.instances.syncPower(id, isOn, sinceMs);
  const powerCalls = () => bench.driver.calls.filter((call) => call.startsWith("power"));
  const settled = async () => {
    await until("the end of the work", async () => !bench.services.tasks.isRunning(id));
    const { vmState, taskState, powerState } = (await instances.get(id))!;
    return { vmState, taskState, powerState };
  };

  const user = async (what: "stop" | "start") => {
    await bench.services.instances[what]((await instances.get(id))!);
    await settled();
  };

  it("gives them by pages, with their states only", async () => {
    const { id: _id, ...values } = (await instances.get(id))!;
    await instances.create({ ...values, uuid: "u2", vmState: "stopped" });
    await instances.create({ ...values, uuid: "u3", host: "h2" });
    await instances.create({ ...values, uuid: "u4" });
    await instances.destroy("u4");
    const [first] = await instances.listPowerStates("h1", 0, 1);
    expect(first).to.deep.include({ uuid: id, vmState: "active", taskState: null, powerState: 1 });
    expect(Object.keys(first!)).to.have.length(5);
    const rest = await instances.listPowerStates("h1", first!.id, 10);
    expect(rest.map(({ uuid }) => uuid)).to.deep.equal(["u2"]);
  });

  it("updates one only as it was last written, when that is asked for", async () => {
    const { updatedAt } = (await instances.get(id))!;
    const expected = { expectedUpdatedAt: updatedAt };
    await until("the next millisecond", async () => Date.now() > updatedAt.getTime());
    expect(await instances.update(id, { displayName: "b" }, expected)).to.equal(true);
    expect(await instances.update(id, { displayName: "c" }, expected)).to.equal(false);
    expect((await instances.get(id))?.displayName).to.equal("b");
  });

  it("stops an active one whose machine is off, and lets be one whose machine is on", async () => {
    expect(await sync(true)).to.equal(true);
    expect(await settled()).to.deep.equal({ vmState: "active", taskState: null, powerState: 1 });
    expect(await sync(false)).to.equal(true);
    expect(await settled()).to.deep.equal(STOPPED);
    expect(powerCalls(), "nothing is sent").to.deep.equal([]);
  });

  it("makes one active again that was only stopped since its machine was found off, and sends nothing", async () => {
    await sync(false);
    expect(await sync(true)).to.equal(true);
    expect(await settled()).to.deep.equal(ACTIVE);
    expect(powerCalls()).to.deep.equal([]);
  });

  it("powers the machine of one off that its user stopped, and keeps it stopped", async () => {
    await user("stop");
    expect(await sync(true)).to.equal(true);
    expect(await settled()).to.deep.equal(STOPPED);
    expect(await sync(true), "again, if it comes on again").to.equal(true);
    expect(await settled()).to.deep.equal(STOPPED);
    expect(powerCalls()).to.deep.equal(["powerOff a", "powerOff a", "powerOff a"]);
  });

  it("forgets that a user stopped it when the user starts it: what the machine does later is no stop of the user's", async () => {
    await user("stop");
    await user("start");
    await sync(false);
    await sync(true);
    expect(await settled()).to.deep.equal(ACTIVE);
    await user("stop");
    await bench.services.instances.reboot((await instances.get(id))!, "HARD");
    await settled();
    await sync(false);
    await sync(true);
    expect(await settled()).to.deep.equal(ACTIVE);
    await user("stop");
    await bench.services.instances.resetState((await instances.get(id))!, "active");
    await sync(false);
    await sync(true);
    expect(await settled()).to.deep.equal(ACTIVE);
    expect(
      powerCalls().filter((call) => call === "powerOff a"),
      "the user's three",
    ).to.have.length(3);
  });

  it("a user starts one that was found off, as any other", async () => {
    await sync(false);
    await user("start");
    expect(await settled()).to.deep.equal(ACTIVE);
    expect(powerCalls()).to.deep.equal(["powerOn a"]);
  });

  it("leaves the machine on when a start failed that worked after all", async () => {
    await user("stop");
    bench.driver.behaviour.failPower = () => new BaremetalError("DeadlineExceeded", "it still says off");
    await user("start");
    delete bench.driver.behaviour.failPower;
    expect(await settled()).to.deep.equal(STOPPED);
    expect(await sync(true)).to.equal(true);
    expect(await settled()).to.deep.equal(ACTIVE);
    expect(
      powerCalls().filter((call) => call === "powerOff a"),
      "the user's",
    ).to.have.length(1);
  });

  it("says why a power off did not work, and may try again", async () => {
    await user("stop");
    bench.driver.behaviour.failPower = () => new BaremetalError("PeerUnreachable", "the BMC 10.0.0.7 did not answer");
    await sync(true);
    expect(await settled()).to.deep.equal({ ...STOPPED, powerState: 1 });
    expect((await instances.get(id))?.fault?.message).to.equal("stop failed: the BMC 10.0.0.7 did not answer");
    delete bench.driver.behaviour.failPower;
    expect(await sync(true)).to.equal(true);
    expect(await settled()).to.deep.equal(STOPPED);
  });

  it("sends no power off that a restart cut off: two looks decide again", async () => {
    await user("stop");
    await user("start");
    const calls = powerCalls().length;
    for (const [vmState, sent] of [
      ["stopped", []],
      ["active", ["powerOff a"]],
    ] as const) {
      await instances.update(id, { vmState, taskState: "powering-off" });
      await recoverInstances({
        host: "h1",
        instances,
        deployments: bench.repositories.deployments,
        service: bench.services.instances,
        tasks: bench.services.tasks,
        driver: bench.driver,
        clock: systemClock,
        logger: silentLogger,
        builder: undefined as never,
      });
      expect(await settled()).to.include({ vmState: "stopped", taskState: null });
      expect(powerCalls().slice(calls), `of an ${vmState} one`).to.deep.equal(sent);
    }
  });

  it("only writes the power of one that failed", async () => {
    await instances.update(id, { vmState: "error" });
    expect(await sync(false)).to.equal(true);
    expect(await settled()).to.deep.equal({ vmState: "error", taskState: null, powerState: 4 });
    expect(powerCalls()).to.deep.equal([]);
  });

  it("does nothing with one in work, of another host, or written since the first look", async () => {
    const { updatedAt } = (await instances.get(id))!;
    expect(await sync(false, updatedAt.getTime()), "written in that very millisecond").to.equal(false);
    expect(await sync(false, updatedAt.getTime() - 5)).to.equal(false);
    await instances.update(id, { taskState: "rebooting" });
    expect(await sync(false)).to.equal(false);
    await instances.update(id, { taskState: null, host: "h2" });
    expect(await sync(false)).to.equal(false);
    expect(await bench.services.instances.syncPower("nobody", false, Date.now())).to.equal(false);
    expect((await instances.get(id))?.vmState).to.equal("active");
    expect(powerCalls()).to.deep.equal([]);
  });

  it("loses against a user who acts at the same time", async () => {
    const work = sync(false);
    const reboot = bench.services.instances.reboot((await instances.get(id))!, "SOFT").then(
      () => true,
      () => false,
    );
    const [isStopped, isRebooted] = await Promise.all([work, reboot]);
    expect([isStopped, isRebooted].filter(Boolean), "exactly one of them").to.have.length(1);
    expect(await settled()).to.include({ vmState: isStopped ? "stopped" : "active" });
  });
});
