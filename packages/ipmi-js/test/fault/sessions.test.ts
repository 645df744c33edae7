// Session setup that is refused or ignored, BMCs that say wrong things of themselves, and IPMI 1.5.
import { expect } from "chai";
import { Bmc } from "../../src/bmc.ts";
import { getSessionInfo } from "../../src/commands/get-session-info.ts";
import { setUserPassword } from "../../src/commands/set-user-password.ts";
import { setUserAccess } from "../../src/commands/user-access.ts";
import { getUserName } from "../../src/commands/user-name.ts";
import type { IpmiErrorCode } from "../../src/errors.ts";
import { type OpenSessionOptions, openSession } from "../../src/open-session.ts";
import { raw } from "../../src/raw.ts";
import { consoleRequest, encodeMessage, NET_FN, responseTo } from "../../src/wire/message.ts";
import { encodeRmcp, RMCP_CLASS } from "../../src/wire/rmcp.ts";
import { encodePacketV15, isSessionV15 } from "../../src/wire/session-v15.ts";
import { PAYLOAD_TYPE } from "../../src/wire/session-v20.ts";
import { eventually, failure } from "../failure.ts";
import { startSimulator } from "../simulated-machine.ts";
import { sessionFixture } from "./session-fixture.ts";
import { payloadTypeOf } from "./tampering-proxy.ts";

/** Table 13-15, by what the caller is told. */
const STATUS_CODES: Readonly<Record<number, IpmiErrorCode>> = {
  1: "NoFreeSession",
  2: "Protocol",
  3: "Protocol",
  4: "CipherSuite",
  5: "CipherSuite",
  6: "CipherSuite",
  7: "CipherSuite",
  8: "Protocol",
  9: "InsufficientPrivilege",
  10: "InsufficientPrivilege",
  11: "NoFreeSession",
  12: "InvalidArgument",
  13: "NoSuchUser",
  14: "Protocol",
  15: "WrongPassword",
  16: "CipherSuite",
  17: "CipherSuite",
  18: "Protocol",
  192: "Protocol",
};

