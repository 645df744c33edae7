// A new password and sessions that do not encrypt: refused before anything is done, unless the caller allows it.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { bridge } from "../../src/bridge.ts";
import type { SessionOptions } from "../../src/options.ts";
import { listUsers, setUser } from "../../src/set-user.ts";
import { failure } from "../failure.ts";
import { sessionFixture } from "./session-fixture.ts";

const SETTINGS = { userId: 3, name: "prov", password: "geheim", privilege: "operator" } as const;
const CLEAR: Readonly<Record<string, Partial<SessionOptions>>> = {
  "cipher suite 2": { cipherSuites: [2] },
  "cipher suite 16": { cipherSuites: [16] },
  "IPMI 1.5": { protocol: "1.5" },
};

describe("setUser in the clear", () => {
  const { closing, simulate, reach, open } = sessionFixture();
  const bmcWith = () => simulate({ cipherSuites: [2, 16, 3, 17], protocol15: true });

  for (const [kind, options] of Object.entries(CLEAR))
    it(`is refused in a session of ${kind}, by a session and by a Bmc, and nothing is done`, async () => {
      const { simulator } = await bmcWith();
      const session = await open(simulator.port, options);
      const bmc = closing(new Bmc(reach(simulator.port, options)));
      const before = await listUsers(session);
      for (const runner of [session, bmc, bridge(bmc, { address: 0x82 })]) {
        const { code, message } = await failure(setUser(runner, SETTINGS));
        expect(code).to.equal("InvalidArgument");
        expect(message).to.contain(`(${kind}) encrypts nothing`).and.not.contain(SETTINGS.password);
      }
      expect(await listUsers(session)).to.deep.equal(before);
    });

  for (const [kind, options] of Object.entries(CLEAR))
    it(`is done in a session of ${kind} if the caller allows it`, async () => {
      const { simulator } = await bmcWith();
      const bmc = closing(new Bmc(reach(simulator.port, options)));
      await setUser(bmc, { ...SETTINGS, allowClearText: true });
      expect((await listUsers(bmc))[2]?.name).to.equal("prov");
    });

  it("is no question in a session that encrypts", async () => {
    const { simulator } = await bmcWith();
    await setUser(await open(simulator.port, { cipherSuites: [3] }), SETTINGS);
  });
});
