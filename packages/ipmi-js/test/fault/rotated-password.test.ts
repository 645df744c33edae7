// The password of the login itself is set, and the session lost with the answer: nobody may be told that nothing was done.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { coldReset } from "../../src/commands/bmc-reset.ts";
import type { CommandRunner } from "../../src/commands/command-runner.ts";
import { setUserPassword } from "../../src/commands/set-user-password.ts";
import { IpmiError } from "../../src/errors.ts";
import { setUser } from "../../src/set-user.ts";
import { PAYLOAD_TYPE } from "../../src/wire/session-v20.ts";
import { LOGIN, outcomeOf, start } from "../cli-command.ts";
import { failure } from "../failure.ts";
import { sessionFixture } from "./session-fixture.ts";
import { payloadTypeOf } from "./tampering-proxy.ts";

/** Set Session Privilege Level, Get Device ID, Set User Password. */
const COMMANDS_UNTIL_SET = 3;

describe("a session lost while the login's own password is set", () => {
  const { simulate, reach, closing, tamperWith } = sessionFixture();

  it("setUser: the refusal of the old password says that the new one may be in force", async () => {
    const { simulator } = await simulate({ coldResetMs: 1 });
    const bmc = closing(new Bmc(reach(simulator.port, { retransmitMs: 50 })));
    const runner: CommandRunner = {
      address: bmc.address,
      async execute(command, request, options) {
        const response = await bmc.execute(command, request, options);
        // The BMC starts anew behind the caller's back.
        if (command.code === setUserPassword.code && simulator.counters.sessionsOpened === 1)
          await bmc.execute(coldReset, undefined, { deadlineMs: 100 }).catch(() => {});
        return response;
      },
    };
    const settings = { userId: 2, name: "admin", password: "rotated", privilege: "administrator" } as const;
    const error = await failure(setUser(runner, settings));
    expect(error.code).to.equal("WrongPassword");
    expect(error.message).to.contain("the password may have been changed: try the new one").and.not.contain("rotated");
    expect(error.cause).to.be.instanceOf(IpmiError).and.include({ code: "WrongPassword" });
    const renewed = closing(new Bmc(reach(simulator.port, { password: "rotated" })));
    expect(await renewed.getPower()).to.equal(false);
  });

  it("ipmi-js user set-password: the hint is the new password, not the file of the old one", async () => {
    const { simulator } = await simulate();
    const proxy = await tamperWith(simulator.port);
    proxy.toConsole = (datagram) => {
      const isCommand = payloadTypeOf(datagram) === PAYLOAD_TYPE.ipmi;
      return isCommand && simulator.counters.commands >= COMMANDS_UNTIL_SET ? [] : [datagram];
    };
    const args = ["user", "set-password", "2", "-H", `127.0.0.1:${proxy.port}`];
    const { status, stdout, stderr } = await outcomeOf(start(args, { ...LOGIN, IPMI_NEW_PASSWORD: "rotated" }));
    expect([status, stdout]).to.deep.equal([1, ""]);
    expect(stderr)
      .to.contain("the password may have been changed: try the new one")
      .and.contain("must hold the new one")
      .and.not.contain("check --password-file");
    const renewed = closing(new Bmc(reach(simulator.port, { password: "rotated" })));
    expect(await renewed.getPower()).to.equal(false);
  });
});
