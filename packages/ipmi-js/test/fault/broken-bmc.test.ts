// BMCs that are away, full, stricter or slower than we would like, and callers that change their mind.
import { expect } from "chai";
import { Bmc, type BmcOptions } from "../../src/bmc.ts";
import type { SimulatorFaults } from "../../src/simulator/faults.ts";
import { BmcSimulator } from "../../src/simulator/simulator.ts";
import { bindSocket } from "../bind-socket.ts";
import { eventually, failure } from "../failure.ts";
import { CREDENTIALS, SimulatedMachine, startSimulator } from "../simulated-machine.ts";
import { sessionFixture } from "./session-fixture.ts";

describe("broken BMCs", () => {
  const { closing, simulate, reach, open, refusal } = sessionFixture();
  const client = (port: number, options: Partial<BmcOptions> = {}): Bmc =>
    closing(new Bmc({ ...reach(port), retransmitMs: 100, ...options }));

  it("nothing listens: Timeout at the deadline, naming address, operation and the network's report", async () => {
    const { simulator } = await startSimulator();
    await simulator.close();
    const start = performance.now();
    const error = await failure(client(simulator.port, { operationDeadlineMs: 600 }).control("power-up"));
    expect(performance.now() - start).to.be.within(550, 3000);
    expect(error.code).to.equal("Timeout");
    expect(error.address).to.equal("127.0.0.1");
    expect(error.operation).to.equal("power-up");
    expect(error.message).to.contain(`power-up: no answer from BMC 127.0.0.1:${simulator.port} within 600 ms`);
    expect(error.message).to.contain("Open Session Request");
    expect(error.message).to.contain("ECONNREFUSED");
  });

  it("something listens and says nothing: Timeout as well", async () => {
    const deaf = closing(await bindSocket());
    const error = await refusal(deaf.address().port, { deadlineMs: 300 });
    expect(error.code).to.equal("Timeout");
    expect(error.operation).to.equal("Open Session Request");
  });

  it("a dead BMC's queue: each operation ends at its own deadline", async () => {
    const { simulator } = await startSimulator();
    await simulator.close();
    const bmc = client(simulator.port, { operationDeadlineMs: 1000 });
    const start = performance.now();
    const errors = await Promise.all([1, 2, 3].map(() => failure(bmc.getPower())));
    expect(errors.map((error) => error.code)).to.deep.equal(["Timeout", "Timeout", "Timeout"]);
    expect(performance.now() - start).to.be.below(2000);
  });

  it("all session slots taken: NoFreeSession from openSession; a Bmc waits until one is free", async () => {
    const { simulator } = await simulate({ maxSessions: 1 });
    const holder = await open(simulator.port);
    const error = await refusal(simulator.port);
    expect(error.code).to.equal("NoFreeSession");
    expect(error.rakpStatus).to.equal(0x01);
    expect(error.message).to.contain("no free session slot on the BMC");
    const impatient = await failure(client(simulator.port, { operationDeadlineMs: 500 }).getPower());
    expect(impatient.code).to.equal("NoFreeSession");
    const patient = client(simulator.port).getPower();
    await holder.close();
    expect(await patient).to.equal(false);
  });

  it("half-open sessions do not hold slots", async () => {
    const { simulator } = await simulate({ maxSessions: 2 });
    for (let n = 0; n < 5; n += 1) await refusal(simulator.port, { password: "wrong" });
    await (await open(simulator.port)).close();
    expect(simulator.sessionCount).to.equal(0);
  });

  it("an expired session is opened again", async () => {
    const { simulator } = await simulate({ sessionIdleMs: 500 });
    const bmc = client(simulator.port);
    await bmc.getPower();
    await eventually("the session to expire", () => simulator.sessionCount === 0);
    expect(await bmc.getPower()).to.equal(false);
    expect(simulator.counters.sessionsOpened).to.equal(2);
  });

  it("one session serves all operations, and is closed when idle and at the end", async () => {
    const { simulator } = await simulate();
    const bmc = client(simulator.port, { idleCloseMs: 50 });
    for (let n = 0; n < 5; n += 1) await bmc.getPower();
    expect(simulator.counters.sessionsOpened).to.equal(1);
    expect(simulator.sessionCount).to.equal(1);
    await eventually("the idle session to be closed", () => simulator.sessionCount === 0);
    await bmc.getPower();
    await bmc.close();
    expect(simulator.sessionCount).to.equal(0);
    expect(simulator.counters.sessionsOpened).to.equal(2);
  });

  it("restarts in mid-use: the next operation opens a new session", async () => {
    const machine = new SimulatedMachine();
    const options = { address: "127.0.0.1", ...CREDENTIALS, handlers: machine };
    const first = closing(await BmcSimulator.listen(options));
    let second: BmcSimulator | undefined;
    // Before the client, which then still has a BMC to close its session at.
    closing({ close: () => second?.close() });
    const bmc = client(first.port);
    await bmc.control("power-up");
    await first.close();
    const during = bmc.getPower();
    second = await BmcSimulator.listen({ ...options, port: first.port });
    expect(await during).to.equal(true);
    expect(second.counters.sessionsOpened).to.equal(1);
  });

  it("a user without the privilege: InsufficientPrivilege", async () => {
    const { simulator } = await simulate({ privilege: "user" });
    expect((await refusal(simulator.port)).code).to.equal("InsufficientPrivilege");
    const session = await open(simulator.port, { privilege: "user" });
    expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    const error = await failure(session.chassisControl("power-up"));
    expect(error.code).to.equal("InsufficientPrivilege");
    expect(error.completionCode).to.equal(0xd4);
  });

  it("K_g: needed, wrong, right", async () => {
    const { simulator } = await simulate({ kg: "the-bmc-key" });
    expect((await refusal(simulator.port)).message).to.contain("the BMC has a K_g and none was given");
    const wrong = await refusal(simulator.port, { kg: "another" });
    expect([wrong.code, wrong.operation]).to.deep.equal(["WrongPassword", "RAKP Message 4"]);
    await open(simulator.port, { kg: "the-bmc-key" });
  });

  it("an old BMC with cipher suite 3 only: fallback, unless 17 is asked for", async () => {
    const { simulator } = await simulate({ cipherSuites: [3] });
    expect((await open(simulator.port)).cipherSuite).to.equal(3);
    const error = await refusal(simulator.port, { cipherSuites: [17] });
    expect(error.code).to.equal("CipherSuite");
    expect(error.rakpStatus).to.equal(0x11);
  });

  it("an empty password and one of 20 bytes are passwords", async () => {
    for (const password of ["", "p".repeat(20)]) {
      const { simulator } = await simulate({ password });
      expect(await client(simulator.port, { password }).getPower()).to.equal(false);
      expect((await failure(client(simulator.port, { password: "other" }).getPower())).code).to.equal("WrongPassword");
    }
  });

  describe("callers", () => {
    const slow: SimulatorFaults = { delayMs: 60_000 };

    it("abort while the session opens", async () => {
      const { simulator } = await simulate({ faults: slow });
      const controller = new AbortController();
      const bmc = client(simulator.port);
      const work = failure(bmc.getPower({ signal: controller.signal }));
      await eventually("the first datagram", () => simulator.counters.datagramsReceived > 0);
      controller.abort();
      expect((await work).code).to.equal("Aborted");
    });

    it("abort a command: the session stays, the next operation gets its own answer", async () => {
      const { simulator, machine } = await simulate();
      const bmc = client(simulator.port, { retransmitMs: 2000 });
      await bmc.control("power-up");
      simulator.faults.delayMs = 500;
      const controller = new AbortController();
      const before = simulator.counters.commands;
      const work = failure(bmc.getPower({ signal: controller.signal }));
      await eventually("the command to arrive", () => simulator.counters.commands > before);
      controller.abort();
      expect((await work).code).to.equal("Aborted");
      // The answer to the aborted question is still under way; it must not be taken for this one's.
      await bmc.control("power-down");
      expect(machine.isOn).to.equal(false);
      expect(await bmc.getPower()).to.equal(false);
      expect(simulator.counters.sessionsOpened).to.equal(1);
    });

    it("abort while waiting for the turn, without a word to the BMC", async () => {
      const { simulator } = await simulate({ faults: slow });
      const bmc = client(simulator.port, { operationDeadlineMs: 400 });
      const first = failure(bmc.getPower());
      const controller = new AbortController();
      const second = failure(bmc.control("power-up", { signal: controller.signal }));
      controller.abort();
      expect((await second).code).to.equal("Aborted");
      expect((await first).code).to.equal("Timeout");
    });

    it("close lets what is in line finish, then refuses", async () => {
      const { simulator, machine } = await simulate();
      const bmc = client(simulator.port);
      const work = [bmc.control("power-up"), bmc.getPower()] as const;
      await bmc.close();
      expect(await work[1]).to.equal(true);
      expect(machine.isOn).to.equal(true);
      expect((await failure(bmc.getPower())).code).to.equal("Closed");
      expect(simulator.sessionCount).to.equal(0);
    });
  });
});
