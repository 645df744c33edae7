// The real `ipmitool -I lanplus` drives our simulator.
import { expect } from "chai";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import type { SimulatedMachine } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";
import { ipmitoolLogin, runTool } from "./peer-tool.ts";

for (const suite of [["-C", "3"], ["-C", "17"], []]) {
  describe(`ipmitool ${suite.join(" ") || "without -C"} drives the simulator`, () => {
    let simulator: BmcSimulator;
    let machine: SimulatedMachine;
    const { simulate } = simulatorFixture();
    const argumentsOf = (words: readonly string[]) => [
      ...["-I", "lanplus", ...suite],
      ...ipmitoolLogin(simulator.port),
      ...words,
    ];
    const run = (...words: string[]) => runTool("ipmitool", argumentsOf(words));

    beforeEach(async () => {
      ({ simulator, machine } = await simulate());
    });

    it("power status, on, cycle, off", async () => {
      const start = performance.now();
      expect((await run("power", "status")).stdout).to.equal("Chassis Power is off\n");
      // Without an answer to the sessionless cipher suite question ipmitool would wait 10 seconds.
      expect(performance.now() - start).to.be.below(5000);
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
      const refused = await runTool("ipmitool", argumentsOf(["power", "on"]), { IPMI_PASSWORD: "wrong" });
      expect(refused.status).to.equal(1);
      expect(refused.stderr).to.contain("Unable to establish IPMI v2 / RMCP+ session");
      expect(machine.actions).to.deep.equal([]);
      expect(simulator.sessionCount).to.equal(0);
    });
  });
}
