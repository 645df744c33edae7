// The management commands: the real ipmitool and FreeIPMI drive our simulator without complaint.
import { expect } from "chai";
import { formatGuid } from "../../src/commands/get-guid.ts";
import { openSession } from "../../src/open-session.ts";
import type { BmcSimulator } from "../../src/simulator/simulator.ts";
import { eventually } from "../failure.ts";
import { CREDENTIALS, type SimulatedMachine } from "../simulated-machine.ts";
import { simulatorFixture } from "../simulator-fixture.ts";
import { FreeIpmi, fieldsOf, ipmitool } from "./peer-tool.ts";

const GUID = Buffer.from("00112233445566778899aabbccddeeff", "hex");

describe("ipmitool manages the simulator", () => {
  const { closing, simulate } = simulatorFixture();
  let simulator: BmcSimulator;
  let machine: SimulatedMachine;
  const run = (...words: string[]) => ipmitool(simulator.port, 3, ...words);
  /** Runs it, and expects no complaint. */
  const succeed = async (...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await run(...words);
    expect(stderr, words.join(" ")).to.equal("");
    expect(status, words.join(" ")).to.equal(0);
    return stdout;
  };

  beforeEach(async () => {
    ({ simulator, machine } = await simulate({ guid: GUID, coldResetMs: 200 }));
  });

  it("chassis identify, policy, restart_cause, selftest, poh", async () => {
    const identified: unknown[] = [];
    Object.assign(machine, { identify: (request: unknown) => void identified.push(request) });
    await succeed("chassis", "identify", "5");
    await succeed("chassis", "identify", "force");
    await succeed("chassis", "identify", "0");
    expect(identified).to.deep.equal([
      { intervalSeconds: 5, forceOn: false },
      { intervalSeconds: 0, forceOn: true },
      { intervalSeconds: 0, forceOn: false },
    ]);
    expect(await succeed("chassis", "policy", "list")).to.contain("always-off always-on previous");
    await succeed("chassis", "policy", "always-on");
    expect(fieldsOf(await succeed("chassis", "status")).get("Power Restore Policy")).to.equal("always-on");
    await succeed("power", "on");
    expect(await succeed("chassis", "restart_cause")).to.equal("System restart cause: chassis power control command\n");
    expect(fieldsOf(await succeed("chassis", "selftest")).get("Self Test Results")).to.equal("passed");
    expect(fieldsOf(await succeed("chassis", "poh")).get("POH Counter")).to.equal("0 days, 0 hours");
  });

  it("chassis bootdev with all devices and options, and bootparam get 5", async () => {
    const texts = { pxe: "PXE", disk: "Hard-Drive", cdrom: "CD/DVD", bios: "BIOS Setup", safe: "request Safe-Mode" };
    for (const [device, text] of Object.entries(texts)) {
      await succeed("chassis", "bootdev", device, "options=persistent,efiboot");
      expect(machine.bootDevices.at(-1)).to.deep.equal({ device, persistent: true, efi: true });
      const kept = await succeed("chassis", "bootparam", "get", "5");
      expect(kept).to.contain("Boot Flag Valid");
      expect(kept).to.contain("BIOS EFI boot");
      expect(kept).to.contain(text);
    }
    await succeed("chassis", "bootdev", "none");
    expect(machine.bootDevices.at(-1)).to.deep.equal({ device: "none", persistent: false, efi: false });
  });

  it("mc info, selftest, guid in both orders", async () => {
    expect(fieldsOf(await succeed("mc", "info")).get("IPMI Version")).to.equal("2.0");
    expect(await succeed("mc", "selftest")).to.equal("Selftest: passed\n");
    for (const encoding of ["ipmi", "smbios"] as const) {
      const { stdout } = await run("mc", "guid", encoding);
      expect(fieldsOf(stdout).get("System GUID"), encoding).to.equal(formatGuid(GUID, encoding));
    }
  });

  it("mc reset cold: the sessions are gone, the BMC is silent for a moment, then back", async () => {
    const session = closing(await openSession({ address: "127.0.0.1", port: simulator.port, ...CREDENTIALS }));
    expect(simulator.sessionCount).to.equal(1);
    expect(await succeed("mc", "reset", "cold")).to.contain("Sent cold reset command to MC");
    expect(simulator.sessionCount).to.equal(0);
    await eventually("power status after the reset", async () => (await run("power", "status")).status === 0);
    await session.abandon();
  });

  it("mc watchdog: set by us, read, reset and switched off", async () => {
    await succeed("raw", "0x06", "0x24", "0x44", "0x03", "0x00", "0x10", "0xe8", "0x03");
    const set = fieldsOf((await succeed("mc", "watchdog", "get")).replaceAll(":", " : "));
    expect(set.get("Watchdog Timer Is")).to.equal("Stopped");
    expect(set.get("Initial Countdown")).to.equal("100.0 sec");
    await succeed("mc", "watchdog", "reset");
    const running = await succeed("mc", "watchdog", "get");
    expect(running).to.match(/Watchdog Timer Use:\s+SMS\/OS/);
    expect(running).to.match(/Watchdog Timer Is:\s+Started\/Running/);
    expect(running).to.match(/Watchdog Timer Action:\s+Power Cycle/);
    await succeed("mc", "watchdog", "off");
    expect(await succeed("mc", "watchdog", "get")).to.match(/Watchdog Timer Is:\s+Stopped/);
  });

  it("lan print, and lan set", async () => {
    const fields = fieldsOf(await succeed("lan", "print", "1"));
    expect(fields.get("IP Address Source")).to.equal("Static Address");
    expect(fields.get("IP Address")).to.equal("127.0.0.1");
    expect(fields.get("MAC Address")).to.equal("02:00:11:22:33:44");
    expect(fields.get("RMCP+ Cipher Suites")).to.equal("3,17");
    expect(fields.get("Cipher Suite Priv Max")).to.equal("aaXXXXXXXXXXXXX");
    await succeed("lan", "set", "1", "ipaddr", "10.0.0.9");
    await succeed("lan", "set", "1", "vlan", "id", "5");
    const changed = fieldsOf(await succeed("lan", "print", "1"));
    expect(changed.get("IP Address")).to.equal("10.0.0.9");
    expect(changed.get("802.1q VLAN ID")).to.equal("5");
    expect(changed.get("Set in Progress")).to.equal("Set Complete");
  });

  it("user list, set name, set password, test, priv, enable, disable", async () => {
    await succeed("user", "set", "name", "3", "prov");
    await succeed("user", "set", "password", "3", "geheim", "16");
    await succeed("user", "test", "3", "16", "geheim");
    expect((await run("user", "test", "3", "16", "falsch")).stdout).to.equal("Failure: password incorrect\n");
    expect((await run("user", "test", "3", "20", "geheim")).stdout).to.contain("wrong password size");
    await succeed("channel", "setaccess", "1", "3", "callin=off", "ipmi=on", "link=off", "privilege=3");
    await succeed("user", "enable", "3");
    const list = (await succeed("user", "list", "1")).split("\n");
    expect(list[2]).to.match(/^2 {3}admin .* true +ADMINISTRATOR$/);
    expect(list[3]).to.match(/^3 {3}prov .* true +OPERATOR$/);
    expect(fieldsOf(await succeed("channel", "getaccess", "1", "3")).get("Enable Status")).to.equal("enabled");
    await succeed("user", "disable", "3");
    expect(fieldsOf(await succeed("channel", "getaccess", "1", "3")).get("Enable Status")).to.equal("disabled");
  });

  it("the user's password set over IPMI is the one that logs in", async () => {
    await succeed("user", "set", "password", "2", "another", "16");
    expect((await run("power", "status")).stderr).to.contain("Unable to establish");
    const session = { address: "127.0.0.1", port: simulator.port, user: "admin", password: "another" };
    await closing(await openSession(session)).close();
  });

  it("channel info", async () => {
    const info = await succeed("channel", "info", "1");
    expect(info).to.match(/Channel Medium Type\s+: 802\.3 LAN/);
    expect(info).to.match(/Session Support\s+: multi-session/);
    expect(info).to.match(/Access Mode\s+: always available/);
  });

  it("dcmi power reading, raw, and a controller behind the BMC", async () => {
    await succeed("power", "on");
    const power = await succeed("dcmi", "power", "reading");
    expect(power).to.match(/Instantaneous power reading:\s+120 Watts/);
    expect(power).to.match(/Power reading state is:\s+activated/);
    expect(await succeed("raw", "0x06", "0x04")).to.equal(" 55 00\n");
    const satellite = fieldsOf(await succeed("-t", "0x2c", "-b", "0", "mc", "info"));
    expect(satellite.get("Device ID")).to.equal("66");
    expect((await run("-t", "0x2e", "-b", "0", "raw", "0x06", "0x01")).stderr).to.contain("rsp=0x83");
  });
});

