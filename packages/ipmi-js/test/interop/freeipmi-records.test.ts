// FreeIPMI's tools read the records of our simulator. The password goes by a configuration file, never by argv.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { closeAfterEach } from "../close-after-each.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { fieldsOf, runTool, tableOf } from "./peer-tool.ts";
import { RECORDS_CONTENT } from "./records-content.ts";

describe("FreeIPMI reads the simulator's records", () => {
  const closing = closeAfterEach();
  let folder: string;
  let host: string;
  const run = async (tool: string, ...words: string[]) => {
    const config = join(folder, "freeipmi.conf");
    const session = [`--config-file=${config}`, "-D", "LAN_2_0", "-h", host, "-l", "admin", ...words];
    const { status, stdout, stderr } = await runTool(tool, session);
    expect(stderr.replaceAll(/Caching SDR re.*/g, "").trim()).to.equal("");
    expect(status).to.equal(0);
    return stdout;
  };
  /** The cache of records is kept by host name: each test has its own. */
  const runWithCache = (tool: string, ...words: string[]) =>
    run(tool, `--sdr-cache-directory=${folder}`, "--quiet-cache", ...words);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "freeipmi-"));
    closing({ close: () => rm(folder, { recursive: true }) });
    const { user, password } = CREDENTIALS;
    await writeFile(join(folder, "freeipmi.conf"), `username ${user}\npassword ${password}\n`, { mode: 0o600 });
    const { simulator } = await startSimulator({ content: RECORDS_CONTENT });
    closing(simulator);
    host = `127.0.0.1:${simulator.port}`;
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
    const info = fieldsOf(await run("bmc-info", "--get-device-id"));
    const parts = ["Sensor Device", "SDR Repository Device", "SEL Device", "FRU Inventory Device", "Chassis Device"];
    expect(parts.map((part) => info.get(part))).to.deep.equal(parts.map(() => "supported"));
    expect(info.get("Device SDRs")).to.equal("unsupported");
  });
});
