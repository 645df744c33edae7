// Someone between console and BMC forges, weakens and replays packets: both ends drop them.
import { expect } from "chai";
import { activateSession } from "../../src/commands/activate-session.ts";
import { consoleRequest, encodeMessage, NET_FN, responseTo } from "../../src/wire/message.ts";
import { encodeRmcp, RMCP_CLASS } from "../../src/wire/rmcp.ts";
import { decodePacketV15, encodePacketV15, isSessionV15 } from "../../src/wire/session-v15.ts";
import { decodePacket, encodePlainPacket, PAYLOAD_TYPE } from "../../src/wire/session-v20.ts";
import { sessionFixture } from "./session-fixture.ts";
import { payloadTypeOf } from "./tampering-proxy.ts";

describe("sessions tampered with", () => {
  const { simulate, tamperWith, open, refusal } = sessionFixture();

  /** A chassis status "on" that nobody signed, for any request. */
  const forgedAnswers = (sessionId: number): Buffer[] =>
    Array.from({ length: 64 }, (_, rqSeq) => {
      const request = consoleRequest(NET_FN.chassis, 0x01, rqSeq, Buffer.alloc(0));
      const payload = encodeMessage(responseTo(request, 0, Buffer.from([0x01, 0, 0])));
      const packet = { payloadType: PAYLOAD_TYPE.ipmi, sessionId, sequence: 1000 + rqSeq, payload };
      return encodeRmcp(RMCP_CLASS.ipmi, encodePlainPacket(packet));
    });

  for (const suite of [17, 3, 2, 8, 12]) {
    it(`suite ${suite}: packets less protected than agreed are dropped by both ends`, async () => {
      const { simulator, machine } = await simulate({ cipherSuites: [suite] });
      const proxy = await tamperWith(simulator.port);
      const control = encodeMessage(consoleRequest(NET_FN.chassis, 0x02, 1, Buffer.from([1])));
      let forged = 0;
      proxy.toConsole = (datagram) => {
        const { sessionId } = decodePacket(datagram.subarray(4));
        if (sessionId === 0) return [datagram];
        // The forged ones, a copy whose flags say "neither signed nor encrypted", then the real one.
        const stripped = Buffer.from(datagram);
        stripped[5] = (stripped[5] ?? 0) & 0x3f;
        return [...forgedAnswers(sessionId), stripped, datagram];
      };
      proxy.toBmc = (datagram) => {
        const { sessionId } = decodePacket(datagram.subarray(4));
        if (sessionId === 0) return [datagram];
        forged += 1;
        const packet = { payloadType: PAYLOAD_TYPE.ipmi, sessionId, sequence: 5000 + forged, payload: control };
        return [encodeRmcp(RMCP_CLASS.ipmi, encodePlainPacket(packet)), datagram];
      };
      const session = await open(proxy.port, { cipherSuites: [suite] });
      for (let n = 0; n < 5; n += 1) expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
      expect(machine.actions).to.deep.equal([]);
      // Those of packets sent again may still be under way.
      expect(simulator.counters.datagramsIgnored).to.be.within(6, forged);
    });
  }

  for (const at of ["toBmc", "toConsole"] as const) {
    it(`algorithms made weaker on the way (${at}): Protocol, and no session`, async () => {
      const { simulator } = await simulate({ cipherSuites: [0, 1, 2, 3, 17] });
      const proxy = await tamperWith(simulator.port);
      const type = at === "toBmc" ? PAYLOAD_TYPE.openSessionRequest : PAYLOAD_TYPE.openSessionResponse;
      // RMCP and session headers, then where the first algorithm record starts.
      const records = 16 + (at === "toBmc" ? 8 : 12);
      proxy[at] = (datagram) => {
        if (payloadTypeOf(datagram) !== type) return [datagram];
        const weaker = Buffer.from(datagram);
        for (const [index, number] of [1, 0, 0].entries()) weaker[records + 8 * index + 4] = number;
        return [weaker];
      };
      const error = await refusal(proxy.port);
      expect([error.code, error.operation]).to.deep.equal(["Protocol", "Open Session Request"]);
      expect(error.message).to.contain("other algorithms");
    });
  }

  it("a forged refusal of 17 forces 3 on those who offer it, and nothing on those who do not", async () => {
    const { simulator } = await simulate();
    const proxy = await tamperWith(simulator.port);
    proxy.toConsole = (datagram) => {
      // HMAC-SHA256 was agreed to: say "no matching cipher suite" instead.
      if (payloadTypeOf(datagram) !== PAYLOAD_TYPE.openSessionResponse || datagram[32] !== 3) return [datagram];
      const refused = Buffer.from(datagram.subarray(0, 24));
      refused[14] = 8;
      refused[17] = 0x11;
      return [refused];
    };
    expect((await open(proxy.port)).cipherSuite).to.equal(3);
    expect((await refusal(proxy.port, { cipherSuites: [17] })).code).to.equal("CipherSuite");
  });

  for (const protocol of ["2.0", "1.5"] as const) {
    it(`IPMI ${protocol}: replayed packets are dropped by both ends`, async () => {
      const { simulator, machine } = await simulate({ protocol15: true });
      const proxy = await tamperWith(simulator.port);
      const seen: Buffer[] = [];
      const isInSession = (datagram: Buffer) => {
        const body = datagram.subarray(4);
        return (isSessionV15(body) ? decodePacketV15(body) : decodePacket(body)).sessionId !== 0;
      };
      // What is new comes last, after all that was.
      const replay = (datagram: Buffer): Buffer[] => {
        if (!isInSession(datagram)) return [datagram];
        seen.push(datagram);
        return seen.slice(-80);
      };
      proxy.toConsole = replay;
      const session = await open(proxy.port, { protocol });
      expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
      await session.chassisControl("power-up");
      // The request numbers come round after 64: an old "off" would then answer a new question.
      for (let n = 0; n < 66; n += 1) expect((await session.getChassisStatus()).isPowerOn).to.equal(true);
      proxy.toConsole = (datagram) => [datagram];
      seen.length = 0;
      proxy.toBmc = replay;
      await session.chassisControl("power-down");
      await session.chassisControl("power-up");
      for (let n = 0; n < 5; n += 1) await session.getChassisStatus();
      expect(machine.actions).to.deep.equal(["power-up", "power-down", "power-up"]);
    });
  }

  it("IPMI 1.5: an Activate Session answered by one without the password opens nothing", async () => {
    const { simulator } = await simulate({ protocol15: true });
    const proxy = await tamperWith(simulator.port);
    const granted = { authenticationType: 0, sessionId: 77, initialInboundSequence: 1, maximumPrivilege: 4 };
    const forged = [0, 2].map((authenticationType) => {
      const request = consoleRequest(NET_FN.application, activateSession.code, 1, Buffer.alloc(0));
      const payload = encodeMessage(responseTo(request, 0, activateSession.encodeResponse(granted)));
      const packet = { authenticationType, sequence: 0, sessionId: 77, payload };
      return encodeRmcp(RMCP_CLASS.ipmi, encodePacketV15(packet, Buffer.alloc(16, "x")));
    });
    proxy.toConsole = (datagram) => [...forged, datagram];
    const session = await open(proxy.port, { protocol: "1.5" });
    expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    expect(simulator.sessionCount).to.equal(1);
  });

  it("IPMI 1.5: forged and unsigned packets are dropped by both ends", async () => {
    const { simulator, machine } = await simulate({ protocol15: true });
    const proxy = await tamperWith(simulator.port);
    const forge = (datagram: Buffer, payloads: Buffer[]): Buffer[] => {
      const { sessionId, sequence } = decodePacketV15(datagram.subarray(4));
      if (sessionId === 0 || sequence === 0) return [datagram];
      const forged = payloads.flatMap((payload, n) =>
        [0, 2, 4].map((authenticationType) =>
          encodePacketV15(
            { authenticationType, sessionId, sequence: sequence + 1 + n, payload },
            Buffer.alloc(16, "x"),
          ),
        ),
      );
      return [...forged.map((body) => encodeRmcp(RMCP_CLASS.ipmi, body)), datagram];
    };
    const control = encodeMessage(consoleRequest(NET_FN.chassis, 0x02, 1, Buffer.from([1])));
    proxy.toBmc = (datagram) => forge(datagram, [control]);
    proxy.toConsole = (datagram) => {
      const answers = forgedAnswers(1).map((answer) => answer.subarray(16));
      return forge(datagram, answers);
    };
    const session = await open(proxy.port, { protocol: "1.5" });
    for (let n = 0; n < 5; n += 1) expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    expect(machine.actions).to.deep.equal([]);
    expect(simulator.counters.datagramsIgnored).to.be.greaterThan(10);
  });
});
