// The lease of a compute host, on both engines and between real processes: a second compute never undoes the first one's builds.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { HostLease, type HostLeaseOptions } from "../../compute/host-lease.ts";
import { InstanceRepository } from "../../db/instances.ts";
import { sync } from "../../db/migrate.ts";
import { ServiceRepository } from "../../db/services.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { closeAfterEach } from "../../packages/ipmi-js/test/close-after-each.ts";
import { until } from "../fakes/api-bench.ts";
import { failureOf } from "./baremetal.ts";
import { onEachEngine, open, TestClock } from "./engines.ts";

const COMPUTE = fileURLToPath(new URL("../../bin/baremetal-compute.ts", import.meta.url));

onEachEngine("a host's lease", (context) => {
  const closing = closeAfterEach();

  it("is one holder's until it expires or is given up", async () => {
    const clock = new TestClock();
    const services = new ServiceRepository(context().databases.nova, clock);
    const take = (holder: string) => services.takeLease("h1", "nova-compute", holder, 3000);
    const first = await Promise.all(["a", "b", "c"].map(take));
    expect(first.filter((other) => other === undefined)).to.have.length(1);
    const [winner] = ["a", "b", "c"].filter((_, index) => first[index] === undefined);
    await services.dropLease("h1", "nova-compute", "d");
    clock.advance(2000);
    expect(await take("d")).to.deep.equal({ holder: winner, expiresAt: new Date(clock.now() + 1000) });
    expect(await take(winner ?? "")).to.equal(undefined);
    clock.advance(2999);
    expect(await take("d")).to.include({ holder: winner });
    clock.advance(1);
    expect(await take("d")).to.equal(undefined);
    expect(await take(winner ?? "")).to.include({ holder: "d" });
    await services.dropLease("h1", "nova-compute", "d");
    expect(await take("e")).to.equal(undefined);
    expect(await services.takeLease("h2", "nova-compute", "a", 3000), "another host").to.equal(undefined);
    expect((await services.list({ host: "h1" }))[0]?.lastSeenUp.getTime(), "no heartbeat yet").to.equal(0);
  });

  it("is refused while its holder renews it, waited for when it does not, and lost to another", async () => {
    const services = new ServiceRepository(context().databases.nova, systemClock);
    let lost: Error | undefined;
    const options: HostLeaseOptions = {
      host: "h3",
      services,
      clock: systemClock,
      logger: silentLogger,
      ttlMs: 600,
      onLost: (error) => {
        lost = error;
      },
    };
    const never = new AbortController().signal;
    await services.takeLease("h3", "nova-compute", "killed", 300);
    const lease = closing(await HostLease.take(options, never));
    const error = await failureOf(HostLease.take(options, never));
    expect(error).to.include({ code: "Conflict" });
    expect(error.message).to.contain("host h3").and.contain("[DEFAULT] host");
    await services.dropLease("h3", "nova-compute", (error as unknown as { data: { holder: string } }).data.holder);
    await services.takeLease("h3", "nova-compute", "usurper", 60_000);
    await until("the loss to be noticed", async () => lost !== undefined);
    await lease.close();
    const abort = AbortSignal.abort();
    expect(await failureOf(HostLease.take(options, abort)), "a stop is heard").to.include({ code: "Cancelled" });
  });
});

describe("a second baremetal-compute", function () {
  this.timeout(60_000);
  const closing = closeAfterEach();
  let folder: string;
  let blocker: Server;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "second-compute-"));
    blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
    await new Promise((resolve) => blocker.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  async function start(port: number) {
    const file = join(folder, `${children.length}.conf`);
    // The lease is three reports long: longer than the next process takes to start on a busy machine.
    const lines = ["[DEFAULT]", "host = compute1", `state_path = ${folder}`, "report_interval = 3"];
    lines.push(
      "[baremetal]",
      `tftp_root = ${join(folder, "tftp")}`,
      "[api]",
      `port = ${port}`,
      "auth_strategy = noauth",
    );
    await writeFile(file, `${lines.join("\n")}\n`);
    const args = ["--import", "tsx", "--conditions=source", COMPUTE, "--config-file", file];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    const run = { child, log: "", status: new Promise<number | null>((resolve) => child.once("close", resolve)) };
    child.stderr.on("data", (data: Buffer) => {
      run.log += data.toString();
    });
    return run;
  }
  const portOf = () => {
    const address = blocker.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  };

  /** A row as a build that runs in another process leaves it. */
  async function building(): Promise<() => Promise<string | undefined>> {
    const url = (name: string) => `sqlite:///${join(folder, name)}`;
    const databases = closing(await open({ baremetalUrl: url("baremetal.sqlite"), novaUrl: url("nova.sqlite") }));
    await sync(databases);
    const instances = new InstanceRepository(databases.nova, systemClock);
    const flavor = { id: "1", name: "f", ram: 1, vcpus: 1, disk: 1, ephemeral: 0, swap: 0, extraSpecs: {} };
    const names = { displayName: "w", hostname: "w", projectId: "p", userId: "u", imageRef: "i", flavor };
    const sizes = { memoryMb: 1, vcpus: 1, rootGb: 1, ephemeralGb: 0 };
    const state = { vmState: "building", taskState: "spawning", host: "compute1", launchedOn: "compute1" };
    const { uuid } = await instances.create({ uuid: randomUUID(), ...names, ...sizes, ...state });
    await databases.close();
    return async () => {
      const again = closing(await open({ baremetalUrl: url("baremetal.sqlite"), novaUrl: url("nova.sqlite") }));
      const record = await new InstanceRepository(again.nova, systemClock).get(uuid);
      await again.close();
      return record?.vmState;
    };
  }

  it("on the same port ends, and has touched nothing", async () => {
    const vmState = await building();
    const run = await start(portOf());
    expect(await run.status, run.log).to.equal(1);
    expect(run.log).to.contain("EADDRINUSE");
    expect(await vmState()).to.equal("building");
  });

  it("for the same host on another port is refused while the first lives, and takes over when it was killed", async () => {
    const first = await start(0);
    await until("the first to be ready", async () => first.log.includes('"message":"ready"'));
    const vmState = await building();
    const second = await start(0);
    expect(await second.status, second.log).to.equal(1);
    expect(second.log).to.contain("served by another baremetal-compute");
    expect(await vmState()).to.equal("building");
    first.child.kill("SIGKILL");
    await first.status;
    const third = await start(0);
    await until("the third to be ready", async () => third.log.includes('"message":"ready"'), 30_000);
    expect(third.log).to.contain("waiting until");
    third.child.kill("SIGTERM");
    expect(await third.status, third.log).to.equal(0);
    const fourth = await start(0);
    await until("the fourth to be ready", async () => fourth.log.includes('"message":"ready"'));
    expect(fourth.log, "a clean stop gives the lease up").to.not.contain("waiting until");
  });
});
