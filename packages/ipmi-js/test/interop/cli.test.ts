// The ipmi-js command against a real ipmi_sim, and beside ipmitool on the same BMC.
import { expect } from "chai";
import { cli, jsonLines } from "../cli-command.ts";
import type { BmcUnderTest } from "../contract/bmc-contract.ts";
import { eventually } from "../failure.ts";
import { startIpmiSim } from "./ipmi-sim.ts";
import { fieldsOf, ipmitool, tableOf } from "./peer-tool.ts";

const EVENTS = [
  "sel_add 0x20 2 0 0 0 0 0x20 0 0x04 0x01 0x01 0x01 0x59 0x61 0x60\n",
  "sel_add 0x20 2 0 0 0 0 0x20 0 0x04 0x0c 0x05 0x6f 0x00 0xff 0xff\n",
].join("");

describe("ipmi-js command against ipmi_sim", () => {
  let target: BmcUnderTest;
  let host: string;
  const run = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await cli(...args, "-H", host);
    expect([status, stderr], `${args.join(" ")}: ${stderr}`).to.deep.equal([0, ""]);
    return stdout;
  };
  const tool = async (...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await ipmitool(target.port, 3, ...words);
    expect(status, stderr).to.equal(0);
    return stdout;
  };

  before(async () => {
    target = await startIpmiSim("", EVENTS);
    host = `${target.address}:${target.port}`;
  });
  after(() => target?.close());

  it("power: what it switches, the machine and ipmitool see", async () => {
    expect(await run("power", "on", "--wait")).to.match(/^on after /);
    await eventually("the machine to be on", () => target.machineIsOn());
    expect(await tool("power", "status")).to.equal("Chassis Power is on\n");
    expect(await run("power", "off", "--wait")).to.match(/^off after /);
    expect(await tool("power", "status")).to.equal("Chassis Power is off\n");
    expect(await run("power")).to.equal("off\n");
  });

  it("bootdev: the machine is told", async () => {
    expect(await run("bootdev", "pxe", "--persistent")).to.equal("pxe, for all boots, legacy\n");
    expect(await target.bootDevice()).to.equal("pxe");
  });

  it("info and status say what ipmitool says", async () => {
    const theirs = fieldsOf(await tool("mc", "info"));
    const [ours] = jsonLines(await run("info", "--json"));
    const result: Record<string, unknown> = ours?.result ?? {};
    expect(result["firmwareRevision"]).to.equal(theirs.get("Firmware Revision"));
    expect(String(result["manufacturerId"])).to.equal(theirs.get("Manufacturer ID"));
    expect(result["ipmiVersion"]).to.equal(theirs.get("IPMI Version"));
    expect(await run("status"))
      .to.match(/^power +o(n|ff)$/m)
      .and.contain(theirs.get("Firmware Revision"));
  });

  it("sel: the same events as ipmitool's, and then none", async () => {
    const theirs = tableOf(await tool("sel", "list"));
    const ours = (await run("sel")).trim().split("\n");
    expect(ours).to.have.length(theirs.length).and.length.above(1);
    for (const [index, line] of ours.entries()) {
      expect(Number(line.trim().split(/\s/)[0])).to.equal(Number.parseInt(theirs[index]?.[0] ?? "", 16));
      expect(line).to.contain(theirs[index]?.[3]?.split(" ")[0]);
    }
    expect(await run("sel", "info")).to.match(new RegExp(`^entries +${theirs.length}$`, "m"));
    expect(await run("sel", "clear")).to.equal(`cleared; it had ${theirs.length} events\n`);
    expect(fieldsOf(await tool("sel", "info")).get("Entries")).to.equal("0");
    expect(await run("sel")).to.equal("the log is empty\n");
  });

  it("raw: the bytes that ipmitool raw has", async () => {
    expect((await run("raw", "6", "1")).trim()).to.equal((await tool("raw", "6", "1")).trim());
  });

  it("an unknown user is named", async () => {
    const { status, stderr } = await cli("power", "-U", "nobody", "-H", host);
    expect([status, stderr.includes("no such user")], stderr).to.deep.equal([1, true]);
  });
});
