// What a glance at many BMCs makes of those that cannot tell one thing of it.
import { expect } from "chai";
import { type Answer, ScriptedBmc } from "../../test/scripted-bmc.ts";
import { getSystemRestartCause } from "../commands/get-system-restart-cause.ts";
import { answerIfAny } from "./fleet.ts";

describe("answerIfAny", () => {
  const ask = (...answer: number[]) => {
    const bmc = new ScriptedBmc((): Answer => (answer.length === 0 ? undefined : Buffer.from(answer)));
    return answerIfAny({ bmc, limits: { deadlineMs: 1 } }, getSystemRestartCause);
  };

  it("is the answer; undefined for a refusal and for an answer cut short; silence and a lack of rights are errors", async () => {
    expect(await ask(0, 4, 1)).to.deep.equal({ cause: "watchdog", channel: 1 });
    expect(await ask(0xc1)).to.equal(undefined);
    expect(await ask(0, 4)).to.equal(undefined);
    for (const [answer, code] of [
      [[], "Timeout"],
      [[0xd4], "InsufficientPrivilege"],
    ] as const)
      expect(await ask(...answer).catch((error: unknown) => error)).to.include({ code });
  });
});
