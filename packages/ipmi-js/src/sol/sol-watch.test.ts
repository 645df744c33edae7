// Who has the console, by what BMCs answer; the bytes are ipmi_sim's, as `ipmitool raw 6 0x4b 1 1` and `raw 6 0x4a 1` show them.
import { expect } from "chai";
import { type Answer, ScriptedBmc } from "../../test/scripted-bmc.ts";
import { SolWatch } from "./sol-watch.ts";

const IN_SESSION_102 = "00 02 01 00 00 01 00 00 00 00 00 00 00";
const IN_SESSION_101 = "00 01 01 00 00 01 00 00 00 00 00 00 00";
const IN_NO_SESSION = "00 00 00 00 00 01 00 00 00 00 00 00 00";
const ACTIVE = "00 01 01 00";
const NOT_ACTIVE = "00 01 00 00";
const UNKNOWN_COMMAND = "c1";
const DEVICE_ID = "00 00 03 09 08 02 9f 91 12 00 02 0f 00 00 00 00";

const bytes = (hex: string): Answer => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("SolWatch", () => {
  /** What each question is told, in turn; and what was asked. */
  async function watch(...answers: readonly string[]): Promise<{ told: string[]; asked: string[] }> {
    const left = [...answers];
    const bmc = new ScriptedBmc(() => bytes(left.shift() ?? ""));
    const watch = new SolWatch(bmc, { payloadType: 1, instance: 1 });
    const told: string[] = [];
    for (const _ of answers) told.push(await watch.ask({ deadlineMs: 1000 }));
    return { told, asked: bmc.asked.map(({ name, data }) => `${name} ${data.toString("hex")}`) };
  }

  it("knows its session by the first answer, another's by another, and none", async () => {
    const { told, asked } = await watch(IN_SESSION_102, IN_SESSION_102, IN_SESSION_101, IN_NO_SESSION);
    expect(told).to.deep.equal(["us", "us", "another", "nobody"]);
    expect(new Set(asked)).to.deep.equal(new Set(["Get Payload Instance Info 0101"]));
  });

  it("asks whether it is active at all where the BMC does not know whose, and never again what was refused", async () => {
    const { told, asked } = await watch(UNKNOWN_COMMAND, ACTIVE, ACTIVE, NOT_ACTIVE);
    expect(told).to.deep.equal(["us", "us", "us", "nobody"]);
    const status = "Get Payload Activation Status 01";
    expect(asked).to.deep.equal(["Get Payload Instance Info 0101", status, status, status]);
  });

  it("keeps the session where the BMC knows neither", async () => {
    const { told, asked } = await watch(UNKNOWN_COMMAND, UNKNOWN_COMMAND, DEVICE_ID, UNKNOWN_COMMAND, DEVICE_ID);
    expect(new Set(told)).to.deep.equal(new Set(["us"]));
    expect(asked.slice(2)).to.deep.equal(["Get Device ID ", "Get Device ID ", "Get Device ID "]);
  });

  it("does not believe a BMC that has never said that it is active", async () => {
    const { told } = await watch(IN_NO_SESSION, IN_NO_SESSION, IN_SESSION_102, IN_NO_SESSION);
    expect(told).to.deep.equal(["us", "us", "us", "nobody"]);
  });
});
