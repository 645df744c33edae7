// NodeRepository and InterfaceRepository on both engines: taking, giving back, and what may never be left behind.
import { randomBytes, randomUUID } from "node:crypto";
import { expect } from "chai";
import { NodeRepository } from "../../db/nodes.ts";
import { SecretBox } from "../../db/secret-box.ts";
import { associationFor, failureOf, Rack, secretBox } from "./baremetal.ts";
import { onEachEngine, open } from "./engines.ts";

onEachEngine("nodes", (context) => {
  let rack: Rack;
  beforeEach(() => {
    rack = new Rack(context().databases);
  });

  it("enrols a node with its ports and reads it back", async () => {
    const node = await rack.nodes.create(
      {
        name: "n1",
        cpus: 2,
        memoryMb: 1024,
        localGb: 20,
        pmPassword: "pässword",
        driverInfo: { kg: 1 },
        serviceHost: "h",
      },
      [{ address: "52:54:00:AA-BB:01", portNo: 3 }, { address: "52:54:00:aa:bb:02" }],
    );
    const read = await rack.node(node.id);
    expect(read).to.deep.equal(node);
    expect(read).to.include({
      name: "n1",
      cpus: 2,
      pmPassword: "pässword",
      provisionState: "available",
      taskState: null,
    });
    expect(read.driverInfo).to.deep.equal({ kg: 1 });
    expect(read.maintenance).to.equal(false);
    expect(read.createdAt).to.deep.equal(new Date(rack.clock.now()));
    const ports = await rack.interfaces.listByNode(node.id);
    expect(ports.map(({ address, portNo }) => [address, portNo])).to.deep.equal([
      ["52:54:00:aa:bb:01", 3],
      ["52:54:00:aa:bb:02", null],
    ]);
    expect(await rack.nodes.getByUuid(node.uuid)).to.deep.equal(node);
  });

  it("keeps the BMC password sealed, and reads one that the original left plain (S4)", async () => {
    const { baremetal } = context().databases;
    const { id } = await rack.enrol();
    const row = await baremetal("bm_nodes").where({ id }).first("pm_password");
    expect(row.pm_password).to.match(/^v1:/).and.not.contain("s3cret");
    expect(secretBox.open(row.pm_password)).to.equal("s3cret");
    await baremetal("bm_nodes").where({ id }).update({ pm_password: "plain" });
    expect((await rack.node(id)).pmPassword).to.equal("plain");
    await rack.nodes.update(id, { pmPassword: "plain" });
    expect((await baremetal("bm_nodes").where({ id }).first("pm_password")).pm_password).to.match(/^v1:/);
    expect((await rack.node(id)).pmPassword).to.equal("plain");
  });

  it("a password sealed with another key is that node's trouble only: it is listed, mended and deleted", async () => {
    const { baremetal } = context().databases;
    const [well, ill, gone] = [await rack.enrol(), await rack.enrol(), await rack.enrol()];
    const sealed = new SecretBox(randomBytes(32)).seal("s3cret");
    await baremetal("bm_nodes").whereIn("id", [ill.id, gone.id]).update({ pm_password: sealed });
    const listed = await rack.nodes.list();
    expect(listed.map(({ id, pmPassword }) => [id, pmPassword])).to.deep.equal([
      [well.id, "s3cret"],
      [ill.id, null],
      [gone.id, null],
    ]);
    expect(listed[0]).to.not.have.property("pmPasswordError");
    expect(listed[1]?.pmPasswordError).to.contain("secret_key_file").and.not.contain(sealed);
    await rack.nodes.setLastError(ill.id, "seen");
    expect((await baremetal("bm_nodes").where({ id: ill.id }).first()).pm_password, "kept").to.equal(sealed);
    await rack.nodes.update(ill.id, { pmPassword: "new" });
    expect(await rack.node(ill.id))
      .to.include({ pmPassword: "new" })
      .and.not.have.property("pmPasswordError");
    await rack.nodes.destroy(gone.id);
    expect(await rack.nodes.get(gone.id)).to.equal(undefined);
  });

  it("keeps the ports of a node in use: a freed MAC could be enrolled for another machine", async () => {
    const node = await rack.nodes.create({}, [{ address: "52:54:00:00:00:01" }]);
    const { id, instanceUuid } = await rack.taken(node);
    const error = await failureOf(rack.interfaces.destroyBy(node.id, { address: "52:54:00:00:00:01" }));
    expect(error).to.include({ code: "Conflict" });
    expect(error.message).to.contain(instanceUuid);
    expect(await rack.interfaces.listByNode(node.id)).to.have.length(1);
    await rack.nodes.release(id);
    expect(await rack.interfaces.destroyBy(node.id, { address: "52:54:00:00:00:01" })).to.equal(true);
  });

  it("takes no column from outside but the inventory (S4)", async () => {
    const values = { cpus: 1, id: 77, instanceUuid: randomUUID(), taskState: "active", deployKey: "x" };
    const node = await rack.nodes.create(values as Parameters<typeof rack.nodes.create>[0]);
    expect(node).to.include({ instanceUuid: null, taskState: null, cpus: 1 });
    expect(node.id).to.not.equal(77);
  });

  it("leaves nothing behind of a node with a MAC that is taken (R11)", async () => {
    const first = await rack.nodes.create({}, [{ address: "52:54:00:00:00:01" }]);
    const work = rack.nodes.create({ name: "second" }, [
      { address: "52:54:00:00:00:02" },
      { address: "52:54:00:00:00:01" },
    ]);
    const error = await failureOf(work);
    expect(error).to.include({ code: "Conflict" });
    expect(error.message).to.contain("52:54:00:00:00:01");
    expect((await rack.nodes.list()).map(({ id }) => id)).to.deep.equal([first.id]);
    expect(await rack.interfaces.listAll()).to.have.length(1);
  });

  it("refuses a uuid that is taken", async () => {
    const { uuid } = await rack.enrol();
    expect(await failureOf(rack.nodes.create({ uuid }))).to.include({ code: "Conflict" });
  });

  it("lists by host and by use", async () => {
    const used = await rack.enrol();
    const free = await rack.enrol();
    const other = await rack.nodes.create({ serviceHost: "compute-2" });
    await rack.taken(used);
    const ids = async (filter?: Parameters<NodeRepository["list"]>[0]) =>
      (await rack.nodes.list(filter)).map(({ id }) => id);
    expect(await ids()).to.deep.equal([used.id, free.id, other.id]);
    expect(await ids({ serviceHost: "compute-1" })).to.deep.equal([used.id, free.id]);
    expect(await ids({ associated: true })).to.deep.equal([used.id]);
    expect(await ids({ associated: false, serviceHost: "compute-1" })).to.deep.equal([free.id]);
  });

  it("takes a node for an instance and opens its deployment", async () => {
    const node = await rack.enrol();
    const instanceUuid = randomUUID();
    const deployment = await rack.nodes.associate(node.uuid, associationFor(instanceUuid));
    expect(deployment).to.include({
      nodeId: node.id,
      nodeUuid: node.uuid,
      instanceUuid,
      state: "building",
      rootMb: 2048,
    });
    expect(deployment).to.include({ bytesDone: 0, attempts: 0, cancelRequested: false, leaseHolder: null });
    expect(await rack.nodes.getByInstanceUuid(instanceUuid)).to.include({
      id: node.id,
      taskState: "building",
      provisionState: "deploying",
      targetProvisionState: "active",
      deploymentId: deployment.id,
      instanceName: "web-1",
    });
    expect(await rack.deployments.current(node.id)).to.deep.equal(deployment);
  });

  it("lets exactly one of many win a node, from two connections", async () => {
    const node = await rack.enrol();
    const second = await open(context().urls);
    try {
      const rival = new NodeRepository(second.baremetal, secretBox, rack.clock);
      const tries = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? rack.nodes : rival));
      const ends = await Promise.allSettled(tries.map((one) => one.associate(node.uuid, associationFor(randomUUID()))));
      const losers = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
      expect(losers).to.have.length(9);
      for (const loser of losers) {
        expect(loser).to.include({ code: "Conflict", message: `node ${node.uuid} is in use` });
      }
      expect(await context().databases.baremetal("bm_deployments").pluck("bm_node_id")).to.deep.equal([node.id]);
    } finally {
      await second.close();
    }
  });

  it("gives an instance one node only (R6)", async () => {
    const [a, b] = [await rack.enrol(), await rack.enrol()];
    const values = associationFor(randomUUID());
    await rack.nodes.associate(a.uuid, values);
    expect(await failureOf(rack.nodes.associate(b.uuid, values))).to.include({ code: "Conflict" });
    expect(await rack.node(b.id)).to.include({ instanceUuid: null, taskState: null, provisionState: "available" });
  });

  it("does not take a node that is unknown, in maintenance or deleted", async () => {
    const values = associationFor(randomUUID());
    expect(await failureOf(rack.nodes.associate(randomUUID(), values))).to.include({ code: "NotFound" });
    const ill = await rack.enrol();
    await rack.nodes.update(ill.id, { maintenance: true });
    expect((await failureOf(rack.nodes.associate(ill.uuid, values))).message).to.contain("maintenance");
    const gone = await rack.enrol();
    await rack.nodes.destroy(gone.id);
    expect(await failureOf(rack.nodes.associate(gone.uuid, values))).to.include({ code: "NotFound" });
  });

  it("destroys a node with its ports, but not one in use (R9)", async () => {
    const node = await rack.nodes.create({}, [{ address: "52:54:00:00:00:01" }]);
    const { id } = await rack.taken(node);
    const error = await failureOf(rack.nodes.destroy(node.id));
    expect(error).to.include({ code: "Conflict" });
    expect(await rack.interfaces.listAll()).to.have.length(1);
    await rack.nodes.release(id);
    await rack.nodes.destroy(node.id);
    expect(await rack.nodes.get(node.id)).to.equal(undefined);
    expect(await rack.interfaces.listAll()).to.deep.equal([]);
    expect(await failureOf(rack.nodes.destroy(node.id))).to.include({ code: "NotFound" });
    const row = await context().databases.baremetal("bm_nodes").where({ id: node.id }).first();
    expect(row.deleted_at).to.not.equal(null);
  });

  it("notes power and errors, and counts a write that changes nothing", async () => {
    const { id } = await rack.enrol();
    const report = { powerState: "power on", fault: "power failure", lastError: "no answer" } as const;
    expect(await rack.nodes.setPower(id, report)).to.equal(true);
    expect(await rack.nodes.setPower(id, report)).to.equal(true);
    expect(await rack.node(id)).to.include(report);
    expect(await rack.nodes.setLastError(id, null)).to.equal(true);
    expect(await rack.node(id)).to.include({ lastError: null, fault: "power failure" });
    expect(await rack.nodes.setPower(id + 1000, report)).to.equal(false);
  });

  it("adds, finds and removes ports in any spelling of a MAC (R14)", async () => {
    const { id } = await rack.enrol();
    const port = await rack.interfaces.create(id, { address: "52:54:00:AB:CD:EF", datapathId: "0x1" });
    expect(port).to.include({ address: "52:54:00:ab:cd:ef", datapathId: "0x1", nodeId: id, vifUuid: null });
    expect(await rack.interfaces.getByAddress("52-54-00-ab-CD-ef")).to.deep.equal(port);
    expect(await failureOf(rack.interfaces.create(id, { address: "52:54:00:ab:cd:EF" }))).to.include({
      code: "Conflict",
    });
    expect(await failureOf(rack.interfaces.create(id, { address: "52:54:00" }))).to.include({ code: "BadInput" });
    expect(await failureOf(rack.interfaces.create(id + 999, { address: "52:54:00:00:00:09" }))).to.include({
      code: "NotFound",
    });
    expect(await rack.interfaces.destroyBy(id, { id: port.id, address: "52:54:00:00:00:00" })).to.equal(false);
    expect(await rack.interfaces.destroyBy(id + 1, { id: port.id })).to.equal(false);
    expect(await rack.interfaces.destroyBy(id, { address: "52:54:00:AB:CD:EF" })).to.equal(true);
    expect(await rack.interfaces.listAll()).to.deep.equal([]);
  });

  it("plugs a virtual interface into one port only", async () => {
    const { id } = await rack.enrol();
    const a = await rack.interfaces.create(id, { address: "52:54:00:00:00:01" });
    const b = await rack.interfaces.create(id, { address: "52:54:00:00:00:02" });
    const vif = randomUUID();
    await rack.interfaces.setVif(a.id, vif);
    expect(await failureOf(rack.interfaces.setVif(b.id, vif))).to.include({ code: "Conflict" });
    expect(await failureOf(rack.interfaces.setVif(b.id + 99, null))).to.include({ code: "NotFound" });
    await rack.interfaces.clearVifs(id);
    await rack.interfaces.setVif(b.id, vif);
    expect((await rack.interfaces.listByNode(id)).map(({ vifUuid }) => vifUuid)).to.deep.equal([null, vif]);
  });

  it("answers the wiki's crash report of a node", async () => {
    const { nodeId, instanceUuid } = await rack.prepared();
    const columns =
      "uuid, created_at, updated_at, deleted_at, cpus, memory_mb, local_gb, root_mb, swap_mb, service_host, instance_uuid, instance_name, task_state, pxe_config_path";
    const row = await context()
      .databases.baremetal("bm_nodes")
      .select(columns.split(", "))
      .where({ instance_uuid: instanceUuid })
      .first();
    expect(row).to.include({
      task_state: "prepared",
      pxe_config_path: "/tftpboot/x/config",
      root_mb: 2048,
      swap_mb: 1,
    });
    expect(row.uuid).to.equal((await rack.node(nodeId)).uuid);
  });
});
