// The repositories of the compute side on both engines: conditional updates, soft deletes, what comes back as it went in.
import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { ComputeNodeRepository, type ComputeNodeView } from "../../db/compute-nodes.ts";
import { FlavorRepository } from "../../db/flavors.ts";
import { ImageRepository } from "../../db/images.ts";
import { InstanceRepository, type NewInstance } from "../../db/instances.ts";
import { KeyPairRepository } from "../../db/key-pairs.ts";
import { ServiceRepository } from "../../db/services.ts";
import { failureOf } from "./baremetal.ts";
import { onEachEngine, TestClock } from "./engines.ts";

const flavor = {
  id: "1",
  name: "bm",
  ram: 1024,
  vcpus: 2,
  disk: 10,
  ephemeral: 0,
  swap: 0,
  extraSpecs: { cpu_arch: "x86_64" },
};

function newInstance(values: Partial<NewInstance> = {}): NewInstance {
  return {
    uuid: randomUUID(),
    displayName: "web",
    hostname: "web",
    projectId: "p1",
    userId: "u1",
    imageRef: randomUUID(),
    flavor,
    memoryMb: 1024,
    vcpus: 2,
    rootGb: 10,
    ephemeralGb: 0,
    vmState: "building",
    taskState: "scheduling",
    ...values,
  };
}

function view(hypervisorHostname: string, values: Partial<ComputeNodeView> = {}): ComputeNodeView {
  return {
    host: "compute-1",
    hypervisorHostname,
    hypervisorType: "baremetal",
    hypervisorVersion: 1,
    cpuInfo: "baremetal cpu",
    vcpus: 2,
    vcpusUsed: 0,
    memoryMb: 1024,
    memoryMbUsed: 0,
    localGb: 10,
    localGbUsed: 0,
    freeRamMb: 1024,
    freeDiskGb: 10,
    runningVms: 0,
    stats: { cpu_arch: "x86_64" },
    supportedInstances: [["x86_64", "baremetal", "hvm"]],
    ...values,
  };
}

onEachEngine("instances", (context) => {
  let clock: TestClock;
  let instances: InstanceRepository;
  beforeEach(() => {
    clock = new TestClock();
    instances = new InstanceRepository(context().databases.nova, clock);
  });

  it("keeps all that a user gave", async () => {
    const values = newInstance({
      keyName: "k",
      keyData: "ssh-rsa AAAA",
      userData: Buffer.alloc(60_000, "ü").toString("base64"),
      metadata: { role: "wéb" },
      personality: [{ path: "/etc/motd", contents: "aGk=" }],
      configDrive: true,
      launchedAt: new Date(clock.now()),
    });
    const made = await instances.create(values);
    expect(made).to.deep.include(values);
    expect(made).to.include({ deleted: false, powerState: 0, progress: 0, fault: null, node: null, kernelId: null });
    expect(await instances.get(values.uuid)).to.deep.equal(made);
    expect(await failureOf(instances.create(values))).to.include({ code: "Conflict" });
  });

  it("updates only from the expected states", async () => {
    const { uuid } = await instances.create(newInstance());
    clock.advance(1500);
    const claim = { expectedVmState: "building", expectedTaskState: [null, "scheduling"] };
    expect(await instances.update(uuid, { taskState: "spawning", host: "h", node: "n" }, claim)).to.equal(true);
    expect(await instances.update(uuid, { taskState: null }, { expectedTaskState: "scheduling" })).to.equal(false);
    expect(await instances.update(uuid, { taskState: null }, { expectedTaskState: null })).to.equal(false);
    expect(await instances.update(uuid, { taskState: null }, { expectedVmState: ["active", "stopped"] })).to.equal(
      false,
    );
    const fault = { code: 500, message: "no valid host", created: "2026-01-02T03:04:05Z" };
    expect(await instances.update(uuid, { vmState: "error", taskState: null, fault })).to.equal(true);
    const read = await instances.get(uuid);
    expect(read).to.deep.include({ vmState: "error", taskState: null, fault, host: "h", node: "n" });
    expect(Number(read?.updatedAt) - Number(read?.createdAt)).to.equal(1500);
    expect(await instances.update(uuid, { progress: 5 }, { expectedTaskState: [null, "deleting"] })).to.equal(true);
    expect(await instances.update(randomUUID(), { progress: 5 })).to.equal(false);
  });

  it("lets one of two conditional updates win", async () => {
    const { uuid } = await instances.create(newInstance({ vmState: "active", taskState: null }));
    const tries = ["deleting", "powering-off", "rebooting"].map((taskState) =>
      instances.update(uuid, { taskState }, { expectedTaskState: null }),
    );
    expect((await Promise.all(tries)).filter(Boolean)).to.have.length(1);
  });

  it("deletes softly, once", async () => {
    const { uuid, id } = await instances.create(newInstance());
    expect(await instances.destroy(uuid, { expectedTaskState: "deleting" })).to.equal(false);
    expect(await instances.destroy(uuid)).to.equal(true);
    expect(await instances.destroy(uuid)).to.equal(false);
    expect(await instances.update(uuid, { progress: 1 })).to.equal(false);
    expect(await instances.get(uuid)).to.equal(undefined);
    const gone = await instances.get(uuid, { includeDeleted: true });
    expect(gone).to.include({ deleted: true, vmState: "deleted", taskState: null });
    expect(gone?.terminatedAt).to.deep.equal(new Date(clock.now()));
    expect((await context().databases.nova("instances").where({ uuid }).first()).deleted).to.equal(id);
  });

  it("lists newest first, by any filter", async () => {
    const a = await instances.create(newInstance({ displayName: "a", host: "h1", node: "n1", vmState: "active" }));
    const b = await instances.create(newInstance({ displayName: "b", projectId: "p2", userId: "u2" }));
    await instances.destroy((await instances.create(newInstance())).uuid);
    const names = async (filter?: Parameters<InstanceRepository["list"]>[0]) =>
      (await instances.list(filter)).map(({ uuid }) => uuid);
    expect(await names()).to.deep.equal([b.uuid, a.uuid]);
    expect(await names({ includeDeleted: true })).to.have.length(3);
    for (const filter of [{ projectId: "p2" }, { userId: "u2" }, { name: "b" }, { vmState: ["building", "error"] }]) {
      expect(await names(filter), JSON.stringify(filter)).to.deep.equal([b.uuid]);
    }
    for (const filter of [{ host: "h1" }, { node: "n1" }, { vmState: "active" }]) {
      expect(await names(filter), JSON.stringify(filter)).to.deep.equal([a.uuid]);
    }
  });

  it("answers the wiki's crash report of an instance", async () => {
    const { uuid } = await instances.create(newInstance({ node: "n1", launchedOn: "compute-1" }));
    const columns =
      "node, created_at, updated_at, deleted_at, image_ref, kernel_id, ramdisk_id, scheduled_at, launched_at, updated_at, launched_on, vm_state, power_state, task_state, memory_mb, vcpus, root_gb, ephemeral_gb";
    const row = await context().databases.nova("instances").select(columns.split(", ")).where({ uuid }).first();
    expect(row).to.include({ node: "n1", launched_on: "compute-1", vm_state: "building", root_gb: 10 });
  });
});

