// FreeIPMI's tools read the records of our simulator.
import { expect } from "chai";
import { simulatorFixture } from "../simulator-fixture.ts";
import { FreeIpmi, fieldsOf, tableOf } from "./peer-tool.ts";
import { RECORDS_CONTENT } from "./records-content.ts";

describe("FreeIPMI reads the simulator's records", () => {
  const { closing, simulate } = simulatorFixture();
  let tools: FreeIpmi;
  let port: number;
  /** The cache of records is kept by host name: each test has its own. */
  const runWithCache = (tool: string, ...words: string[]) =>
    tools.run(port, tool, `--sdr-cache-directory=${tools.folder}`, "--quiet-cache", ...words);

  beforeEach(async () => {
    tools = closing(await FreeIpmi.create());
    ({ port } = (await simulate({ content: RECORDS_CONTENT })).simulator);
  });

  it("ipmi-sensors: names, readings, units, thresholds, states", async () => {
    const table = tableOf(await runWithCache("ipmi-sensors", "--output-sensor-thresholds"));
    expect(table.slice(1).map(([, ...cells]) => cells)).to.deep.equal([
      [
        "Inlet",
        "Temperature",
        "45.00",
        "C",
        "-5.00",
        "N/A",
        "5.00",
        "42.00",
        "47.00",
        "N/A",
        "'At or Above (>=) Upper Non-Critical Threshold'",
      ],
      ["12V", "Voltage", "12.10", "V", "N/A", "10.80", "N/A", "N/A", "13.20", "N/A", "'OK'"],
      ["Pump", "Fan", "N/A", "RPM", "N/A", "N/A", "N/A", "N/A", "N/A", "N/A", "N/A"],
      [
        "PSU 1",
        "Power Supply",
        "N/A",
        "N/A",
        "N/A",
        "N/A",
        "N/A",
        "N/A",
        "N/A",
        "N/A",
        "'Presence detected' 'Power Supply input lost (AC/DC)'",
      ],
    ]);
  });

  it("ipmi-sel: the events; --clear erases them", async () => {
    const table = tableOf(await runWithCache("ipmi-sel", "--utc-offset=0"));
    expect(table.slice(1)).to.deep.equal([
      ["1", "Jan-02-2024", "03:04:05", "Sensor #9", "Memory", "Correctable memory error"],
      [
        "2",
        "Jan-02-2024",
        "03:05:00",
        "Inlet",
        "Temperature",
        "Upper Critical - going high ; Sensor Reading = 44.00 C ; Threshold = 47.00 C",
      ],
    ]);
    await runWithCache("ipmi-sel", "--clear");
    const info = fieldsOf(await runWithCache("ipmi-sel", "--info"));
    expect(info.get("Number of log entries")).to.equal("0");
  });

  it("ipmi-fru: both inventories", async () => {
    const text = await runWithCache("ipmi-fru");
    const [main = "", riser = ""] = text.split("FRU Inventory Device: ").slice(1);
    expect(main).to.match(/^Default FRU Device \(ID 00h\)/);
    expect(
      Object.fromEntries(
        fieldsOf(
          main
            .split("\n")
            .slice(1)
            .map((line) => line.replace(": ", " : "))
            .join("\n"),
        ),
      ),
    ).to.deep.equal({
      "FRU Chassis Type": "Blade",
      "FRU Chassis Part Number": "CP-1",
      "FRU Chassis Serial Number": "CS-1",
      "FRU Board Manufacturing Date/Time": "03/01/24 - 12:30:00",
      "FRU Board Manufacturer": "Acme",
      "FRU Board Product Name": "X1",
      "FRU Board Serial Number": "B",
      "FRU Board Part Number": "BP-1",
      "FRU Product Manufacturer Name": "Acme",
      "FRU Product Name": "Rocket",
      "FRU Product Part/Model Number": "PM-1",
      "FRU Product Version": "2",
      "FRU Product Serial Number": "PS-1",
      "FRU Product Asset Tag": "A-42",
    });
    expect(riser).to.match(/^Riser \(ID 05h\)/);
    expect(riser).to.contain("FRU Board Product Name: Riser card");
  });

  it("bmc-info: the functions the BMC has", async () => {
    const info = fieldsOf(await tools.run(port, "bmc-info", "--get-device-id"));
    const parts = ["Sensor Device", "SDR Repository Device", "SEL Device", "FRU Inventory Device", "Chassis Device"];
    expect(parts.map((part) => info.get(part))).to.deep.equal(parts.map(() => "supported"));
    expect(info.get("Device SDRs")).to.equal("unsupported");
  });
});
