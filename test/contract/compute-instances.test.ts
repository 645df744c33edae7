// The life of instances on SQLite and MariaDB with the fake driver: retries, races, deletes while building, restarts.
import { expect } from "chai";
import { BaremetalError } from "../../lib/errors.ts";
import { ApiBench, until } from "../fakes/api-bench.ts";
import { onEachEngine } from "./engines.ts";

onEachEngine("compute: the life of an instance", (context) => {
  let bench: ApiBench;
  beforeEach(async () => {
    bench = await ApiBench.open({ reportIntervalMs: 3_600_000, databases: context().databases });
    await bench.furnish();
  });
  afterEach(() => bench.close());

  const settled = (id: string) =>
    until(`instance ${id} to settle`, async () => {
      const server = await bench.server(id);
      return server["OS-EXT-STS:task_state"] === null && server.status !== "BUILD" ? server : undefined;
    });
  const free = async () => (await bench.repositories.nodes.list({ associated: false })).length;
  const gone = (id: string) =>
    until(`${id} to be gone`, async () => (await bench.call("GET", `/servers/${id}`)).status === 404);
  const atSpawn = (count = 1) =>
    until("a spawn", async () => bench.driver.calls.filter((call) => call.startsWith("spawn")).length >= count);

  it("boots onto a node, and the node is free again after the delete, which may be repeated", async () => {
    const node = await bench.enrol("52:54:00:00:00:01");
    const id = await bench.boot("a");
    const server = await settled(id);
    expect(server).to.include({ status: "ACTIVE", progress: 100, "OS-EXT-SRV-ATTR:hypervisor_hostname": node.uuid });
    expect((await bench.call("GET", "/os-hypervisors/detail")).body.hypervisors[0]).to.include({
      free_ram_mb: 0,
      running_vms: 1,
    });
    expect((await bench.call("DELETE", `/servers/${id}`)).status).to.equal(204);
    expect((await bench.call("DELETE", `/servers/${id}`)).status).to.be.oneOf([204, 404]);
    await gone(id);
    expect(await free()).to.equal(1);
    expect((await bench.call("GET", "/os-hypervisors/detail")).body.hypervisors[0]).to.include({ free_ram_mb: 512 });
    expect(bench.driver.calls.filter((call) => call.startsWith("destroy"))).to.have.length(1);
  });

  it("two boots at once for one node: exactly one wins, the other finds no valid host", async () => {
    await bench.enrol("52:54:00:00:00:01");
    const ids = await Promise.all([bench.boot("a"), bench.boot("b")]);
    const servers = await Promise.all(ids.map(settled));
    expect(servers.map((one) => one.status).sort()).to.deep.equal(["ACTIVE", "ERROR"]);
    const loser = servers.find((one) => one.status === "ERROR");
    expect(loser.fault).to.include({ code: 500 });
    expect(loser.fault.message).to.match(/^No valid host was found/);
  });

  it("a node that another process takes first costs a retry, not the boot", async () => {
    const nodes = [await bench.enrol("52:54:00:00:00:01"), await bench.enrol("52:54:00:00:00:02")];
    // Another process took node 1; this one's view does not know yet (reports are an hour apart).
    const association = { rootMb: 1, swapMb: 0, ephemeralMb: 0, ephemeralFormat: null, preserveEphemeral: false };
    const other = { instanceUuid: "99999999-0000-4000-8000-000000000000", instanceName: "other", serviceHost: "h1" };
    await bench.repositories.nodes.associate(nodes[0]!.uuid, { ...association, ...other });
    const server = await settled(await bench.boot("a"));
    expect(server).to.include({ status: "ACTIVE", "OS-EXT-SRV-ATTR:hypervisor_hostname": nodes[1]!.uuid });
    expect(bench.driver.calls).to.have.length(2);
  });

  it("many boots at once on fewer nodes: as many ACTIVE as nodes, no node twice", async () => {
    for (const last of ["1", "2", "3"]) await bench.enrol(`52:54:00:00:00:0${last}`);
    const ids = await Promise.all(["a", "b", "c", "d", "e"].map((name) => bench.boot(name)));
    const servers = await Promise.all(ids.map(settled));
    const active = servers.filter((one) => one.status === "ACTIVE");
    expect(active).to.have.length(3);
    expect(new Set(active.map((one) => one["OS-EXT-SRV-ATTR:hypervisor_hostname"])).size).to.equal(3);
  });

  it("tries another node after a failure, at most three in all, and names the cause", async () => {
    const bad = await bench.enrol("52:54:00:00:00:01");
    const good = await bench.enrol("52:54:00:00:00:02");
    const cause = new BaremetalError("PeerUnreachable", "the BMC 10.0.0.7 did not answer within 10 s");
    bench.driver.behaviour.failSpawn = (uuid) => (uuid === bad.uuid ? cause : undefined);
    expect(await settled(await bench.boot("a"))).to.include({
      status: "ACTIVE",
      "OS-EXT-SRV-ATTR:hypervisor_hostname": good.uuid,
    });

    bench.driver.calls.length = 0;
    bench.driver.behaviour.failSpawn = () => cause;
    for (const last of ["3", "4", "5", "6"]) await bench.enrol(`52:54:00:00:00:0${last}`);
    const server = await settled(await bench.boot("b"));
    expect(server.status).to.equal("ERROR");
    expect(server.fault.message).to.include("the BMC 10.0.0.7 did not answer within 10 s");
    expect(server.fault.details.split("\n")).to.have.length(3);
    expect(bench.driver.calls).to.have.length(3);
    expect(await free()).to.equal(5);
  });

  it("does not try another node when the image is at fault", async () => {
    await bench.enrol("52:54:00:00:00:01");
    await bench.enrol("52:54:00:00:00:02");
    bench.driver.behaviour.failSpawn = () =>
      new BaremetalError("ImageUnacceptable", "the qcow2 image has a backing file");
    const server = await settled(await bench.boot("a"));
    expect(server.fault.message).to.include("the qcow2 image has a backing file");
    expect(bench.driver.calls).to.have.length(1);
  });

  it("a delete while it is building aborts the spawn, then destroys", async () => {
    await bench.enrol("52:54:00:00:00:01");
    bench.driver.behaviour.holdAt = "prepared";
    const id = await bench.boot("a");
    await atSpawn();
    expect(await bench.server(id)).to.include({ status: "BUILD", "OS-EXT-STS:task_state": "spawning" });
    expect((await bench.call("DELETE", `/servers/${id}`)).status).to.equal(204);
    await gone(id);
    expect(await free()).to.equal(1);
    expect(bench.driver.calls.at(-1)).to.equal("destroy a");
  });

  it("a failed destroy keeps the instance in ERROR with the fault; the next delete ends it", async () => {
    await bench.enrol("52:54:00:00:00:01");
    const id = await bench.boot("a");
    await settled(id);
    bench.driver.behaviour.failDestroy = () => new BaremetalError("PeerUnreachable", "the BMC 10.0.0.7 did not answer");
    await bench.call("DELETE", `/servers/${id}`);
    const server = await settled(id);
    expect(server.status).to.equal("ERROR");
    expect(server.fault.message).to.equal("Delete failed: the BMC 10.0.0.7 did not answer");
    expect(await free()).to.equal(0);
    delete bench.driver.behaviour.failDestroy;
    await bench.call("DELETE", `/servers/${id}`);
    await gone(id);
  });

  it("an instance whose node is gone can be deleted", async () => {
    await bench.enrol("52:54:00:00:00:01");
    const id = await bench.boot("a");
    await settled(id);
    bench.driver.behaviour.failDestroy = () => new BaremetalError("NotFound", "the node is not there");
    await bench.call("DELETE", `/servers/${id}`);
    await gone(id);
  });

  it("stop, start and reboot hold to the states; a failure leaves the state and says why", async () => {
    await bench.enrol("52:54:00:00:00:01");
    const id = await bench.boot("a");
    await settled(id);
    const act = (body: object) => bench.call("POST", `/servers/${id}/action`, body);
    const start = await act({ "os-start": null });
    expect(start.status).to.equal(409);
    expect(start.body.conflictingRequest.message).to.equal(
      `Cannot 'start' instance ${id} while it is in vm_state active`,
    );
    bench.driver.behaviour.failPower = () => new BaremetalError("PeerUnreachable", "the BMC 10.0.0.7 did not answer");
    expect((await act({ "os-stop": null })).status).to.equal(202);
    const failed = await settled(id);
    expect(failed.status).to.equal("ACTIVE");
    expect(failed.fault.message).to.equal("stop failed: the BMC 10.0.0.7 did not answer");
    delete bench.driver.behaviour.failPower;
    await act({ "os-stop": null });
    expect(await settled(id))
      .to.include({ status: "SHUTOFF", "OS-EXT-STS:power_state": 4 })
      .and.not.have.property("fault");
    expect((await act({ "os-stop": null })).status).to.equal(409);
    expect((await act({ reboot: { type: "SOFT" } })).status).to.equal(409);
    expect((await act({ reboot: { type: "HARD" } })).status).to.equal(202);
    expect(await settled(id)).to.include({ status: "ACTIVE", "OS-EXT-STS:power_state": 1 });
  });

  it("after a restart a deployment that waits is picked up again", async () => {
    await bench.enrol("52:54:00:00:00:01");
    bench.driver.behaviour.holdAt = "prepared";
    const id = await bench.boot("a");
    await until(
      "prepared",
      async () => (await bench.repositories.nodes.getByInstanceUuid(id))?.taskState === "prepared",
    );
    await bench.restart();
    expect(await bench.server(id)).to.include({ status: "BUILD", "OS-EXT-STS:task_state": "spawning" });
    await until("the resume", async () => bench.driver.calls.includes("resume a"));
    bench.driver.release();
    expect(await settled(id)).to.include({ status: "ACTIVE" });
  });

  it("after a restart a resumed deployment that fails is the instance's failure", async () => {
    await bench.enrol("52:54:00:00:00:01");
    bench.driver.behaviour.holdAt = "prepared";
    const id = await bench.boot("a");
    await until(
      "prepared",
      async () => (await bench.repositories.nodes.getByInstanceUuid(id))?.taskState === "prepared",
    );
    bench.driver.behaviour.failSpawn = () => new BaremetalError("DeployFailed", "the ramdisk said: no disk");
    await bench.restart(async () => {
      delete bench.driver.behaviour.holdAt;
    });
    const server = await settled(id);
    expect(server.fault.message).to.include("the ramdisk said: no disk");
    expect(await free()).to.equal(1);
  });

  it("after a restart a build that had not reached the node is undone and becomes ERROR", async () => {
    await bench.enrol("52:54:00:00:00:01");
    bench.driver.behaviour.holdAt = "building";
    const id = await bench.boot("a");
    await until("associated", async () => (await bench.repositories.nodes.getByInstanceUuid(id)) !== undefined);
    await bench.restart();
    const server = await settled(id);
    expect(server.status).to.equal("ERROR");
    expect(server.fault.message).to.match(/^The compute service was restarted/);
    expect(bench.driver.calls.at(-1)).to.equal("destroy a, keep its console log");
    expect(await free()).to.equal(1);
  });

  it("after a restart deleting is resumed, and a stop is done again", async () => {
    await bench.enrol("52:54:00:00:00:01");
    await bench.enrol("52:54:00:00:00:02");
    const [first, second] = [await bench.boot("a"), await bench.boot("b")];
    await settled(first);
    await settled(second);
    await bench.restart(async () => {
      await bench.repositories.instances.update(first, { taskState: "deleting" });
      await bench.repositories.instances.update(second, { taskState: "powering-off" });
    });
    await gone(first);
    expect(await settled(second)).to.include({ status: "SHUTOFF" });
  });

  it("after a restart a deployment that failed in the meantime is the instance's failure, by its own words", async () => {
    await bench.enrol("52:54:00:00:00:01");
    bench.driver.behaviour.holdAt = "prepared";
    const id = await bench.boot("a");
    await until(
      "prepared",
      async () => (await bench.repositories.nodes.getByInstanceUuid(id))?.taskState === "prepared",
    );
    await bench.restart(async () => {
      const [deployment] = await bench.repositories.deployments.listByInstance(id);
      await bench.repositories.deployments.fail(deployment!.id, null, "the ramdisk said: no disk");
    });
    const server = await settled(id);
    expect(server.fault.message).to.match(/^Build on node .* failed: the ramdisk said: no disk$/);
    expect(await free()).to.equal(1);
  });

  it("takes up work that was lost while it ran, such as by a database that was away", async () => {
    const { databases } = context();
    const other = await ApiBench.open({ reportIntervalMs: 20, orphanAgeMs: 200, databases });
    try {
      await other.enrol("52:54:00:00:00:01");
      const id = await other.boot("a");
      await until("ACTIVE", async () => (await other.server(id)).status === "ACTIVE");
      await other.repositories.instances.update(id, { taskState: "deleting" });
      await until("the delete", async () => (await other.call("GET", `/servers/${id}`)).status === 404);
      expect(other.driver.calls.at(-1)).to.equal("destroy a");
    } finally {
      await other.close();
    }
  });

  it("reports nodes at once after they are enrolled, and forgets them when they are gone", async () => {
    const node = await bench.enrol("52:54:00:00:00:01");
    const names = async () =>
      (await bench.call("GET", "/os-hypervisors")).body.hypervisors.map(
        (one: { hypervisor_hostname: string }) => one.hypervisor_hostname,
      );
    expect(await names()).to.deep.equal([node.uuid]);
    expect((await bench.call("DELETE", `/os-baremetal-nodes/${node.id}`)).status).to.equal(202);
    expect(await names()).to.deep.equal([]);
  });
});