describe("sessions", () => {
  const { closing, simulate, tamperWith, reach, open, refusal } = sessionFixture();

  describe("refused with a status of table 13-15", () => {
    for (const fault of ["openSessionStatus", "rakp2Status", "rakp4Status"] as const) {
      for (const [status, code] of Object.entries(STATUS_CODES)) {
        it(`${fault} ${status}: ${code}`, async () => {
          const { simulator } = await simulate({ faults: { [fault]: Number(status) } });
          const error = await refusal(simulator.port);
          expect([error.code, error.rakpStatus, error.address]).to.deep.equal([code, Number(status), "127.0.0.1"]);
          expect(error.message).to.contain(`127.0.0.1:${simulator.port}`);
          expect(simulator.sessionCount).to.equal(0);
        });
      }
    }
  });

  it("given up between RAKP 3 and RAKP 4 leave no slot taken", async () => {
    const { simulator } = await simulate();
    const proxy = await tamperWith(simulator.port);
    const controller = new AbortController();
    const opened: number[] = [];
    proxy.toConsole = (datagram) => {
      if (payloadTypeOf(datagram) !== PAYLOAD_TYPE.rakp4) return [datagram];
      opened.push(simulator.sessionCount);
      controller.abort();
      return [];
    };
    expect((await refusal(proxy.port, { signal: controller.signal })).code).to.equal("Aborted");
    expect(opened).to.deep.equal([1]);
    await eventually("the session to be closed", () => simulator.sessionCount === 0);
  });

  it("whose RAKP 4 is lost again and again leave no slot taken", async () => {
    const { simulator } = await simulate();
    const proxy = await tamperWith(simulator.port);
    proxy.toConsole = (datagram) => (payloadTypeOf(datagram) === PAYLOAD_TYPE.rakp4 ? [] : [datagram]);
    expect((await refusal(proxy.port, { deadlineMs: 600 })).code).to.equal("Timeout");
    await eventually("the sessions to be closed", () => simulator.sessionCount === 0);
  });

  describe("cipher suites", () => {
    it("0 is opened by those only who allow it", async () => {
      const { simulator } = await simulate({ cipherSuites: [0] });
      const error = await failure((async () => openSession(reach(simulator.port, { cipherSuites: [0] })))());
      expect(error.code).to.equal("InvalidArgument");
      expect(error.message).to.contain("allowCipherZero");
      const wanted = { cipherSuites: [0], allowCipherZero: true, password: "whatever" };
      const session = await open(simulator.port, wanted);
      expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    });

    it("are tried in the order the BMC lists after a refusal, and its list is in the error", async () => {
      const { simulator } = await simulate({ cipherSuites: [2, 8] });
      const session = await open(simulator.port, { cipherSuites: [17, 3, 12, 8, 2] });
      expect(session.cipherSuite).to.equal(8);
      const error = await refusal(simulator.port);
      expect(error.code).to.equal("CipherSuite");
      expect(error.message).to.contain("none of the cipher suites offered (17, 3); it lists 2, 8; enable one");
    });

    it("17 costs no question, and neither does 3 after the refusal of 17", async () => {
      const count = async (cipherSuites: number[]) => {
        const { simulator } = await simulate({ cipherSuites });
        await (await open(simulator.port)).close();
        return simulator.counters.datagramsReceived;
      };
      // Open Session, RAKP 1 and 3, Set Session Privilege Level, Close Session.
      expect(await count([17])).to.equal(5);
      expect(await count([3])).to.equal(6);
    });

    const LISTS: readonly [string, Buffer | undefined][] = [
      ["a sound list", undefined],
      ["an empty list", Buffer.alloc(0)],
      ["a list of nonsense", Buffer.from("00ff41c0c1c0c0034081ffc0", "hex")],
      ["a list that never ends", Buffer.alloc(64 * 16, Buffer.from("c011034481", "hex"))],
      ["a list of 17 alone, which it does not have", Buffer.from("c011034481", "hex")],
    ];
    for (const [name, cipherSuiteList] of LISTS) {
      it(`3 is found on a BMC that is silent to 17, with ${name}`, async () => {
        const faults = { ignoresUnknownSuites: true, ...(cipherSuiteList && { cipherSuiteList }) };
        const { simulator } = await simulate({ cipherSuites: [3], faults });
        const session = await open(simulator.port);
        expect(session.cipherSuite).to.equal(3);
      });
      it(`8 is found on a BMC that refuses 17, 3 and 12, with ${name}`, async () => {
        const { simulator } = await simulate({ cipherSuites: [8], faults: cipherSuiteList ? { cipherSuiteList } : {} });
        const session = await open(simulator.port, { cipherSuites: [17, 3, 12, 8] });
        expect(session.cipherSuite).to.equal(8);
      });
    }

    it("what silence has taught is remembered for the next session of a Bmc", async () => {
      const { simulator } = await simulate({ cipherSuites: [3], faults: { ignoresUnknownSuites: true } });
      const bmc = closing(new Bmc({ ...reach(simulator.port), idleCloseMs: 10, quirks: false }));
      await bmc.getPower();
      await eventually("the idle session to be closed", () => simulator.sessionCount === 0);
      const before = simulator.counters.datagramsReceived;
      await bmc.getPower();
      // Open Session, RAKP 1 and 3, the privilege, the command.
      expect(simulator.counters.datagramsReceived - before).to.equal(5);
    });

    it("a dead BMC is not taken for an old one: 17 is what it gets when it is back", async () => {
      const first = await startSimulator();
      const { port } = first.simulator;
      await first.simulator.close();
      const opening = openSession(reach(port));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await simulate({ port });
      expect(closing(await opening).cipherSuite).to.equal(17);
    });
  });

  describe("IPMI 1.5", () => {
    const OLD = { protocol15: true, protocol20: false } as const;

    it("is what a BMC without RMCP+ gets if the caller allows it, asked anew each time", async () => {
      const { simulator, machine } = await simulate(OLD);
      const session = await open(simulator.port, { protocol: "auto" });
      expect([session.protocol, session.cipherSuite]).to.deep.equal(["1.5", undefined]);
      await session.chassisControl("power-up");
      expect(machine.actions).to.deep.equal(["power-up"]);
      await session.close();
      expect(simulator.sessionCount).to.equal(0);
      // One that says so for a while only, as a forger on the way does: later sessions are RMCP+ again.
      const bmc = closing(new Bmc({ ...reach(simulator.port), protocol: "auto", idleCloseMs: 10 }));
      await bmc.getPower();
      await eventually("the idle session to be closed", () => simulator.sessionCount === 0);
      await simulator.close();
      const { simulator: modern } = await simulate({ port: simulator.port, protocol15: true });
      await bmc.getPower();
      expect((await bmc.execute(getSessionInfo, undefined)).active).to.equal(1);
      expect(modern.counters.sessionsOpened).to.equal(1);
    });

    it("is not taken by default: a BMC's unsigned word that it has no RMCP+ is an error", async () => {
      const { simulator } = await simulate(OLD);
      const error = await refusal(simulator.port);
      expect(error.code).to.equal("CipherSuite");
      expect(error.message).to.contain('only IPMI 1.5, which encrypts nothing; ask for that with protocol "1.5"');
      expect(simulator.counters.sessionsOpened).to.equal(0);
    });

    it("is not what a BMC with RMCP+ gets, nor a caller who asks for 2.0", async () => {
      const { simulator } = await simulate({ protocol15: true });
      expect((await open(simulator.port)).protocol).to.equal("2.0");
      const old = await simulate(OLD);
      expect((await refusal(old.simulator.port, { protocol: "2.0" })).code).to.equal("CipherSuite");
      expect(old.simulator.counters.sessionsOpened).to.equal(0);
    });

    it("asks the old way when the BMC refuses the bit of IPMI 2.0", async () => {
      const { simulator } = await simulate(OLD);
      const proxy = await tamperWith(simulator.port);
      proxy.toBmc = (datagram) => {
        const isNewForm = isSessionV15(datagram.subarray(4)) && datagram[19] === 0x38 && (datagram[20] ?? 0) >= 0x80;
        if (!isNewForm) return [datagram];
        const request = consoleRequest(NET_FN.application, 0x38, (datagram[18] ?? 0) >> 2, Buffer.alloc(0));
        const payload = encodeMessage(responseTo(request, 0xcc, Buffer.alloc(0)));
        const packet = { authenticationType: 0, sequence: 0, sessionId: 0, payload };
        proxy.sendToConsole(encodeRmcp(RMCP_CLASS.ipmi, encodePacketV15(packet, Buffer.alloc(0))));
        return [];
      };
      expect((await open(proxy.port, { protocol: "1.5" })).protocol).to.equal("1.5");
    });

    it("names its refusals", async () => {
      const { simulator } = await simulate({ ...OLD, privilege: "operator", maxSessions: 1 });
      const code = async (options: Partial<OpenSessionOptions>) => {
        const error = await refusal(simulator.port, { protocol: "1.5", privilege: "operator", ...options });
        return `${error.code} ${error.operation} ${error.completionCode ?? ""}`;
      };
      expect(await code({ user: "nobody" })).to.equal("NoSuchUser Get Session Challenge 129");
      expect(await code({ password: "wrong" })).to.equal("WrongPassword Activate Session ");
      expect(await code({ privilege: "administrator" })).to.equal("InsufficientPrivilege Activate Session 134");
      expect(await code({ v15Authentication: ["password"] })).to.match(/^CipherSuite Get Channel Auth/);
      await open(simulator.port, { protocol: "1.5", privilege: "operator" });
      expect(await code({})).to.equal("NoFreeSession Activate Session 129");
    });

    it("says which authentication types the BMC has", async () => {
      const { simulator } = await simulate({ ...OLD, v15Authentication: ["none", "password"] });
      const error = await refusal(simulator.port, { protocol: "auto" });
      expect(error.message).to.contain("the BMC offers the authentication types none, password and none of ours");
      for (const type of ["none", "password"] as const) {
        const session = await open(simulator.port, { protocol: "auto", v15Authentication: [type] });
        expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
      }
      const modern = await simulate();
      const no = await refusal(modern.simulator.port, { protocol: "1.5" });
      expect([no.code, no.message.includes("IPMI 2.0 only")]).to.deep.equal(["CipherSuite", true]);
    });

    it("takes no password of more than 16 bytes, nor shows it", async () => {
      const password = "tellnobody-tellno";
      const { simulator } = await simulate({ ...OLD, password });
      const error = await refusal(simulator.port, { protocol: "auto", password });
      expect(error.code).to.equal("InvalidArgument");
      expect(error.message).to.contain("16 bytes").and.not.to.contain("tellnobody");
    });

    it("goes on without codes when the BMC wants none in each message", async () => {
      const { simulator } = await simulate({ ...OLD, faults: { noPerMessageAuthentication: true } });
      const session = await open(simulator.port, { protocol: "1.5" });
      expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    });

    it("lives with losses and copies", async () => {
      const { simulator, machine } = await simulate({
        ...OLD,
        maxSessions: 64,
        faults: { dropRate: 0.2, duplicateRate: 0.2, seed: 7 },
      });
      for (let n = 0; n < 5; n += 1) {
        const session = await open(simulator.port, { protocol: "1.5", retransmitMs: 20 });
        await session.chassisControl("power-up");
        expect((await session.getChassisStatus()).isPowerOn).to.equal(true);
        await session.close();
      }
      expect(new Set(machine.actions)).to.deep.equal(new Set(["power-up"]));
    });

    it("carries no payloads of IPMI 2.0", async () => {
      const { simulator } = await simulate(OLD);
      const session = await open(simulator.port, { protocol: "1.5" });
      expect(() => session.sendPayload(PAYLOAD_TYPE.serialOverLan, Buffer.alloc(4))).to.throw("no payload type 1");
      const error = await failure(raw(session, NET_FN.application, 0x01, Buffer.alloc(250)));
      expect(error.code).to.equal("InvalidArgument");
    });
  });

  it("users are looked up by name alone, or with their privilege if asked", async () => {
    const { simulator } = await simulate({ privilege: "operator" });
    await open(simulator.port, { privilege: "user" });
    await open(simulator.port, { privilege: "operator", nameOnlyLookup: false });
    const error = await refusal(simulator.port, { privilege: "user", nameOnlyLookup: false });
    expect(error.code).to.equal("NoSuchUser");
  });

  it("name and password of the simulator's user can change; open sessions stay", async () => {
    const { simulator } = await simulate();
    const before = await open(simulator.port);
    simulator.setUserName("root");
    simulator.setPassword("changed");
    expect((await refusal(simulator.port)).code).to.equal("NoSuchUser");
    expect((await refusal(simulator.port, { user: "root" })).code).to.equal("WrongPassword");
    const test = { userId: 2, operation: "test", password: Buffer.from("changed"), size: 16 } as const;
    await before.execute(setUserPassword, test);
    expect(await before.execute(getUserName, { userId: 2 })).to.deep.equal({ name: "root" });
    await before.execute(setUserAccess, { channel: 1, userId: 2, privilegeLimit: 4 });
    await open(simulator.port, { user: "root", password: "changed" });
    expect((await before.getChassisStatus()).isPowerOn).to.equal(false);
  });

  it("a K_g of zeroes is none, and half a byte of hex is a mistake", async () => {
    const { simulator } = await simulate({ kg: Buffer.alloc(20) });
    await open(simulator.port);
    await open(simulator.port, { kg: "" });
    const error = await failure((async () => openSession(reach(simulator.port, { kg: "0xabc" })))());
    expect(error.code).to.equal("InvalidArgument");
  });
});
