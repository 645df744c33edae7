// Migrations on both engines: up, down and up again with rows in the tables; adoption of the original; refusals; two at once.
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Databases } from "../../db/database.ts";
import { assertCurrent, sync, syncSchema, version } from "../../db/migrate.ts";
import { novaMigrations } from "../../db/migration-source.ts";
import { dialectOf } from "../../db/table-map.ts";
import { failureOf, Rack } from "./baremetal.ts";
import { engines, mariaDb, open, type Urls } from "./engines.ts";

/** The columns of bm_nodes after the original's migration 010 (nova-baremetal.md 2.1). */
const JUNO_COLUMNS =
  "created_at updated_at deleted_at deleted id cpus memory_mb local_gb pm_address pm_user pm_password service_host instance_uuid task_state terminal_port image_path pxe_config_path deploy_key root_mb swap_mb uuid instance_name ephemeral_mb preserve_ephemeral".split(
    " ",
  );

for (const engine of engines) {
  describe(`migrations on ${engine.name}`, () => {
    let urls: Urls;
    let databases: Databases;
    beforeEach(async () => {
      urls = await engine.freshUrls();
      databases = await open(urls);
    });
    afterEach(() => databases.close());

    const columns = async (table: string) => Object.keys(await databases.baremetal(table).columnInfo()).sort();

    it("goes from nothing to the newest, and is silent when there", async () => {
      expect(await version(databases)).to.equal(0);
      await sync(databases);
      expect(await version(databases)).to.equal(11);
      await sync(databases);
      expect(await databases.baremetal.schema.hasTable("bm_deployments")).to.equal(true);
      expect(await databases.nova.schema.hasTable("compute_nodes")).to.equal(true);
    });

    it("has the original's columns at version 10, and nothing at 0", async () => {
      await sync(databases, { version: 10 });
      expect(await columns("bm_nodes")).to.deep.equal([...JUNO_COLUMNS].sort());
      await sync(databases, { version: 0 });
      expect(await version(databases)).to.equal(0);
      expect(await databases.baremetal.schema.hasTable("bm_nodes")).to.equal(false);
      expect(await databases.nova.schema.hasTable("instances")).to.equal(false);
      await sync(databases);
      expect(await version(databases)).to.equal(11);
    });

    it("keeps the nodes on the way down to 10 and up again", async () => {
      await sync(databases);
      const rack = new Rack(databases);
      const node = await rack.nodes.create({ name: "n1", cpus: 3, pmPassword: "geheim", serviceHost: "h" }, [
        { address: "52:54:00:00:00:01" },
      ]);
      const active = await rack.claimed("h");
      await rack.deployments.complete(active.id, "h", { rootUuid: null, result: {} });
      await rack.nodes.transition(active.id, "activate");
      await sync(databases, { version: 10 });
      expect(await version(databases)).to.equal(10);
      expect(await columns("bm_nodes")).to.deep.equal([...JUNO_COLUMNS].sort());
      expect(await databases.baremetal.schema.hasTable("bm_deployments")).to.equal(false);
      await sync(databases);
      const again = await rack.node(node.id);
      expect(again).to.include({
        uuid: node.uuid,
        cpus: 3,
        pmPassword: "geheim",
        provisionState: "available",
        name: null,
      });
      expect(await rack.node(active.nodeId)).to.include({
        taskState: "active",
        provisionState: "active",
        instanceUuid: active.instanceUuid,
      });
      expect(await rack.interfaces.listByNode(node.id)).to.have.length(1);
      expect(await rack.taken(again)).to.include({ state: "building" });
      const adopted = await rack.deployments.current(active.nodeId);
      expect(adopted).to.include({ state: "active", instanceUuid: active.instanceUuid, rootMb: 2048 });
      expect(await rack.nodes.release(adopted?.id ?? 0), "a node in use can be given back").to.equal(true);
    });

    it("takes what is stopped before version 2 of the compute side for stopped by its user", async () => {
      await syncSchema(databases.nova, novaMigrations, 1);
      const values = { display_name: "a", hostname: "a", project_id: "p", user_id: "u", image_ref: "i", flavor: "{}" };
      const sizes = { memory_mb: 1, vcpus: 1, root_gb: 1, ephemeral_gb: 0 };
      for (const vm_state of ["active", "stopped"]) {
        await databases.nova("instances").insert({ ...values, ...sizes, uuid: vm_state, vm_state });
      }
      const flags = async () => (await databases.nova("instances").orderBy("id").pluck("stopped_by_user")).map(Number);
      for (let round = 0; round < 2; round++) {
        await syncSchema(databases.nova, novaMigrations);
        expect(await flags()).to.deep.equal([0, 1]);
        await syncSchema(databases.nova, novaMigrations, 1);
        expect(await databases.nova("instances").columnInfo()).to.not.have.property("stopped_by_user");
      }
      await databases.nova("instances").delete();
    });

    it("adopts a database of the original's at version 10", async () => {
      const uuid = randomUUID();
      await sync(databases, { version: 10 });
      await databases
        .baremetal("migrate_version")
        .update({ repository_id: "theirs", repository_path: "/usr/lib/nova" });
      const at = dialectOf(databases.baremetal) === "mysql" ? "2013-10-18 18:17:09" : "2013-10-18 18:17:09.225000";
      await databases.baremetal("bm_nodes").insert([
        {
          id: 5,
          uuid,
          created_at: at,
          deleted: 0,
          cpus: 1,
          pm_password: "plain",
          task_state: "active",
          instance_uuid: uuid,
        },
        { id: 6, uuid: randomUUID(), deleted: 0, task_state: "error" },
        { id: 7, uuid: randomUUID(), deleted: 1, task_state: "active", instance_uuid: uuid },
      ]);
      const undecided = [null, "error", "deploying", "deploy failed", "building", "prepared"];
      for (const [index, task_state] of [...undecided, "deploy complete"].entries()) {
        const row = { id: 20 + index, uuid: randomUUID(), deleted: 0, task_state, instance_uuid: randomUUID() };
        await databases.baremetal("bm_nodes").insert(row);
      }
      await databases.baremetal("bm_interfaces").insert({ bm_node_id: 5, address: "52:54:00:AA:BB:CC" });
      expect(await version(databases)).to.equal(10);
      await sync(databases);
      const rack = new Rack(databases);
      const node = await rack.node(5);
      expect(node).to.include({
        pmPassword: "plain",
        taskState: "active",
        provisionState: "active",
        instanceUuid: uuid,
      });
      expect(node.createdAt?.toISOString()).to.match(/^2013-10-18T18:17:09\.(225|000)Z$/);
      expect((await rack.interfaces.listByNode(5))[0]?.address).to.equal("52:54:00:aa:bb:cc");
      expect(await rack.taken(await rack.node(6)), "a free node can be taken").to.include({ nodeId: 6 });
      for (const [index, state] of undecided.entries()) {
        const left = await rack.node(20 + index);
        expect(left, `${state}`).to.include({ provisionState: "error", maintenance: true });
        expect(left.lastError)
          .to.contain(`task_state ${state === null ? "NULL" : `"${state}"`}`)
          .and.contain(left.instanceUuid)
          .and.contain("maintenance");
        expect(await rack.deployments.current(left.id)).to.include({ state: "failed" });
      }
      const live = 20 + undecided.length;
      expect(await rack.node(live)).to.include({ taskState: "active", provisionState: "active", maintenance: false });
      expect(await rack.deployments.current(live)).to.include({ state: "active" });
      expect(await databases.baremetal("migrate_version").pluck("repository_id")).to.deep.equal(["theirs"]);
    });

    it("refuses a database with one instance on two nodes, and changes nothing (R6)", async () => {
      await sync(databases, { version: 10 });
      const instance = randomUUID();
      for (const uuid of [randomUUID(), randomUUID()]) {
        await databases
          .baremetal("bm_nodes")
          .insert({ uuid, deleted: 0, instance_uuid: instance, task_state: "active" });
      }
      const error = await failureOf(sync(databases));
      expect(error).to.include({ code: "Conflict" });
      expect(error.message).to.contain(instance);
      expect(await version(databases)).to.equal(10);
      await databases.baremetal("bm_nodes").where({ id: 2 }).update({ instance_uuid: null });
      await sync(databases);
      expect(await version(databases)).to.equal(11);
    });

    it("refuses a database of somebody else's, unknown versions, and ones too old", async () => {
      await databases.baremetal.schema.createTable("orders", (table) => table.increments());
      const error = await failureOf(sync(databases));
      expect(error).to.include({ code: "BadInput" });
      expect(error.message).to.contain("orders");
      expect(await databases.baremetal.schema.hasTable("bm_nodes")).to.equal(false);
      await databases.baremetal.schema.dropTable("orders");
      expect((await failureOf(sync(databases, { version: 12 }))).message).to.contain("no version 12");
      await sync(databases);
      for (const found of [8, 99]) {
        await databases.baremetal("migrate_version").where({ repository_id: "nova_bm" }).update({ version: found });
        expect((await failureOf(sync(databases))).message).to.contain(`schema version ${found}`);
      }
    });

    it("shares one database with the other schema", async () => {
      const shared = await open({ baremetalUrl: urls.baremetalUrl, novaUrl: urls.baremetalUrl });
      try {
        await sync(shared);
        await assertCurrent(shared);
        expect(await version(shared)).to.equal(11);
        expect(await shared.nova.schema.hasTable("instances")).to.equal(true);
        await sync(shared, { version: 0 });
        expect(await shared.nova.schema.hasTable("instances")).to.equal(false);
      } finally {
        await shared.close();
      }
    });

    it("lets processes that start at once migrate together", async () => {
      const script = fileURLToPath(new URL("./sync-process.ts", import.meta.url));
      const runs = Array.from({ length: 3 }, () => {
        const child = fork(script, [urls.baremetalUrl, urls.novaUrl], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
        const errors: Buffer[] = [];
        child.stderr?.on("data", (data: Buffer) => errors.push(data));
        return new Promise<string>((resolve) =>
          child.once("close", (code) => resolve(`${code}${Buffer.concat(errors).toString("utf8")}`)),
        );
      });
      expect(await Promise.all(runs)).to.deep.equal(["0", "0", "0"]);
      expect(await version(databases)).to.equal(11);
    });

    it("goes on where a migration was killed half-way", async () => {
      if (engine.name === "SQLite") {
        // There the whole migration is one transaction: half of it is never seen.
        await failureOf(
          databases.baremetal.transaction(async (trx) => {
            await trx.schema.createTable("bm_nodes", (table) => table.increments());
            throw new Error("killed");
          }),
        );
        expect(await databases.baremetal.schema.hasTable("bm_nodes")).to.equal(false);
      } else {
        await sync(databases);
        await databases.baremetal.raw("UPDATE migrate_version SET version = 10 WHERE repository_id = 'nova_bm'");
        await databases.baremetal.raw("ALTER TABLE bm_nodes DROP INDEX bm_nodes_instance_uuid_ux, DROP COLUMN fault");
        await databases.baremetal.raw("DROP TABLE bm_events");
      }
      await sync(databases);
      expect(await version(databases)).to.equal(11);
      expect(await columns("bm_nodes")).to.include("fault");
      expect(await databases.baremetal.schema.hasTable("bm_events")).to.equal(true);
    });
  });
}

describe("a database that cannot be used", () => {
  it("names the statements that make a missing MySQL database", async () => {
    const server = await mariaDb();
    const databases = await open({ baremetalUrl: server.url("missing"), novaUrl: server.url("missing") });
    try {
      const error = await failureOf(sync(databases));
      expect(error).to.include({ code: "BadInput" });
      expect(error.message).to.contain("CREATE DATABASE missing").and.contain("GRANT ALL ON missing.*");
    } finally {
      await databases.close();
    }
  });

  it("refuses to start a service on a stale MySQL schema, and migrates an embedded one", async () => {
    const [sqlite, mariadb] = engines;
    if (sqlite === undefined || mariadb === undefined) throw new Error("no engines");
    const stale = await open(await mariadb.freshUrls());
    const embedded = await open(await sqlite.freshUrls());
    try {
      expect((await failureOf(assertCurrent(stale))).message).to.contain("baremetal-manage db sync");
      await assertCurrent(embedded);
      expect(await version(embedded)).to.equal(11);
    } finally {
      await stale.close();
      await embedded.close();
    }
  });
});
