// A new password on BMCs that cannot test it, and on those that took it and have another.
import { expect } from "chai";
import { failure } from "../../test/failure.ts";
import { ScriptedBmc } from "../../test/scripted-bmc.ts";
import { setPassword } from "./user.ts";

const TEST = 3;

describe("user set-password", () => {
  const limits = { deadlineMs: 1000 };
  const set = (answerToTest: number) => {
    const bmc = new ScriptedBmc((_, data) => Buffer.from([data[1] === TEST ? answerToTest : 0]));
    return setPassword({ bmc, limits, longLimits: limits }, "3", Buffer.from("new"));
  };

  it("says whether the BMC has tested it", async () => {
    expect((await set(0)).lines).to.deep.equal(["user 3 has the new password"]);
    const untested = await set(0xcc);
    expect(untested.lines).to.deep.equal(["user 3 took the new password; the BMC cannot test it"]);
    expect(untested.result).to.deep.equal({ userId: 3, passwordSet: true, passwordTested: false });
  });

  it("fails if the BMC has another, or the same of another size", async () => {
    for (const code of [0x80, 0x81]) expect((await failure(set(code))).completionCode).to.equal(code);
  });
});
