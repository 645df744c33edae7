// How a client behaves towards one BMC over time: dead ones are left alone, busy ones get a gap, kept sessions are kept, quirks are minded.
import { expect } from "chai";
import { Bmc, type BmcOptions } from "../../src/bmc.ts";
import { getDeviceId } from "../../src/commands/get-device-id.ts";
import { IpmiError } from "../../src/errors.ts";
import { raw } from "../../src/raw.ts";
import { SharedSockets } from "../../src/shared-sockets.ts";
import type { BmcSimulator, BmcSimulatorOptions } from "../../src/simulator/simulator.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { eventually, failure } from "../failure.ts";
import { CREDENTIALS, SimulatedMachine, startSimulator } from "../simulated-machine.ts";

/** Remembers when it was asked for its power. */
class WatchedMachine extends SimulatedMachine {
  readonly askedAt: number[] = [];

  override getPower(): boolean {
    this.askedAt.push(performance.now());
    return super.getPower();
  }
}

describe("manners towards a BMC", () => {
  const closing = closeAfterEach();
  const client = (simulator: BmcSimulator, options: Partial<BmcOptions> = {}): Bmc =>
    closing(new Bmc({ address: "127.0.0.1", port: simulator.port, ...CREDENTIALS, retransmitMs: 50, ...options }));
  const watched = async (options: Partial<BmcSimulatorOptions> = {}) => {
    const machine = new WatchedMachine();
    const { simulator } = await startSimulator({ handlers: machine, ...options });
    return { machine, simulator: closing(simulator) };
  };

  it("a dead BMC is left alone after three operations without an answer: the next fails at once and says so", async () => {
    const { simulator } = await startSimulator();
    const bmc = client(simulator, { breaker: { coolDownMs: 60_000, longestCoolDownMs: 60_000 } });
    await bmc.getPower();
    await simulator.close();
    for (let n = 0; n < 3; n += 1) {
      const error = await failure(bmc.getPower({ deadlineMs: 400 }));
      expect(error.message).to.contain("no answer from BMC");
    }
    const error = await failure(bmc.getPower({ deadlineMs: 10_000 }));
    expect(error.code).to.equal("Timeout");
    expect(error.message).to.contain("did not answer 3 operations in a row and is left alone");
  });

  it("an operation whose deadline is later than the rest waits for it, and an answer ends the rest for all", async () => {
    const { simulator } = await startSimulator();
    const { port } = simulator;
    const bmc = client(simulator, { breaker: { failures: 1, coolDownMs: 1500 } });
    await simulator.close();
    await failure(bmc.getPower({ deadlineMs: 400 }));
    expect((await failure(bmc.getPower({ deadlineMs: 20 }))).message).to.contain("is left alone");
    closing((await startSimulator({ port })).simulator);
    expect(await bmc.getPower({ deadlineMs: 20_000 })).to.equal(false);
    expect(await bmc.getPower({ deadlineMs: 20_000 })).to.equal(false);
  });

  it("a refusal is an answer: a BMC that says no is not dead", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator, { breaker: { failures: 1, coolDownMs: 60_000 } });
    for (let n = 0; n < 3; n += 1) expect((await failure(bmc.control("hard-reset"))).code).to.equal("CompletionCode");
    expect(await bmc.getPower()).to.equal(false);
  });

  it("a caller in a hurry makes no BMC dead, and costs no session", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator, { retransmitMs: 1000, breaker: { coolDownMs: 60_000, longestCoolDownMs: 60_000 } });
    await bmc.getPower();
    simulator.faults.delayMs = 150;
    for (let n = 0; n < 4; n += 1) expect((await failure(bmc.getPower({ deadlineMs: 20 }))).code).to.equal("Timeout");
    expect(await bmc.getPower()).to.equal(false);
    expect(simulator.counters.sessionsOpened).to.equal(1);
  });

  it("the deadline is for all commands of an operation together", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator, { retransmitMs: 5000 });
    await bmc.getPower();
    simulator.faults.delayMs = 400;
    // The BMC is asked what it is before it is told to do something: 800 ms in all.
    expect((await failure(bmc.control("power-up", { deadlineMs: 600 }))).code).to.equal("Timeout");
  });

  it("a request too long for any packet is refused as often as it comes, and leaves the session in order", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator);
    const request = Buffer.alloc(70_000);
    for (let n = 0; n < 65; n += 1) {
      const error = await failure(raw(bmc, 6, 1, request));
      expect([error.code, error.message.includes("cannot send this")]).to.deep.equal(["InvalidArgument", true]);
    }
    expect(await bmc.getPower()).to.equal(false);
    await bmc.close();
    expect(simulator.sessionCount).to.equal(0);
  });

  for (const [name, value] of Object.entries({
    operationDeadlineMs: 0,
    idleCloseMs: -1,
    keepAliveMs: Number.NaN,
    minGapMs: -1,
  }))
    it(`refuses ${name} ${value}`, () => {
      const make = () => new Bmc({ address: "127.0.0.1", ...CREDENTIALS, [name]: value });
      expect(make).to.throw(IpmiError, `${name} must be`);
    });

  it("an endless idle time keeps the session", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator, { idleCloseMs: Number.POSITIVE_INFINITY });
    for (let n = 0; n < 3; n += 1) {
      await bmc.getPower();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(simulator.counters.sessionsOpened).to.equal(1);
  });

  it("leaves a gap between operations", async () => {
    const { machine, simulator } = await watched();
    const bmc = client(simulator, { minGapMs: 60 });
    await Promise.all(Array.from({ length: 4 }, () => bmc.getPower()));
    const gaps = machine.askedAt.slice(1).map((at, n) => at - (machine.askedAt[n] ?? 0));
    expect(gaps.length).to.equal(3);
    // A timer of Node may fire a millisecond early.
    for (const gap of gaps) expect(gap).to.be.at.least(58);
  });

  it("keeps a session by a command now and then, where the BMC would have forgotten it", async () => {
    const { machine, simulator } = await watched({ sessionIdleMs: 1500 });
    const bmc = client(simulator, { keepAliveMs: 100 });
    await bmc.getPower();
    await eventually("keep-alives for longer than the BMC waits", () => machine.askedAt.length > 25, 20_000);
    await bmc.getPower();
    expect(simulator.counters.sessionsOpened).to.equal(1);
    await bmc.close();
    const asked = machine.askedAt.length;
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(machine.askedAt.length, "after close").to.equal(asked);
  });

  it("waits after a power command as the quirk table says, before it believes the status", async () => {
    const { machine, simulator } = await watched();
    simulator.faults.slowPowerMs = 400;
    // The simulator names no maker: its number is 0.
    const quirks = [{ name: "slow", manufacturerId: 0, workaround: { powerSettleMs: 900 } }];
    const bmc = client(simulator, { quirks });
    await bmc.control("power-up");
    expect(await bmc.getPower()).to.equal(true);
    expect(machine.isOn).to.equal(true);
    // Longer than the machine that runs the test can be busy; the end of the simulator drops it.
    simulator.faults.slowPowerMs = 60_000;
    const naive = client(simulator, { quirks: false });
    await naive.control("power-down");
    expect(await naive.getPower()).to.equal(true);
  });

  it("learns the row of a BMC that it only reads: the second operation asks, and later ones keep the row's gap", async () => {
    const { machine, simulator } = await watched();
    const bmc = client(simulator, { quirks: [{ name: "slow", manufacturerId: 0, workaround: { minGapMs: 200 } }] });
    const commandsOfOne = async (): Promise<number> => {
      const before = simulator.counters.commands;
      await bmc.getPower();
      return simulator.counters.commands - before;
    };
    // With Set Session Privilege Level, which opened the session.
    expect([await commandsOfOne(), await commandsOfOne(), await commandsOfOne()]).to.deep.equal([2, 2, 1]);
    const gaps = machine.askedAt.slice(1).map((at, n) => at - (machine.askedAt[n] ?? 0));
    for (const gap of gaps) expect(gap).to.be.at.least(198);
  });

  it("reads on a BMC that leaves Get Device ID without an answer", async () => {
    const { simulator } = await watched();
    simulator.faults.ignoredCommands = [getDeviceId];
    const bmc = client(simulator);
    for (let n = 0; n < 3; n += 1) expect(await bmc.getPower({ deadlineMs: 20_000 })).to.equal(false);
  });

  it("gives a session back in time though it does not know yet how soon the BMC forgets it", async () => {
    const { simulator } = await watched();
    const bmc = client(simulator, {
      quirks: [{ name: "short", manufacturerId: 0, workaround: { sessionIdleMs: 50 } }],
    });
    await bmc.getPower();
    await eventually("the session to be closed", () => simulator.sessionCount === 0);
  });

  it("many BMCs share sockets: each answer reaches its own question, lossy ones included", async () => {
    const network = new SharedSockets({ sockets: 2 });
    const racks = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        startSimulator(n % 4 === 0 ? { faults: { dropRate: 0.2, seed: n + 1 } } : {}),
      ),
    );
    const bmcs = racks.map(({ simulator }) => client(simulator, { network }));
    for (const { simulator } of racks) closing(simulator);
    racks.forEach(({ machine }, n) => {
      machine.isOn = n % 3 === 0;
    });
    const seen = await Promise.all(bmcs.map((bmc) => bmc.getPower()));
    expect(seen).to.deep.equal(racks.map((_, n) => n % 3 === 0));
    await Promise.all(bmcs.map((bmc) => bmc.close()));
    await network.close();
    expect((await failure(client(racks[0]?.simulator as BmcSimulator, { network }).getPower())).code).to.equal(
      "Closed",
    );
  });
});
