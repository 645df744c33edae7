// Writing LAN settings over a network that loses answers, and given up half way: the BMC is never left "set in progress".
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { readLanConfiguration, writeLanConfiguration } from "../../src/lan-configuration.ts";
import { raw } from "../../src/raw.ts";
import { PAYLOAD_TYPE } from "../../src/wire/session-v20.ts";
import { failure } from "../failure.ts";
import { sessionFixture } from "./session-fixture.ts";
import { payloadTypeOf } from "./tampering-proxy.ts";

const CHANNEL = 1;
const CHANGES = { ipAddress: "10.1.2.3", subnetMask: "255.255.0.0" } as const;
/** Set Session Privilege Level, Get LAN Configuration Parameters, set in progress. */
const COMMANDS_UNTIL_IN_PROGRESS = 3;

describe("writing the LAN configuration over a bad network", () => {
  const { simulate, reach, closing, tamperWith } = sessionFixture();
  const begin = async () => {
    const { simulator } = await simulate();
    const proxy = await tamperWith(simulator.port);
    return { simulator, proxy, bmc: closing(new Bmc(reach(proxy.port))) };
  };
  const setState = async (bmc: Bmc): Promise<number | undefined> =>
    (await raw(bmc, 0x0c, 0x02, Buffer.from([CHANNEL, 0, 0, 0]))).data.at(-1);

  it("the answers to set in progress are lost with the session: the lock is known as our own, and all is written", async () => {
    const { simulator, proxy, bmc } = await begin();
    proxy.toConsole = (datagram) => {
      const isCommand = payloadTypeOf(datagram) === PAYLOAD_TYPE.ipmi;
      const { commands, sessionsOpened } = simulator.counters;
      return isCommand && sessionsOpened === 1 && commands >= COMMANDS_UNTIL_IN_PROGRESS ? [] : [datagram];
    };
    await writeLanConfiguration(bmc, CHANGES, CHANNEL);
    expect(simulator.counters.sessionsOpened).to.equal(2);
    expect(await readLanConfiguration(bmc, CHANNEL)).to.include(CHANGES);
    expect(await setState(bmc)).to.equal(0);
  });

  it("given up by the caller: nothing is written, and others may write", async () => {
    const { simulator, proxy, bmc } = await begin();
    const caller = new AbortController();
    proxy.toConsole = (datagram) => {
      if (simulator.counters.commands === COMMANDS_UNTIL_IN_PROGRESS) caller.abort();
      return [datagram];
    };
    const error = await failure(writeLanConfiguration(bmc, CHANGES, CHANNEL, { signal: caller.signal }));
    expect(error.code).to.equal("Aborted");
    expect(await setState(bmc)).to.equal(0);
    expect((await readLanConfiguration(bmc, CHANNEL)).ipAddress).not.to.equal(CHANGES.ipAddress);
  });
});
