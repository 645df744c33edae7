// The power sync against BMCs that speak IPMI, lie, lose packets and fall silent: what becomes of nodes and instances.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { closeAfterEach } from "../../packages/ipmi-js/test/close-after-each.ts";
import { PowerBench } from "../fakes/power-bench.ts";
import { eventually } from "../fakes/service-bench.ts";

const COMPUTE = fileURLToPath(new URL("../../bin/baremetal-compute.ts", import.meta.url));

describe("power sync over IPMI", function () {
  this.timeout(40_000);
  const closing = closeAfterEach();
  let bench: PowerBench;
  beforeEach(async () => {
    bench = closing(await PowerBench.open());
  });
  const hasState = async (uuid: string, vmState: string) => {
    const row = await bench.instanceRow(uuid);
    return row.vmState === vmState && row.taskState === null ? row : undefined;
  };

  it("records the power of free nodes, and does nothing else to them", async () => {
    const on = await bench.machine(true);
    const off = await bench.machine(false);
    bench.sync.start();
    await eventually("both states", async () => {
      const states = [(await bench.nodeRow(on.nodeId)).powerState, (await bench.nodeRow(off.nodeId)).powerState];
      return states.join() === "power on,power off";
    });
    await bench.looks(on, 5);
    expect(on.machine.isOn).to.equal(true);
    expect(off.machine.isOn).to.equal(false);
    off.machine.isOn = true;
    await eventually("the change", async () => (await bench.nodeRow(off.nodeId)).powerState === "power on");
  });

  it("a BMC that says off for long and then the truth again costs the tenant nothing", async () => {
    const rented = await bench.machine(true, "active");
    bench.sync.start();
    await bench.looks(rented, 3);
    const sent: boolean[] = [];
    rented.machine.setPower = (on) => void sent.push(on);
    rented.bmc.faults.lyingStatus = "off";
    await eventually("the lie to be believed", () => hasState(rented.instanceUuid, "stopped"));
    await bench.looks(rented, 5);
    delete rented.bmc.faults.lyingStatus;
    expect(await eventually("the truth", () => hasState(rented.instanceUuid, "active"))).to.include({ powerState: 1 });
    await bench.looks(rented, 5);
    expect(sent, "commands to the machine").to.deep.equal([]);
  });

  it("an active instance whose machine was switched off is stopped", async () => {
    const rented = await bench.machine(true, "active");
    bench.sync.start();
    await bench.looks(rented, 4);
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({ vmState: "active", powerState: 1 });
    rented.machine.isOn = false;
    const row = await eventually("the stop", () => hasState(rented.instanceUuid, "stopped"));
    expect(row).to.include({ powerState: 4, fault: null });
    const { updatedAt } = row;
    await bench.looks(rented, 5);
    expect((await bench.instanceRow(rented.instanceUuid)).updatedAt, "done once").to.deep.equal(updatedAt);
    const node = await bench.nodeRow(rented.nodeId);
    expect(node).to.include({ powerState: "power off", taskState: "active", instanceUuid: rented.instanceUuid });
  });

  it("an instance that its user stopped, and whose machine was switched on, is powered off by force", async () => {
    const rented = await bench.machine(false, "stopped");
    bench.sync.start();
    await bench.looks(rented, 4);
    rented.machine.isOn = true;
    await eventually("the power off", () => !rented.machine.isOn);
    expect(await eventually("the end", () => hasState(rented.instanceUuid, "stopped"))).to.include({ powerState: 4 });
  });

  it("a silent BMC gives its node a fault, its instance stays, and the first answer clears it", async () => {
    const rented = await bench.machine(true, "active", { dropRate: 1 });
    const free = await bench.machine(true);
    bench.sync.start();
    const faulty = await eventually("the fault", async () => {
      const node = await bench.nodeRow(rented.nodeId);
      return node.fault === null ? undefined : node;
    });
    expect(faulty).to.include({ fault: "power failure", taskState: "active", powerState: null });
    expect(faulty.lastError).to.include(rented.machine.options.address);
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({ vmState: "active", powerState: 1 });
    expect((await bench.driver.getAvailableResource(faulty.uuid))?.stats).to.include({ fault: "power failure" });
    expect(await bench.nodeRow(free.nodeId), "others are seen meanwhile").to.include({ powerState: "power on" });
    rented.bmc.faults.dropRate = 0;
    await eventually("the fault to clear", async () => (await bench.nodeRow(rented.nodeId)).fault === null);
    expect(await bench.nodeRow(rented.nodeId)).to.include({ lastError: null, powerState: "power on" });
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({ vmState: "active" });
  });

  it("lost packets are no silence, and never an off", async () => {
    const rented = await bench.machine(true, "active", { dropRate: 0.3, seed: 20261121 });
    bench.sync.start();
    await bench.looks(rented, 10);
    expect(await bench.nodeRow(rented.nodeId)).to.include({ fault: null, powerState: "power on" });
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({ vmState: "active", powerState: 1 });
  });

  it("a wrong password is a fault that says so, and no secret", async () => {
    const rented = await bench.machine(true, "active");
    await bench.repositories.nodes.update(rented.nodeId, { pmPassword: "not-the-secret" });
    bench.sync.start();
    await eventually("the fault", async () => (await bench.nodeRow(rented.nodeId)).fault === "power failure");
    expect((await bench.nodeRow(rented.nodeId)).lastError)
      .to.match(/password/)
      .and.not.include("not-the-secret");
    await bench.repositories.nodes.update(rented.nodeId, { pmPassword: "secret" });
    await eventually("the fault to clear", async () => (await bench.nodeRow(rented.nodeId)).fault === null);
  });

  it("a BMC that says off within our own reboot does not stop the instance", async () => {
    const rented = await bench.machine(true, "active");
    bench.sync.start();
    await bench.looks(rented, 3);
    rented.bmc.faults.lyingStatus = "off";
    await bench.services.instances.reboot(await bench.instanceRow(rented.instanceUuid), "HARD");
    await bench.looks(rented, 30);
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({ taskState: "rebooting_hard" });
    delete rented.bmc.faults.lyingStatus;
    await eventually("the end of the reboot", () => hasState(rented.instanceUuid, "active"));
    await bench.looks(rented, 5);
    expect(await bench.instanceRow(rented.instanceUuid)).to.include({
      vmState: "active",
      taskState: null,
      fault: null,
    });
    expect(rented.machine.isOn).to.equal(true);
  });

  it("a node that is being deployed is left alone, whatever its BMC says", async () => {
    const target = await bench.machine(false);
    const other = await bench.machine(false);
    const node = await bench.nodeRow(target.nodeId);
    const building = { vmState: "building", taskState: "spawning", powerState: 0 };
    const instance = await bench.instance(target.instanceUuid, building, node.uuid);
    bench.sync.start();
    const spawned = bench.driver.spawn(instance, node.uuid);
    await eventually("the power on", async () => (await bench.nodeRow(target.nodeId)).powerState === "power on");
    const { updatedAt } = await bench.nodeRow(target.nodeId);
    target.bmc.faults.lyingStatus = "off";
    await bench.looks(other, 8);
    expect(await bench.nodeRow(target.nodeId)).to.deep.include({ taskState: "prepared", fault: null, updatedAt });
    target.bmc.faults.dropRate = 1;
    await bench.looks(other, 8);
    expect(await bench.nodeRow(target.nodeId)).to.deep.include({ taskState: "prepared", fault: null, updatedAt });
    expect(await bench.instanceRow(target.instanceUuid)).to.include(building);
    target.bmc.faults.dropRate = 0;
    delete target.bmc.faults.lyingStatus;
    await bench.driverBench.deploy(target.nodeId);
    await spawned;
    expect(target.machine.isOn).to.equal(true);
    expect(await bench.nodeRow(target.nodeId)).to.include({ taskState: "active" });
  });

  it("looks no more at a node that was removed, and closes its session", async () => {
    const gone = await bench.machine(true);
    const other = await bench.machine(true);
    bench.sync.start();
    await bench.looks(gone, 4);
    await bench.repositories.nodes.destroy(gone.nodeId);
    await eventually("the roster to know", () => bench.sync.numbers.nodes === 1);
    await eventually("its session to be closed", () => gone.bmc.sessionCount === 0);
    const { commands } = gone.bmc.counters;
    await bench.looks(other, 6);
    expect(gone.bmc.counters.commands).to.equal(commands);
  });

  it("ends while BMCs are silent, at once and with nothing left open", async () => {
    for (let count = 0; count < 4; count++) await bench.machine(true, "active", { dropRate: 1 });
    bench.sync.start();
    await eventually("looks under way", () => bench.sync.numbers.inFlight === 4);
    const start = Date.now();
    await bench.sync.close();
    expect(Date.now() - start, "milliseconds").to.be.below(1000);
  });

  it("the compute process does it by itself, and ends in order in the middle of looks", async () => {
    const rented = await bench.machine(false, "active");
    await bench.machine(true, "active", { dropRate: 1 });
    const { folder, tftpRoot } = bench.driverBench;
    const file = join(folder, "nova.conf");
    await writeFile(join(folder, "secret.key"), Buffer.alloc(32, 7), { mode: 0o600 });
    const lines = ["[DEFAULT]", "host = compute1", `state_path = ${folder}`, "sync_power_state_interval = 1"];
    lines.push("[baremetal]", `tftp_root = ${tftpRoot}`, `sql_connection = sqlite:///${join(folder, "bm.sqlite")}`);
    lines.push("[database]", `connection = sqlite:///${join(folder, "nova.sqlite")}`);
    lines.push("[api]", "port = 0", "auth_strategy = noauth");
    await writeFile(file, `${lines.join("\n")}\n`);
    const args = ["--import", "tsx", "--conditions=source", COMPUTE, "--config-file", file];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    closing({ close: () => child.kill("SIGKILL") });
    let log = "";
    child.stderr.on("data", (data: Buffer) => {
      log += data.toString();
    });
    const status = new Promise<number | null>((resolve) => child.once("close", resolve));
    await eventually("the stop", () => hasState(rented.instanceUuid, "stopped")).catch((error: Error) => {
      throw new Error(`${error.message}: ${log}`);
    });
    expect(log).to.include(`instance ${rented.instanceUuid} is active, but its machine is off: it counts as stopped`);
    child.kill("SIGTERM");
    expect(await status, log).to.equal(0);
    expect(log).to.not.include("unhandledRejection");
  });
});