onEachEngine("compute side", (context) => {
  const clock = new TestClock();

  it("keeps flavors and their extra specs", async () => {
    const flavors = new FlavorRepository(context().databases.nova, clock);
    const made = await flavors.create({ ...flavor, rxtxFactor: 1.5, description: "d" });
    expect(made).to.deep.equal({ ...flavor, rxtxFactor: 1.5, description: "d", isPublic: true, disabled: false });
    expect(await flavors.get("1")).to.deep.equal(made);
    expect(await flavors.getByName("bm")).to.deep.equal(made);
    expect(await failureOf(flavors.create({ ...flavor, id: "2" }))).to.include({ code: "Conflict" });
    expect(await failureOf(flavors.create({ ...flavor, name: "x" }))).to.include({ code: "Conflict" });
    await flavors.setExtraSpecs("1", { "baremetal:deploy_kernel_id": "k", cpu_arch: "i386" });
    const specs = (await flavors.get("1"))?.extraSpecs;
    expect(specs).to.deep.equal({ cpu_arch: "i386", "baremetal:deploy_kernel_id": "k" });
    expect(await flavors.deleteExtraSpec("1", "none")).to.equal(undefined);
    expect((await flavors.deleteExtraSpec("1", "cpu_arch"))?.extraSpecs).to.deep.equal({
      "baremetal:deploy_kernel_id": "k",
    });
    expect(await flavors.setExtraSpecs("9", { a: "b" })).to.equal(undefined);
    await flavors.create({ id: "small", name: "small", ram: 1, vcpus: 1, disk: 1, isPublic: false });
    expect((await flavors.list()).map(({ id }) => id)).to.deep.equal(["small", "1"]);
    expect((await flavors.list({ isPublic: true })).map(({ id }) => id)).to.deep.equal(["1"]);
    expect(await flavors.destroy("1")).to.equal(true);
    expect(await flavors.destroy("1")).to.equal(false);
  });

  it("loses no extra spec of two writers", async () => {
    const flavors = new FlavorRepository(context().databases.nova, clock);
    await flavors.create({ ...flavor, extraSpecs: {} });
    await Promise.all(Array.from({ length: 8 }, (_, index) => flavors.setExtraSpecs("1", { [`k${index}`]: "v" })));
    expect(Object.keys((await flavors.get("1"))?.extraSpecs ?? {})).to.have.length(8);
  });

  it("keeps key pairs by user", async () => {
    const keyPairs = new KeyPairRepository(context().databases.nova, clock);
    const values = {
      userId: "u1",
      name: "k",
      type: "ssh",
      fingerprint: "aa:bb",
      publicKey: `ssh-rsa ${"A".repeat(5000)}`,
    };
    const made = await keyPairs.create(values);
    expect(await keyPairs.get("u1", "k")).to.deep.equal(made);
    await keyPairs.create({ ...values, userId: "u2" });
    await keyPairs.create({ ...values, name: "a" });
    const error = await failureOf(keyPairs.create(values));
    expect(error).to.include({ code: "Conflict", message: "Key pair 'k' already exists." });
    expect((await keyPairs.list("u1")).map(({ name }) => name)).to.deep.equal(["a", "k"]);
    expect(await keyPairs.destroy("u1", "k")).to.equal(true);
    expect(await keyPairs.destroy("u1", "k")).to.equal(false);
    expect(await keyPairs.get("u2", "k")).to.include({ userId: "u2" });
  });

  it("keeps images with sizes beyond 32 bits", async () => {
    const images = new ImageRepository(context().databases.nova, clock);
    const id = randomUUID();
    const made = await images.create({ id, name: "cirros", tags: ["a"], properties: { kernel_id: "k" }, owner: "p1" });
    expect(made).to.include({ status: "queued", visibility: "shared", protected: false, minDisk: 0, sizeBytes: null });
    const done = {
      status: "active",
      sizeBytes: 2 ** 40 + 1,
      virtualSizeBytes: 2 ** 41,
      sha256: "ab".repeat(32),
    } as const;
    expect(await images.update(id, done, { expectedStatus: "saving" })).to.equal(false);
    expect(await images.update(id, done, { expectedStatus: "queued" })).to.equal(true);
    expect(await images.get(id)).to.deep.include({ ...made, ...done, updatedAt: new Date(clock.now()) });
    await images.create({ id: randomUUID(), name: "mine", visibility: "private", owner: "p2" });
    await images.create({ id: randomUUID(), name: "all", visibility: "public", owner: "p3" });
    const names = async (filter: Parameters<ImageRepository["list"]>[0]) =>
      (await images.list(filter)).map(({ name }) => name).sort();
    expect(await names({ visibleTo: "p2" })).to.deep.equal(["all", "mine"]);
    expect(await names({ status: "active" })).to.deep.equal(["cirros"]);
    expect(await names({ name: "all", visibility: "public" })).to.deep.equal(["all"]);
    expect(await failureOf(images.create({ id }))).to.include({ code: "Conflict" });
    expect(await images.destroy(id)).to.equal(true);
    expect(await images.get(id)).to.equal(undefined);
    expect(await images.destroy(id)).to.equal(false);
    expect(await images.update(id, { status: "queued" }), "a deleted image does not come back").to.equal(false);
    expect(await names({}), "is not listed").to.deep.equal(["all", "mine"]);
    expect(await names({ status: "deleted" })).to.deep.equal([]);
    expect(await failureOf(images.create({ id })), "its id is nobody else's").to.include({ code: "Conflict" });
  });

  it("notes heartbeats, the first ones of two processes too", async () => {
    const services = new ServiceRepository(context().databases.nova, clock);
    await Promise.all(Array.from({ length: 4 }, () => services.heartbeat("h1", "baremetal-compute")));
    clock.advance(10_000);
    await services.heartbeat("h1", "baremetal-compute");
    const [service, ...others] = await services.list();
    expect(others).to.deep.equal([]);
    expect(Number(service?.lastSeenUp) - Number(service?.createdAt)).to.equal(10_000);
    expect(await services.setDisabled(service?.id ?? 0, true)).to.equal(true);
    expect(await services.list({ host: "h1", binary: "baremetal-compute" })).to.deep.equal([
      { ...service, disabled: true },
    ]);
    expect(await services.list({ host: "h2" })).to.deep.equal([]);
    expect(await services.destroy(service?.id ?? 0)).to.equal(true);
  });

  it("keeps one view of each node, and forgets the gone ones", async () => {
    const computeNodes = new ComputeNodeRepository(context().databases.nova, clock);
    const [first] = await Promise.all(Array.from({ length: 4 }, () => computeNodes.upsert(view("n1"))));
    clock.advance(1000);
    const again = await computeNodes.upsert(view("n1", { vcpusUsed: 2, runningVms: 1 }));
    expect(again).to.deep.include({
      ...view("n1"),
      vcpusUsed: 2,
      runningVms: 1,
      id: first?.id,
      createdAt: first?.createdAt,
    });
    await computeNodes.upsert(view("n2"));
    await computeNodes.upsert(view("n3", { host: "compute-2" }));
    expect(await computeNodes.removeMissing("compute-1", ["n1"])).to.equal(1);
    expect((await computeNodes.list()).map((node) => node.hypervisorHostname)).to.deep.equal(["n1", "n3"]);
    expect(await computeNodes.list({ host: "compute-1" })).to.have.length(1);
    expect(await computeNodes.getByHypervisorHostname("n2")).to.equal(undefined);
    expect(await computeNodes.get(again.id)).to.deep.equal(again);
    await computeNodes.upsert(view("n2"));
    expect(await computeNodes.removeMissing("compute-1", []), "a node that comes and goes").to.equal(2);
  });
});