describe("FreeIPMI manages the simulator", () => {
  const { closing, simulate } = simulatorFixture();
  let tools: FreeIpmi;
  let port: number;
  const run = (tool: string, ...words: string[]) => tools.run(port, tool, ...words);

  beforeEach(async () => {
    tools = closing(await FreeIpmi.create());
    ({ port } = (await simulate({ guid: GUID })).simulator);
  });

  it("bmc-info", async () => {
    const info = await run("bmc-info");
    expect(fieldsOf(info).get("System GUID")).to.equal(formatGuid(GUID, "ipmi"));
    expect(info).to.match(/Channel Number\s+: 1\nMedium Type\s+: 802\.3 LAN/);
  });

  it("ipmi-chassis", async () => {
    await run("ipmi-chassis", "--chassis-identify=FORCE");
    await run("ipmi-chassis", "--set-power-restore-policy=ALWAYS-ON");
    expect(fieldsOf(await run("ipmi-chassis", "--get-chassis-status")).get("Power restore policy")).to.equal(
      "Always on",
    );
    expect(await run("ipmi-chassis", "--get-system-restart-cause")).to.contain("unknown");
    expect(await run("ipmi-chassis", "--get-power-on-hours-counter")).to.contain("0 Hours 0 Minutes");
  });

  it("ipmi-dcmi, ipmi-raw", async () => {
    expect(await run("ipmi-dcmi", "--get-dcmi-capability-info")).to.match(
      /Power Management \S+ \S+ Support\s+: Available/,
    );
    const statistics = fieldsOf(await run("ipmi-dcmi", "--get-system-power-statistics"));
    expect(statistics.get("Current Power")).to.equal("8 Watts");
    expect(statistics.get("Power Measurement")).to.equal("Active");
    expect(await run("ipmi-raw", "0", "6", "4")).to.equal("rcvd: 04 00 55 00 \n");
  });
});
