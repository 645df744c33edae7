// The deploy helper under faults: killed in mid-write, cut off, cancelled, shut down, its lease lost, its disk failing.
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { poll, systemClock } from "../../lib/clock.ts";
import { CountingBacking } from "../fakes/counting-backing.ts";
import { DeployBench, OLD_BYTE, post } from "../fakes/deploy-bench.ts";

const MIB = 1024 * 1024;
const DISK_MB = 48;
/** Slower than a renewal of a 2 s lease, faster than a lease: the image needs several rounds of it. */
const SLOW_MS = 1000;
const SEED = Number(process.env.FAULT_SEED ?? randomInt(1, 2 ** 31));

/** A small generator, so that a printed seed gives the same run (Park-Miller). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

async function openBench(leaseS = 30, imageMb = 12): Promise<{ bench: DeployBench; backing: CountingBacking }> {
  let backing: CountingBacking | undefined;
  const bench = await DeployBench.open({
    leaseS,
    imageMb,
    makeBacking: async (path, sizeBytes) => {
      backing = await CountingBacking.open(path, sizeBytes);
      return backing;
    },
  });
  if (backing === undefined) throw new Error("no backing");
  return { bench, backing };
}

/** What a test started; killed after it. */
const children: ChildProcess[] = [];

async function startProcess(
  bench: DeployBench,
  diesBeforeComplete = false,
): Promise<{ child: ChildProcess; port: number }> {
  const script = fileURLToPath(new URL("./deploy-helper-process.ts", import.meta.url));
  const tsx = createRequire(import.meta.url).resolve("tsx");
  const argument = JSON.stringify({ databaseUrl: bench.databaseUrl, config: bench.helperConfig(), diesBeforeComplete });
  const child = spawn(process.execPath, ["--import", tsx, "--conditions=source", script, argument], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const [line] = await once(child.stdout as NodeJS.ReadableStream, "data");
  return { child, port: Number(String(line)) };
}

/** Starts a helper in a process, lets it write, kills it -9 at a byte. */
async function killInMidWrite(bench: DeployBench, backing: CountingBacking, atBytes: number): Promise<void> {
  const { child, port } = await startProcess(bench);
  const dead = once(child, "exit");
  backing.delayMs = 2;
  backing.trigger = { atBytes, run: () => child.kill("SIGKILL") };
  expect((await post(port, bench.call())).status).to.equal(200);
  await dead;
  backing.delayMs = 0;
  expect((await bench.row()).state).to.equal("deploying");
}

describe(`deploy helper under faults (FAULT_SEED=${SEED})`, () => {
  let bench: DeployBench;
  let backing: CountingBacking;
  const next = random(SEED);
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await bench?.close();
  });

  function expectWholeImage(): void {
    const image = readFileSync(bench.imagePath);
    expect(bench.readDisk(MIB, image.length).equals(image)).to.equal(true);
    expect(bench.readDisk(0, DISK_MB * MIB).includes(Buffer.alloc(64, OLD_BYTE))).to.equal(false);
  }

  for (const round of [1, 2, 3]) {
    it(`kill -9 at a random byte of the write: the next helper completes it (round ${round})`, async () => {
      ({ bench, backing } = await openBench(2));
      await killInMidWrite(bench, backing, 512 + Math.floor(next() * 4 * MIB));
      expect(bench.doneWords).to.deep.equal([]);
      await bench.startHelper();
      const row = await bench.until(["deploy complete", "failed"]);
      expect(row).to.include({ state: "deploy complete", attempts: 2 });
      expect(row.result.readBackSha256).to.equal(row.imageSha256);
      expectWholeImage();
      expect(bench.doneWords).to.deep.equal(["done"]);
    });
  }

  it("kill -9, and the node is gone when the next helper looks: failed with the cause, config not flipped", async () => {
    ({ bench, backing } = await openBench(2));
    await killInMidWrite(bench, backing, Math.floor(next() * 4 * MIB));
    await bench.target.close();
    await bench.startHelper({ loginDeadlineMs: 500 });
    const row = await bench.until(["deploy complete", "failed"]);
    expect(row.state).to.equal("failed");
    expect(row.error).to.match(/127\.0\.0\.1:\d+/);
    expect(readFileSync(bench.pxeConfigPath, "utf8")).to.match(/^default deploy\n/);
  });

  it("kill -9 between `done` and the row's end: the next helper completes it without the node, which has rebooted", async () => {
    ({ bench, backing } = await openBench(2));
    const { child, port } = await startProcess(bench, true);
    const dead = once(child, "exit");
    expect((await post(port, bench.call())).status).to.equal(200);
    await dead;
    expect(bench.doneWords).to.deep.equal(["done"]);
    expect((await bench.row()).state).to.equal("deploying");
    await bench.target.close();
    const config = bench.helperConfig();
    await bench.startHelper({
      config: { ...config, baremetal: { ...config.baremetal, donePort: 1 } },
      notifyDeadlineMs: 400,
    });
    const row = await bench.until(["deploy complete", "failed"]);
    expect(row).to.include({ state: "deploy complete", attempts: 2, error: null, leaseHolder: null });
    expect(row.result.readBackSha256).to.equal(row.imageSha256);
    expect(readFileSync(bench.pxeConfigPath, "utf8")).to.include(`root=UUID=${row.rootUuid} ro quiet`);
    expectWholeImage();
  });

  it("a helper that is stopped before `done`: the next one only tells the node", async () => {
    ({ bench, backing } = await openBench());
    const config = bench.helperConfig();
    const helper = await bench.startHelper({
      config: { ...config, baremetal: { ...config.baremetal, donePort: 1 } },
      notifyDeadlineMs: 15_000,
    });
    await post(helper.address.port, bench.call());
    await poll(async () => (await bench.row()).result.written, {
      clock: systemClock,
      step: "the mark",
      deadlineMs: 10_000,
      intervalMs: 10,
    });
    await helper.close(0);
    const bytesWritten = backing.bytesWritten;
    await bench.startHelper();
    expect(await bench.until(["deploy complete", "failed"])).to.include({ state: "deploy complete", attempts: 2 });
    expect(bench.doneWords).to.deep.equal(["done"]);
    expect(backing.bytesWritten).to.equal(bytesWritten);
    expect((await bench.row()).result).to.not.have.property("written");
  });

  it("closes although the database went away after a cancel", async () => {
    ({ bench, backing } = await openBench(2, 24));
    const { deployments } = bench;
    const helper = await bench.startHelper();
    backing.delayMs = SLOW_MS;
    await post(helper.address.port, bench.call());
    let failures = 0;
    deployments.fail = async () => {
      failures += 1;
      throw new Error("database away");
    };
    await poll(async () => (backing.bytesWritten > MIB ? true : undefined), {
      clock: systemClock,
      step: "the first writes",
      deadlineMs: 10_000,
      intervalMs: 10,
    });
    await deployments.requestCancel(bench.deployment.id);
    await poll(async () => (failures > 0 ? true : undefined), {
      clock: systemClock,
      step: "the end to be written in vain",
      deadlineMs: 10_000,
      intervalMs: 10,
    });
    let isClosed = false;
    const closed = helper.close(0).then(() => {
      isClosed = true;
    });
    await poll(async () => (isClosed ? true : undefined), {
      clock: systemClock,
      step: "the helper to close",
      deadlineMs: 5000,
      intervalMs: 10,
    });
    await closed;
  });

  it("the connection is cut in mid-write: it is made again, and the deployment completes", async () => {
    ({ bench, backing } = await openBench());
    const helper = await bench.startHelper();
    const loginsBefore = bench.target.counts.logins;
    backing.trigger = { atBytes: Math.floor(next() * 4 * MIB), run: () => bench.target.dropConnections() };
    await post(helper.address.port, bench.call());
    // Complete means that the helper has read the disk back and found the image's digest.
    expect((await bench.until(["deploy complete", "failed"])).state).to.equal("deploy complete");
    expect(bench.target.counts.logins - loginsBefore).to.equal(2);
  });

  it("the target goes away in mid-write and does not come back: failed with the cause", async () => {
    ({ bench, backing } = await openBench());
    const helper = await bench.startHelper();
    const run = () => {
      bench.target.faults.refuseLogin = { statusClass: 2, statusDetail: 2 };
      bench.target.dropConnections();
    };
    backing.trigger = { atBytes: Math.floor(next() * 4 * MIB), run };
    await post(helper.address.port, bench.call());
    const row = await bench.until(["deploy complete", "failed"]);
    expect(row.state).to.equal("failed");
    expect(row.error).to.match(/session was lost.*class 2, detail 2/);
    expect(row.leaseHolder).to.equal(null);
    expect(bench.doneWords).to.deep.equal([]);
  });

  it("a disk that reports write errors: failed with the disk's words", async () => {
    ({ bench, backing } = await openBench());
    bench.target.faults.writeErrorCount = 1000;
    const helper = await bench.startHelper();
    await post(helper.address.port, bench.call());
    expect((await bench.until(["failed"])).error).to.match(/MEDIUM ERROR|medium error|write error/i);
  });

  it("a disk that lies: what is read back differs, so it never becomes complete", async () => {
    ({ bench, backing } = await openBench());
    const read = backing.read.bind(backing);
    backing.read = async (offset, into) => {
      await read(offset, into);
      if (offset <= 6 * MIB && offset + into.length > 6 * MIB)
        into[6 * MIB - offset] = (into[6 * MIB - offset] ?? 0) ^ 1;
    };
    const helper = await bench.startHelper();
    await post(helper.address.port, bench.call());
    expect((await bench.until(["deploy complete", "failed"])).error).to.match(/does not hold what was written/);
    expect(bench.doneWords).to.deep.equal([]);
  });

  it("a cancel stops the writes and ends the deployment", async () => {
    ({ bench, backing } = await openBench(2, 24));
    const helper = await bench.startHelper();
    backing.delayMs = SLOW_MS;
    await post(helper.address.port, bench.call());
    await poll(async () => (backing.bytesWritten > MIB ? true : undefined), {
      clock: systemClock,
      step: "the first writes",
      deadlineMs: 10_000,
      intervalMs: 10,
    });
    expect(await bench.deployments.requestCancel(bench.deployment.id)).to.equal(true);
    const row = await bench.until(["failed", "cancelled", "deploy complete"]);
    expect(row.error).to.match(/cancelled/);
    await expectNoMoreWrites();
  });

  it("a lease taken away stops the writes, and nothing is written to the row", async () => {
    ({ bench, backing } = await openBench(2, 24));
    const helper = await bench.startHelper();
    backing.delayMs = SLOW_MS;
    await post(helper.address.port, bench.call());
    await poll(async () => (backing.bytesWritten > MIB ? true : undefined), {
      clock: systemClock,
      step: "the first writes",
      deadlineMs: 10_000,
      intervalMs: 10,
    });
    expect(await bench.deployments.fail(bench.deployment.id, null, "the driver gave up")).to.equal(true);
    await poll(async () => (bench.target.connectionCount === 0 ? true : undefined), {
      clock: systemClock,
      step: "the helper to cut its connection",
      deadlineMs: 5000,
      intervalMs: 10,
    });
    await expectNoMoreWrites();
    expect((await bench.row()).error).to.equal("the driver gave up");
  });

  it("a shutdown hands the job to another helper, which completes it", async () => {
    ({ bench, backing } = await openBench(30));
    const helper = await bench.startHelper();
    backing.delayMs = 50;
    backing.trigger = { atBytes: MIB, run: () => void helper.close(0) };
    await post(helper.address.port, bench.call());
    await poll(async () => ((await bench.row()).leaseExpiresAt?.getTime() ?? Infinity) <= Date.now() || undefined, {
      clock: systemClock,
      step: "the lease to be given up",
      deadlineMs: 5000,
      intervalMs: 20,
    });
    backing.delayMs = 0;
    await bench.startHelper();
    expect(await bench.until(["deploy complete", "failed"])).to.include({ state: "deploy complete", attempts: 2 });
    expectWholeImage();
  });

  it("a node that does not listen for `done`: failed, not complete", async () => {
    ({ bench, backing } = await openBench());
    const config = bench.helperConfig();
    const helper = await bench.startHelper({
      config: { ...config, baremetal: { ...config.baremetal, donePort: 1 } },
      notifyDeadlineMs: 400,
    });
    await post(helper.address.port, bench.call());
    expect((await bench.until(["deploy complete", "failed"])).error).to.match(
      /could not be told that its deployment is done/,
    );
  });

  async function expectNoMoreWrites(): Promise<void> {
    await poll(async () => (bench.target.connectionCount === 0 ? true : undefined), {
      clock: systemClock,
      step: "the connection to close",
      deadlineMs: 5000,
      intervalMs: 10,
    });
    // Commands that the target had received before the cut may still run out; then the count stands still.
    let last = -1;
    await poll(
      async () => {
        const isStill = backing.bytesWritten === last;
        last = backing.bytesWritten;
        return isStill ? true : undefined;
      },
      { clock: systemClock, step: "the writes to stop", deadlineMs: 10_000, intervalMs: SLOW_MS * 1.5 },
    );
    // The image has 15 MiB of random data.
    expect(backing.bytesWritten).to.be.lessThan(15 * MIB);
    expect(bench.doneWords).to.deep.equal([]);
    expect(readFileSync(bench.pxeConfigPath, "utf8")).to.match(/^default deploy\n/);
  }
});
