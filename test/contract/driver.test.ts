// The driver against a real database, with pretended BMCs: spawn, failure path, destroy, restart.
import { existsSync, readlinkSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { Reconciler } from "../../driver/reconciler.ts";
import { poll, systemClock } from "../../lib/clock.ts";
import { BaremetalError } from "../../lib/errors.ts";
import { shutdownReason } from "../../lib/shutdown.ts";
import { type DriverBench, openDriverBench } from "../fakes/driver-bench.ts";

const failure = (work: Promise<unknown>): Promise<BaremetalError> =>
  work.then(
    () => {
      throw new Error("it should have failed");
    },
    (error: unknown) => error as BaremetalError,
  );

describe("driver on a real database", () => {
  let bench: DriverBench;
  beforeEach(async () => {
    bench = await openDriverBench();
  });
  afterEach(() => bench.close());

  /** One pass of the reconciler; `isAlive` is what the compute side says of instances. */
  async function reconcile(isAlive = true, orphanMs = 600_000): Promise<void> {
    const options = { intervalMs: 60_000, parallel: 2, orphanMs, imageUnusedMs: 3_600_000 };
    const reconciler = new Reconciler(bench.context, bench.driver, async () => isAlive, options);
    await reconciler.pass();
    await reconciler.close();
  }

  it("spawns: files, links, state before power, off-pxe-on, active", async () => {
    const node = await bench.enrol({ mac: "52:54:00:AB:00:01" });
    const instance = bench.instance();
    const statesAtPower: (string | null)[] = [];
    const off = bench.power.for(node).powerOff;
    expect(off).to.be.a("function");
    bench.power.onPowerOn = (id) => {
      void (async () => {
        statesAtPower.push((await bench.context.nodes.get(id))?.taskState ?? null);
        await bench.deploy(id);
      })();
    };
    const { address } = await bench.driver.spawn(instance, node.uuid);
    expect(address).to.equal("10.0.0.9");
    expect(bench.power.calls).to.deep.equal([`off ${node.id}`, `pxe ${node.id}`, `on ${node.id}`]);
    expect(statesAtPower).to.deep.equal(["prepared"]);
    const after = await bench.context.nodes.get(node.id);
    expect(after).to.include({
      taskState: "active",
      provisionState: "active",
      instanceUuid: instance.uuid,
      powerState: "power on",
    });
    const folder = join(bench.tftpRoot, instance.uuid);
    expect((await readdir(folder)).sort()).to.deep.equal([
      "config",
      "deploy_kernel",
      "deploy_ramdisk",
      "kernel",
      "ramdisk",
    ]);
    expect(await readFile(join(folder, "deploy_kernel"), "utf8")).to.equal("content of dk");
    expect(readlinkSync(join(bench.tftpRoot, "pxelinux.cfg", "01-52-54-00-ab-00-01"))).to.equal(join(folder, "config"));
    expect(existsSync(join(bench.folder, "instances", instance.uuid)), "the config drive's content is gone").to.equal(
      false,
    );
  });

  it("keeps the config drive's content to itself while the deployment runs", async () => {
    const node = await bench.enrol();
    const instance = bench.instance({ userData: Buffer.from("#!/bin/sh\n").toString("base64") });
    const seen = new Promise<{ mode: number; text: string }>((resolve, reject) => {
      bench.power.onPowerOn = (id) => {
        const file = join(bench.folder, "instances", instance.uuid, "config-drive.json");
        Promise.all([stat(file), readFile(file, "utf8")])
          .then(([{ mode }, text]) => resolve({ mode: mode & 0o777, text }), reject)
          .then(() => bench.deploy(id), reject);
      };
    });
    await bench.driver.spawn(instance, node.uuid);
    const { mode, text } = await seen;
    expect(mode).to.equal(0o600);
    const files = JSON.parse(text) as Record<string, string>;
    const metadata = JSON.parse(Buffer.from(files["openstack/latest/meta_data.json"] ?? "", "base64").toString());
    expect(metadata).to.deep.include({
      uuid: instance.uuid,
      hostname: "web",
      public_keys: { k: "ssh-ed25519 AAAA me" },
    });
    expect(Buffer.from(files["openstack/latest/user_data"] ?? "", "base64").toString()).to.equal("#!/bin/sh\n");
  });

  it("lets exactly one of two spawns at once have the node", async () => {
    const node = await bench.enrol();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    const results = await Promise.allSettled([
      bench.driver.spawn(bench.instance(), node.uuid),
      bench.driver.spawn(bench.instance(), node.uuid),
    ]);
    expect(results.map(({ status }) => status).sort()).to.deep.equal(["fulfilled", "rejected"]);
    const lost = results.find((result) => result.status === "rejected");
    expect((lost as PromiseRejectedResult).reason)
      .to.be.instanceOf(BaremetalError)
      .with.property("code", "Conflict");
  });

  it("releases the node, marked, when its BMC refuses before anything was done", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.faults.set("off", "RAKP 2 check failed for 127.0.0.1: the password differs from the BMC's");
    const error = await failure(bench.driver.spawn(instance, node.uuid));
    expect(error.message).to.include("the password differs");
    expect(await bench.context.nodes.get(node.id)).to.deep.include({
      instanceUuid: null,
      taskState: "deleted",
      provisionState: "available",
      fault: "power failure",
    });
    expect(existsSync(join(bench.tftpRoot, instance.uuid))).to.equal(false);
    expect(await readdir(join(bench.tftpRoot, "pxelinux.cfg"))).to.deep.equal([]);
    expect((await bench.driver.getAvailableResource(node.uuid))?.freeRamMb).to.equal(0);
  });

  it("keeps the node in error while the undo is not complete, and the reconciler ends it", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = () => bench.power.faults.set("*", "the BMC is silent");
    const short = await openDriverBenchWith(bench, 50);
    const error = await failure(short.spawn(instance, node.uuid));
    expect(error.message).to.include("never called the deploy helper").and.include("kept in state error");
    const stuck = await bench.context.nodes.get(node.id);
    expect(stuck).to.include({ taskState: "error", instanceUuid: instance.uuid });
    expect(stuck?.lastError).to.include("the BMC is silent");
    bench.power.faults.clear();
    await reconcile();
    expect(await bench.context.nodes.get(node.id)).to.include({
      taskState: "deleted",
      instanceUuid: null,
      fault: null,
    });
    expect(bench.power.on.has(node.id)).to.equal(false);
  });

  it("records the console from before power-on, ends that with a failed spawn, and keeps the log until destroy", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    const callsAtPower: string[] = [];
    bench.consoles.problem = "the serial console is not recorded: no Serial over LAN";
    bench.power.onPowerOn = () => {
      callsAtPower.push(...bench.consoles.calls);
      bench.power.faults.set("on", "the BMC is on fire");
    };
    const deadline = new AbortController();
    const spawn = failure(bench.driver.spawn(instance, node.uuid, { signal: deadline.signal }));
    await poll(async () => (callsAtPower.length > 0 ? true : undefined), {
      ...{ clock: systemClock, step: "power on", deadlineMs: 5000, intervalMs: 10 },
    });
    deadline.abort(new BaremetalError("Cancelled", "enough"));
    await spawn;
    const [start, stop] = [`start ${node.id} ${instance.uuid}`, `stop ${instance.uuid}`];
    expect(callsAtPower).to.deep.equal([start]);
    expect(bench.consoles.calls).to.deep.equal([start, stop]);
    await bench.driver.destroy(instance);
    expect(bench.consoles.calls).to.deep.equal([start, stop, `remove ${instance.uuid}`]);
    await bench.driver.destroy(instance, { keepConsoleLog: true });
    expect(bench.consoles.calls.slice(3), "the instance stays").to.deep.equal([stop]);
    const events = await bench.context.events.list({ instanceUuid: instance.uuid });
    expect(events.filter(({ step }) => step === "console").map(({ message }) => message)).to.deep.equal([
      bench.consoles.problem,
    ]);
    expect(await bench.driver.getConsoleOutput(instance, 5)).to.equal(`5 of ${instance.uuid}`);
  });

  it("ends with the ramdisk's own text when it reports one", async () => {
    const node = await bench.enrol();
    bench.power.onPowerOn = (id) => {
      void bench.context.deployments
        .current(id)
        .then((row) => bench.context.deployments.fail(row?.id ?? 0, null, "agent: no disk among sda,vda"));
    };
    const error = await failure(bench.driver.spawn(bench.instance(), node.uuid));
    expect(error.message).to.include("agent: no disk among sda,vda");
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "deleted", instanceUuid: null });
    expect(bench.power.on.has(node.id), "powered off by the undo").to.equal(false);
  });

  it("refuses an image without a kernel before it touches power", async () => {
    const node = await bench.enrol();
    const error = await failure(bench.driver.spawn(bench.instance({ kernelId: "" }), node.uuid));
    expect(error.message).to.include("kernel").and.include("kernel_id");
    expect(bench.power.calls).to.deep.equal([]);
    expect(await bench.context.nodes.get(node.id)).to.include({ instanceUuid: null });
  });

  it("destroys: power off, files gone, node free", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    await bench.driver.destroy(instance);
    expect(bench.power.on.has(node.id)).to.equal(false);
    expect(await bench.context.nodes.get(node.id)).to.include({
      instanceUuid: null,
      taskState: "deleted",
      provisionState: "available",
      pxeConfigPath: null,
      powerState: "power off",
    });
    expect(await readdir(bench.tftpRoot)).to.deep.equal(["pxelinux.cfg"]);
    expect(bench.consoles.calls.slice(-2)).to.deep.equal([`stop ${instance.uuid}`, `remove ${instance.uuid}`]);
    await bench.driver.destroy(instance);
  });

  it("keeps a node whose BMC is silent at destroy, and says so", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    bench.power.faults.set("off", "no answer from 127.0.0.1");
    expect((await failure(bench.driver.destroy(instance))).message).to.include("no answer from 127.0.0.1");
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "error", instanceUuid: instance.uuid });
    bench.power.faults.clear();
    await bench.driver.destroy(instance);
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "deleted", instanceUuid: null });
  });

  it("does not touch another host's node", async () => {
    const node = await bench.enrol({ serviceHost: "elsewhere" });
    const error = await failure(bench.driver.spawn(bench.instance(), node.uuid));
    expect(error).to.include({ code: "Conflict" });
    expect(error.message).to.include("belongs to host elsewhere");
  });

  it("picks a waiting deployment up again after a restart, without a second power cycle", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    const stop = new AbortController();
    const spawned = failure(bench.driver.spawn(instance, node.uuid, { signal: stop.signal }));
    await until(async () =>
      (await bench.context.events.list({ nodeId: node.id })).some(({ step }) => step === "wait for deployment"),
    );
    stop.abort(shutdownReason());
    await spawned;
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "prepared", instanceUuid: instance.uuid });
    const callsBefore = bench.power.calls.length;
    await bench.deploy(node.id);
    const second = await openDriverBenchWith(bench, 10_000);
    expect(await second.resume(instance)).to.deep.equal({ address: "10.0.0.9" });
    expect(bench.power.calls.length).to.equal(callsBefore);
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "active" });
  });

  it("resumes an instance whose node is active already, and touches nothing", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    const calls = bench.power.calls.length;
    bench.power.faults.set("*", "nobody may ask");
    expect(await bench.driver.resume(instance)).to.deep.equal({ address: "10.0.0.9" });
    expect(bench.power.calls.length).to.equal(calls);
  });

  it("does not undo on a node that carries a later tenant by now (R2)", async () => {
    const node = await bench.enrol();
    const first = bench.instance();
    const spawned = failure(bench.driver.spawn(first, node.uuid));
    await until(async () => (await bench.context.nodes.get(node.id))?.powerState === "power on");
    // Another process of the same host takes the first instance off and puts a second one on.
    const other = await openDriverBenchWith(bench, 10_000);
    await other.destroy(first);
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    const second = bench.instance();
    await other.spawn(second, node.uuid);
    await spawned;
    expect(bench.power.on.has(node.id), "the later tenant's machine runs").to.equal(true);
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "active", instanceUuid: second.uuid });
  });

  it("cleans up a node whose work was lost and whose instance failed, and leaves a living one alone", async () => {
    const node = await bench.enrol();
    const sizes = { rootMb: 1024, swapMb: 1, ephemeralMb: 0, ephemeralFormat: "ext3", preserveEphemeral: false };
    const instance = bench.instance();
    const names = { instanceUuid: instance.uuid, instanceName: "web", serviceHost: "compute1" };
    await bench.context.nodes.associate(node.uuid, { ...names, ...sizes });
    await systemClock.sleep(5);
    await reconcile(true, 1);
    expect(await bench.context.nodes.get(node.id)).to.include({ instanceUuid: instance.uuid, taskState: "building" });
    await reconcile(false, 1);
    expect(await bench.context.nodes.get(node.id)).to.include({ instanceUuid: null, taskState: "deleted" });
  });

  it("never cleans up a tenant's node, whatever becomes of the instance's row", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    await systemClock.sleep(5);
    await reconcile(false, 1);
    expect(await bench.context.nodes.get(node.id)).to.include({ instanceUuid: instance.uuid, taskState: "active" });
    expect(bench.power.on.has(node.id)).to.equal(true);
  });

  it("removes cached images that nobody needs or used for long", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    const cache = join(bench.folder, "cache");
    const [name] = await readdir(cache);
    const { images } = bench.context;
    expect(await images.prune(new Set([name ?? ""]), Date.now() + 1000)).to.equal(0);
    expect(await images.prune(new Set(), Date.now() - 3_600_000)).to.equal(0);
    expect(await images.prune(new Set(), Date.now() + 1000)).to.equal(1);
    expect(await readdir(cache)).to.deep.equal([]);
  });

  it("undoes a spawn that its user called off", async () => {
    const node = await bench.enrol();
    const stop = new AbortController();
    bench.power.onPowerOn = () => stop.abort(new BaremetalError("Cancelled", "deleted by its user"));
    const error = await failure(bench.driver.spawn(bench.instance(), node.uuid, { signal: stop.signal }));
    expect(error.message).to.include("deleted by its user");
    expect(await bench.context.nodes.get(node.id)).to.include({ taskState: "deleted", instanceUuid: null });
    expect(bench.power.on.size).to.equal(0);
  });

  it("tells the deployment's story in events", async () => {
    const node = await bench.enrol();
    const instance = bench.instance();
    bench.power.onPowerOn = (id) => void bench.deploy(id);
    await bench.driver.spawn(instance, node.uuid);
    const events = await bench.context.events.list({ instanceUuid: instance.uuid });
    const ended = events.filter(({ kind }) => kind === "end").map(({ step }) => step);
    expect(ended).to.deep.equal([
      "fetch images",
      "write boot configuration",
      "power off",
      "set boot device",
      "power on",
      "wait for deployment",
    ]);
    expect(JSON.stringify(events)).to.not.match(/secret|deployment_key/);
  });
});

/** Polls; the suite's own time limit is the deadline. */
async function until(probe: () => Promise<boolean>): Promise<void> {
  while (!(await probe())) await systemClock.sleep(5);
}

async function openDriverBenchWith(bench: DriverBench, deployDeadlineMs: number) {
  const { BareMetalDriver } = await import("../../driver/driver.ts");
  return new BareMetalDriver({ ...bench.context, settings: { ...bench.context.settings, deployDeadlineMs } });
}
