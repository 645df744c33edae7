// What every daemon does with signals and errors that nobody caught, as a real process.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { until } from "../fakes/api-bench.ts";

const SCRIPT = fileURLToPath(new URL("./run-service-process.ts", import.meta.url));

describe("a daemon's process", () => {
  let folder: string;
  let child: ChildProcess;
  let log: string;
  let said: unknown[];
  let ended: Promise<number | null>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "run-service-"));
    await writeFile(join(folder, "nova.conf"), "[DEFAULT]\n");
  });
  after(() => rm(folder, { recursive: true, force: true }));
  afterEach(async () => {
    if (child.exitCode === null) child.kill("SIGKILL");
    await ended;
  });

  function run(mode: string): void {
    const env = { ...process.env, SERVICE_MODE: mode };
    const stdio = ["ignore", "ignore", "pipe", "ipc"] as const;
    child = fork(SCRIPT, ["--config-file", join(folder, "nova.conf")], { env, stdio: [...stdio] });
    log = "";
    said = [];
    child.stderr?.on("data", (data: Buffer) => {
      log += data.toString();
    });
    child.on("message", (message) => said.push(message));
    ended = new Promise((resolve) => child.once("close", (code) => resolve(code)));
  }
  const inLog = (text: string) => until(`${text} in the log`, async () => log.includes(`"message":"${text}`));
  const hasSaid = (text: string) => until(text, async () => said.includes(text));

  it("ends in order at SIGTERM, with status 0", async () => {
    run("");
    await inLog("ready");
    child.kill("SIGTERM");
    expect(await ended, log).to.equal(0);
    expect(said).to.deep.equal(["starting", "closing"]);
    expect(log).to.contain('"message":"stopped"');
  });

  it("a signal while it starts is noted at once, and what was started is closed without being used", async () => {
    run("slow start");
    await hasSaid("starting");
    child.kill("SIGTERM");
    await inLog("stopping");
    child.send("go on");
    expect(await ended, log).to.equal(0);
    expect(said).to.deep.equal(["starting", "closing"]);
    expect(log).to.not.contain('"message":"ready"');
  });

  it("a second signal ends it hard, with status 1", async () => {
    run("slow close");
    await inLog("ready");
    child.kill("SIGTERM");
    await hasSaid("closing");
    child.kill("SIGINT");
    expect(await ended, log).to.equal(1);
    expect(log).to.contain("second signal");
  });

  for (const [mode, text] of [
    ["rejection", "unhandledRejection: nobody caught this"],
    ["exception", "uncaughtException: "],
  ] as const) {
    it(`an error that nobody caught (${mode}) is in the log, and ends it in order with status 1`, async () => {
      run(mode);
      await inLog("ready");
      child.send("go on");
      expect(await ended, log).to.equal(1);
      const line = log.split("\n").find((one) => one.includes(text));
      expect(JSON.parse(line ?? "{}"), log).to.include({ level: "error" });
      expect(said).to.deep.equal(["starting", "closing"]);
    });
  }
});
