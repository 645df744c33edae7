// The whole main path, every part real: enrol, nova boot, PXE, iSCSI, tenant's marker, nova delete (issue 2, acceptance).
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DEADLINE_MS = 8 * 60_000;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function runLab(...args: string[]): Promise<Outcome> {
  const node = ["--import", "tsx", "--conditions", "source", "lab/main.ts"];
  const child = spawn(process.execPath, [...node, "--once", "--from-source", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill("SIGTERM"), DEADLINE_MS - 40_000);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  return { status, stdout, stderr };
}

describe("e2e: npm run lab -- --once", function () {
  this.timeout(DEADLINE_MS);

  it("deploys a real image on a virtual machine by nova boot, and leaves nothing after nova delete", async () => {
    const { status, stdout, stderr } = await runLab();
    expect(status, stderr).to.equal(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines, "one JSON line on standard output").to.have.length(1);
    const result = JSON.parse(lines[0]!);
    expect(result).to.include({ ok: true, marker: true, nodes: 1, db: "sqlite", sha256Equal: true, released: true });
    expect(result.sha256)
      .to.match(/^[0-9a-f]{64}$/)
      .and.equal(result.imageSha256);
    expect(result.forbiddenCalls).to.deep.equal([]);
    // 150 MB of the image are random: no hole detection can spare them.
    expect(result.bytesWritten).to.be.greaterThan(150 * 2 ** 20);
    expect(result.machines[0].marker).to.match(
      /^TENANT-MARKER hostname=tenant0 key=[0-9a-f]{64} root=\/dev\/vda1 uuid=\S+/,
    );
    const names = [
      "firmware",
      "loadDeployRamdisk",
      "startDeployRamdisk",
      "writeImage",
      "rebootFirmware",
      "loadTenant",
      "startTenant",
    ];
    expect(Object.keys(result.steps)).to.deep.equal(names);
    const sum = Object.values(result.steps as Record<string, number>).reduce((total, ms) => total + ms, 0);
    expect(sum).to.be.within(result.powerOnToMarkerMs - 10, result.powerOnToMarkerMs + 10);
  });
});
