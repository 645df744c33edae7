// The real `ipmitool -I lanplus` drives our simulator. The password goes by the environment (-E), never by argv.
import { execFile } from "node:child_process";
import { expect } from "chai";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { CREDENTIALS, type SimulatedMachine, startSimulator } from "../simulated-machine.ts";

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

function ipmitool(port: number, words: string[], password: string = CREDENTIALS.password): Promise<Run> {
  const args = ["-I", "lanplus", "-H", "127.0.0.1", "-p", String(port), "-U", CREDENTIALS.user, "-E", ...words];
  const start = performance.now();
  return new Promise((resolve) => {
    execFile(
      "ipmitool",
      args,
      { env: { ...process.env, IPMI_PASSWORD: password }, timeout: 15_000 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ status, stdout, stderr, ms: performance.now() - start });
      },
    );
  });
}

for (const suite of [["-C", "3"], ["-C", "17"], []]) {
  describe(`ipmitool ${suite.join(" ") || "without -C"} drives the simulator`, () => {
    let simulator: BmcSimulator;
    let machine: SimulatedMachine;
    const run = (...words: string[]) => ipmitool(simulator.port, [...suite, ...words]);

    beforeEach(async () => {
      ({ simulator, machine } = await startSimulator());
    });
    afterEach(() => simulator.close());

    it("power status, on, cycle, off", async () => {
      const status = await run("power", "status");
      expect(status.stdout).to.equal("Chassis Power is off\n");
      // Without an answer to the sessionless cipher suite question ipmitool would wait 10 seconds.
      expect(status.ms).to.be.below(5000);
      expect((await run("power", "on")).status).to.equal(0);
      expect((await run("power", "status")).stdout).to.equal("Chassis Power is on\n");
      expect((await run("power", "cycle")).status).to.equal(0);
      expect((await run("power", "off")).status).to.equal(0);
      expect(machine.actions).to.deep.equal(["power-up", "power-cycle", "power-down"]);
      // Off already: the specification asks BMCs to refuse a cycle then (28.3).
      const refused = await run("power", "cycle");
      expect(refused.status).to.equal(1);
      expect(refused.stderr).to.contain("present state");
      expect(simulator.sessionCount).to.equal(0);
    });

    it("chassis bootdev pxe options=persistent, and reads it back", async () => {
      expect((await run("chassis", "bootdev", "pxe", "options=persistent")).stdout).to.equal(
        "Set Boot Device to pxe\n",
      );
      expect(machine.bootDevices.at(-1)).to.deep.equal({ device: "pxe", persistent: true, efi: false });
      const { stdout } = await run("chassis", "bootparam", "get", "5");
      expect(stdout).to.contain("Boot parameter data: c004000000");
      expect(stdout).to.contain("Boot Flag Valid");
      expect(stdout).to.contain("Options apply to all future boots");
      expect(stdout).to.contain("Force PXE");
    });

    it("mc info", async () => {
      const { stdout, status } = await run("mc", "info");
      expect(status).to.equal(0);
      expect(stdout).to.match(/IPMI Version\s+: 2\.0/);
      expect(stdout).to.contain("Chassis Device");
    });

    it("is refused with a wrong password", async () => {
      const refused = await ipmitool(simulator.port, [...suite, "power", "on"], "wrong");
      expect(refused.status).to.equal(1);
      expect(refused.stderr).to.contain("Unable to establish IPMI v2 / RMCP+ session");
      expect(machine.actions).to.deep.equal([]);
      expect(simulator.sessionCount).to.equal(0);
    });
  });
}
