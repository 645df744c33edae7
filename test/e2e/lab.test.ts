// The whole main path, every part real: enrol, nova boot, PXE, iSCSI, tenant's marker, nova delete (issue 2, acceptance).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { LabResult } from "../../lab/plan.ts";
import { spawnLab } from "./lab-session.ts";

const DEADLINE_MS = 8 * 60_000;
const STEPS = [
  "firmware",
  "loadDeployRamdisk",
  "startDeployRamdisk",
  "writeImage",
  "rebootFirmware",
  "loadTenant",
  "startTenant",
];
/** 150 MB of the image are random: no hole detection can spare them. */
const LEAST_BYTES = 150 * 2 ** 20;

/** Runs the lab to its end; the one JSON line of a run that went well. */
async function runLab(...args: string[]): Promise<LabResult> {
  const child = spawnLab("--once", ...args);
  let stdout = "";
  let stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill("SIGTERM"), DEADLINE_MS - 40_000);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  expect(status, stderr).to.equal(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines, "one JSON line on standard output").to.have.length(1);
  return JSON.parse(lines[0]!) as LabResult;
}

/** What every good run has in common. */
function expectSound(result: LabResult, nodes: number): void {
  expect(result).to.include({ ok: true, marker: true, nodes, sha256Equal: true, released: true });
  expect(result.imageSha256).to.match(/^[0-9a-f]{64}$/);
  expect(result.sha256).to.equal(result.imageSha256);
  expect(result.forbiddenCalls).to.deep.equal([]);
  expect(result).to.not.have.property("error");
  expect(result.machines).to.have.length(nodes);
  for (const [index, machine] of result.machines.entries()) {
    expect(machine.marker).to.match(/^TENANT-MARKER hostname=\S+ key=[0-9a-f]{64} root=\/dev\/vda1 uuid=\S+ instance=/);
    expect(machine.marker).to.include(`hostname=tenant${index} `).and.include(`instance=${machine.instance}`);
    expect(machine.sha256).to.equal(result.imageSha256);
    expect(machine.bytesWritten).to.be.greaterThan(LEAST_BYTES);
    expect(machine.tftpBytes).to.be.greaterThan(0);
    expect(Object.keys(machine.steps)).to.deep.equal(STEPS);
    for (const [step, ms] of Object.entries(machine.steps)) expect(ms, step).to.be.greaterThan(0);
    const sum = Object.values(machine.steps).reduce((total, ms) => total + ms, 0);
    expect(sum).to.be.within(machine.powerOnToMarkerMs - 10, machine.powerOnToMarkerMs + 10);
  }
  const { steps, powerOnToMarkerMs, bytesWritten } = result;
  const slowest = result.machines.find((machine) => machine.powerOnToMarkerMs === powerOnToMarkerMs);
  expect(steps).to.deep.equal(slowest?.steps);
  expect(bytesWritten).to.equal(result.machines.reduce((sum, machine) => sum + machine.bytesWritten, 0));
}

describe("e2e: npm run lab -- --once", function () {
  this.timeout(DEADLINE_MS);

  it("deploys a real image on a virtual machine by nova boot, and leaves nothing after nova delete", async () => {
    const result = await runLab("--from-source");
    expectSound(result, 1);
    expect(result.db).to.equal("sqlite");
  });

  it("deploys two machines at the same time, on MariaDB", async () => {
    const result = await runLab("--nodes", "2", "--db", "mysql");
    expectSound(result, 2);
    expect(result.db).to.equal("mysql");
    const [one, other] = result.machines;
    expect(one!.machine).to.not.equal(other!.machine);
    expect(one!.instance).to.not.equal(other!.instance);
    // At the same time: both machines were on before either was its tenant's.
    const log = (await readFile(join(result.logs, "baremetal-compute.log"), "utf8")).split("\n");
    const linesOf = (words: string) =>
      log.flatMap((line, index) => (line.includes(`"message":"${words}`) ? [index] : []));
    const [powered, active] = [linesOf("power on: done"), linesOf("active:")];
    expect(powered).to.have.length(2);
    expect(active).to.have.length(2);
    expect(Math.max(...powered)).to.be.lessThan(Math.min(...active));
    expect(await readFile(join(result.logs, "mariadb.log"), "utf8")).to.include("ready for connections");
  });
});
