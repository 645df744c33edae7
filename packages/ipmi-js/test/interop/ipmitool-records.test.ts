// The real `ipmitool` reads and clears the records of our simulator.
import { expect } from "chai";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { simulatorFixture } from "../simulator-fixture.ts";
import { fieldsOf, ipmitool, tableOf } from "./peer-tool.ts";
import { RECORDS_CONTENT } from "./records-content.ts";

for (const suite of [3, 17]) {
  describe(`ipmitool -C ${suite} reads the simulator's records`, () => {
    const { simulate } = simulatorFixture();
    let simulator: BmcSimulator;
    const run = async (...words: string[]) => {
      const { status, stdout, stderr } = await ipmitool(simulator.port, suite, ...words);
      expect(stderr).to.equal("");
      expect(status).to.equal(0);
      return stdout;
    };

    beforeEach(async () => {
      ({ simulator } = await simulate({ content: RECORDS_CONTENT }));
    });

    it("sel info, list, elist, clear", async () => {
      expect(fieldsOf(await run("sel", "info")).get("Entries")).to.equal("2");
      expect(tableOf(await run("sel", "list"))).to.deep.equal([
        ["1", "01/02/24", "03:04:05 UTC", "Memory #0x09", "Correctable ECC", "Asserted"],
        ["2", "01/02/24", "03:05:00 UTC", "Temperature #0x01", "Upper Critical going high", "Deasserted"],
      ]);
      expect(tableOf(await run("sel", "elist"))[1]?.slice(3)).to.deep.equal([
        "Temperature Inlet",
        "Upper Critical going high",
        "Deasserted",
        "Reading 44 < Threshold 47 degrees C",
      ]);
      await run("sel", "clear");
      // It says so on stderr.
      expect(await ipmitool(simulator.port, suite, "sel", "list")).to.deep.equal({
        status: 0,
        stdout: "",
        stderr: "SEL has no entries\n",
      });
      simulator.records.addEvent({ sensorType: "Button", sensorNumber: 3, offset: 0 });
      expect(tableOf(await run("sel", "list"))[0]?.slice(3)).to.deep.equal([
        "Button #0x03",
        "Power Button pressed",
        "Asserted",
      ]);
    });

    it("sel add and the SEL's clock", async () => {
      const entry = "0 0 2 0 0 0 0 0x20 0 4 0x0c 0x53 0x6f 1 0xff 0xff".split(" ");
      expect(await run("raw", "0x0a", "0x44", ...entry)).to.equal(" 03 00\n");
      const added = tableOf(await run("sel", "list"))[2];
      expect(added?.slice(3)).to.deep.equal(["Memory #0x53", "Uncorrectable ECC", "Asserted"]);
      await run("sel", "time", "set", "03/04/25 05:06:07");
      expect(await run("sel", "time", "get")).to.match(/^03\/04\/(20)?25 05:06:\d\d/);
    });

    it("sdr elist, and sensor with readings changed while it runs", async () => {
      expect(tableOf(await run("sdr", "elist"))).to.deep.equal([
        ["Inlet", "01h", "unc", "55.1", "45 degrees C"],
        ["12V", "02h", "ok", "7.1", "12.10 Volts"],
        ["Pump", "03h", "ns", "7.1", "No Reading"],
        ["PSU 1", "C8h", "ok", "7.1", "Presence detected, Power Supply AC lost"],
      ]);
      simulator.records.setReading("Inlet", -7);
      simulator.records.setReading("Pump", 90);
      simulator.records.setReading("12V", null);
      simulator.records.setStates("PSU 1", [1]);
      expect(tableOf(await run("sensor"))).to.deep.equal([
        ["Inlet", "-7.000", "degrees C", "nr", "-5.000", "na", "5.000", "42.000", "47.000", "na"],
        ["12V", "na", "Volts", "na", "na", "10.800", "na", "na", "13.200", "na"],
        ["Pump", "90.000", "RPM", "ok", "na", "na", "na", "na", "na", "na"],
        ["PSU 1", "0x2", "discrete", "0x0280", "na", "na", "na", "na", "na", "na"],
      ]);
    });

    it("fru print: both inventories", async () => {
      const text = await run("fru", "print");
      const [main = "", riser = ""] = text.split("FRU Device Description").slice(1);
      expect(Object.fromEntries(fieldsOf(main.split("\n").slice(1).join("\n")))).to.deep.equal({
        "Chassis Type": "Blade",
        "Chassis Part Number": "CP-1",
        "Chassis Serial": "CS-1",
        "Board Mfg Date": "Fri Mar  1 12:30:00 2024 UTC",
        "Board Mfg": "Acme",
        "Board Product": "X1",
        "Board Serial": "B",
        "Board Part Number": "BP-1",
        "Product Manufacturer": "Acme",
        "Product Name": "Rocket",
        "Product Part Number": "PM-1",
        "Product Version": "2",
        "Product Serial": "PS-1",
        "Product Asset Tag": "A-42",
      });
      expect(riser).to.match(/^ : Riser \(ID 5\)/);
      expect(riser).to.contain("Riser card");
    });
  });
}
