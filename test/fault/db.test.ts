// The database under us: killed writers, a restarted server, a busy file, deadlocks. Nothing half-written, nothing lost.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { openDatabases } from "../../db/database.ts";
import { sync } from "../../db/migrate.ts";
import { isConnectionLoss, transact } from "../../db/transaction.ts";
import { poll, systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { closeAfterEach } from "../../packages/ipmi-js/test/close-after-each.ts";
import { failureOf, LEASE_MS, Rack } from "../contract/baremetal.ts";
import { onEachEngine } from "../contract/engines.ts";
import { startMariaDb } from "../mariadb/server.ts";

const SCRIPT = fileURLToPath(new URL("./db-killed-process.ts", import.meta.url));

/** A process that is inside a transaction on `url`. */
async function insideTransaction(url: string, way: "kill" | "hold"): Promise<ChildProcess> {
  const child = fork(SCRIPT, [url, way], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await once(child, "message");
  return child;
}

onEachEngine("a database under fire", (context) => {
  const closing = closeAfterEach();

  it("shows nothing of a writer that was killed inside its transaction", async () => {
    const rack = new Rack(context().databases);
    const { id } = await rack.enrol();
    const child = await insideTransaction(context().urls.baremetalUrl, "kill");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    expect(child.signalCode).to.equal("SIGKILL");
    expect(await rack.node(id)).to.include({ lastError: null });
    expect(await rack.nodes.setLastError(id, "ours"), "its lock is gone with it").to.equal(true);
  });

  it("waits for another process's transaction without stopping the event loop", async () => {
    const rack = new Rack(context().databases);
    const { id } = await rack.enrol();
    const child = await insideTransaction(context().urls.baremetalUrl, "hold");
    closing({ close: () => child.kill("SIGKILL") });
    let isDone = false;
    let longestMs = 0;
    let ticks = 0;
    let last = Date.now();
    const timer = setInterval(() => {
      ticks += 1;
      longestMs = Math.max(longestMs, Date.now() - last);
      last = Date.now();
    }, 5);
    closing({ close: () => clearInterval(timer) });
    const write = rack.nodes.setLastError(id, "ours").then((value) => {
      isDone = true;
      return value;
    });
    while (ticks < 20) await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).to.equal(false);
    child.send("go on");
    expect(await write).to.equal(true);
    clearInterval(timer);
    expect(await rack.node(id)).to.include({ lastError: "ours" });
    expect(longestMs, "milliseconds that the event loop stood still").to.be.below(500);
    if (child.exitCode === null) await once(child, "exit");
  });
});

describe("MariaDB under fire", () => {
  const closing = closeAfterEach();
  const startedServer = async () => {
    const server = await startMariaDb();
    closing({ close: () => server.stop() });
    return server;
  };

  it("survives the server's death and restart in the middle of the work", async () => {
    const server = await startedServer();
    const novaUrl = await server.createDatabase("nova");
    const baremetalUrl = await server.createDatabase("bm");
    const databases = closing(await openDatabases({ baremetalUrl, novaUrl, logger: silentLogger }));
    await sync(databases);
    const rack = new Rack(databases);
    const job = await rack.claimed("h");
    await server.kill();
    const writes = [
      rack.deployments.renew(job.id, "h", LEASE_MS, { bytesDone: 1 }),
      rack.nodes.setPower(job.nodeId, { powerState: "power on" }),
      rack.nodes.get(job.nodeId),
    ] as const;
    await server.run();
    const [renewed, power, node] = await Promise.all(writes);
    expect(renewed).to.deep.equal({ cancelRequested: false });
    expect(power).to.equal(true);
    expect(node).to.include({ taskState: "deploying" });
    expect(await rack.reread(job.id)).to.include({ bytesDone: 1, leaseHolder: "h" });
  });

  it("gives up a server that is stopped and answers nothing, and works again when it goes on", async function () {
    this.timeout(60_000);
    const server = await startedServer();
    const url = await server.createDatabase("stopped");
    const options = { logger: silentLogger, poolSize: 2, busyDeadlineMs: 100 };
    const databases = closing(await openDatabases({ baremetalUrl: url, novaUrl: url, ...options }));
    const pid = Number(await readFile(join(server.dir, "server.pid"), "utf8"));
    try {
      await sync(databases);
      const rack = new Rack(databases);
      const { id } = await rack.enrol();
      // Both connections of the pool are made before the server stops.
      await Promise.all([rack.nodes.list(), rack.nodes.list()]);
      process.kill(pid, "SIGSTOP");
      // The signal stops one thread after the other: until all stand, a query may still be answered.
      await poll(async () => ((await areAllThreadsStopped(pid)) ? true : undefined), {
        clock: systemClock,
        step: "the server to stand still",
        deadlineMs: 10_000,
        intervalMs: 5,
      });
      const start = Date.now();
      const errors = await Promise.all([failureOf(rack.nodes.list()), failureOf(rack.nodes.setLastError(id, "x"))]);
      for (const error of errors) {
        expect(error).to.include({ code: "PeerUnreachable" });
        expect(error.message).to.contain("did not answer");
      }
      expect(Date.now() - start, "milliseconds until it was given up").to.be.below(15_000);
      process.kill(pid, "SIGCONT");
      expect(await rack.nodes.setLastError(id, "ours"), "the hung connections are not used again").to.equal(true);
      expect(await rack.node(id)).to.include({ lastError: "ours" });
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });

  it("says that the server is gone, and how to look, when it stays so", async () => {
    const url = "mysql://nova:geheim@127.0.0.1:1/nova_bm";
    const databases = await openDatabases({
      baremetalUrl: url,
      novaUrl: url,
      logger: silentLogger,
      busyDeadlineMs: 100,
    });
    try {
      const error = await failureOf(new Rack(databases).nodes.list());
      expect(error).to.include({ code: "PeerUnreachable" });
      expect(error.message).to.contain("check that it runs").and.not.contain("geheim");
      expect(isConnectionLoss({ code: "ECONNREFUSED" })).to.equal(true);
    } finally {
      await databases.close();
    }
  });
});

onEachEngine("two transactions that want the same rows in two orders", (context) => {
  it("both end well: a deadlock is tried again", async () => {
    const { baremetal } = context().databases;
    const rack = new Rack(context().databases);
    const [a, b] = [await rack.enrol(), await rack.enrol()];
    let arrived = 0;
    let tries = 0;
    const both = (order: readonly [number, number], mark: string) =>
      transact(baremetal, "crossing", async (trx) => {
        tries += 1;
        await trx("bm_nodes").where({ id: order[0] }).update({ last_error: mark });
        arrived += 1;
        // On SQLite the other cannot be inside too: there is nothing to wait for.
        for (let turn = 0; turn < 2000 && arrived < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
        await trx("bm_nodes").where({ id: order[1] }).update({ last_error: mark });
      });
    await Promise.all([both([a.id, b.id], "one"), both([b.id, a.id], "two")]);
    const marks = (await rack.nodes.list()).map(({ lastError }) => lastError);
    expect(marks[0]).to.equal(marks[1]);
    expect(tries).to.equal(baremetal.client.dialect === "mysql" ? 3 : 2);
  });
});

/** The state letter follows the program's name in brackets (proc(5)); T is stopped. */
async function areAllThreadsStopped(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, "latin1")));
  return states.every((stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"));
}
