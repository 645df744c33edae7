// Sessions of every kind against hostile bytes: what they accept is what was sealed, once, and nothing else.
import { expect } from "chai";
import fc from "fast-check";
import { activateSession } from "../../src/commands/activate-session.ts";
import type { Command } from "../../src/commands/command.ts";
import { getSessionChallenge } from "../../src/commands/get-session-challenge.ts";
import { CIPHER_SUITES, type CipherSuite, keyFromKg, keyFromSecret, sessionKeys } from "../../src/crypto.ts";
import { openSession } from "../../src/open-session.ts";
import { PacketsV15, RmcpPlusPackets, type SessionPackets } from "../../src/session-packets.ts";
import { decodeRmcp } from "../../src/wire/rmcp.ts";
import { decodePacketV15, encodePacketV15 } from "../../src/wire/session-v15.ts";
import { decodePacket, encodeSealedPacket, unseal } from "../../src/wire/session-v20.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { failure } from "../failure.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { readCapturesV15 } from "../vectors/capture.ts";
import { Attacker, hostileDatagrams, startBabbler } from "./datagrams.ts";
import { anyBytes, type Decoder, itThrowsOnlyWireErrors, RUNS, unlessWireError } from "./decoders.ts";

const anySuite = fc.constantFrom(...CIPHER_SUITES.values());
const keysOf = (suite: CipherSuite) => sessionKeys(suite, Buffer.alloc(32, 7), keyFromSecret("secret"));

/** Both ends of a session, by kind. */
const KINDS: Readonly<Record<string, () => readonly [SessionPackets, SessionPackets]>> = {
  "suite 17": () => rmcpPlusEnds(17),
  "suite 12": () => rmcpPlusEnds(12),
  "suite 2": () => rmcpPlusEnds(2),
  "IPMI 1.5, MD5": () => [endV15(10, 20), endV15(20, 10)],
};

function rmcpPlusEnds(id: number): readonly [SessionPackets, SessionPackets] {
  const suite = CIPHER_SUITES.get(id) as CipherSuite;
  return [new RmcpPlusPackets(1, 2, keysOf(suite)), new RmcpPlusPackets(2, 1, keysOf(suite))];
}

function endV15(firstSent: number, firstReceived: number): SessionPackets {
  const password = keyFromSecret("secret").subarray(0, 16);
  return new PacketsV15({ sessionId: 5, authenticationType: 2, password, firstSent, firstReceived });
}

describe("hostile sessions", () => {
  const closing = closeAfterEach();
  const commands = [getSessionChallenge, activateSession] as unknown as readonly Command<unknown, unknown>[];
  itThrowsOnlyWireErrors(
    [
      ["decodePacketV15", decodePacketV15],
      ...[...CIPHER_SUITES.values()].map(
        (suite): Decoder => [`unseal in suite ${suite.id}`, (bytes) => unseal(decodePacket(bytes), keysOf(suite))],
      ),
    ],
    commands,
  );

  it("packets of every suite and length round-trip; those of one suite are none of another's", () => {
    fc.assert(
      fc.property(anyBytes, anySuite, anySuite, (payload, suite, other) => {
        const packet = { payloadType: 0, sessionId: 1, sequence: 1, payload };
        const received = decodePacket(encodeSealedPacket(packet, keysOf(suite)));
        expect(unseal(received, keysOf(suite))).to.deep.equal(packet);
        const isSame = suite.integrity === other.integrity && suite.isEncrypted === other.isEncrypted;
        if (!isSame) expect(() => unseal(received, keysOf(other))).to.throw(WireError);
      }),
      RUNS,
    );
  });

  it("IPMI 1.5 packets of every length round-trip", () => {
    const payload = fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(payload, fc.constantFrom(0, 2, 4), fc.nat(0xffffffff), (bytes, authenticationType, sequence) => {
        const packet = { authenticationType, sequence, sessionId: 9, payload: bytes };
        const { authCode, ...received } = decodePacketV15(encodePacketV15(packet, Buffer.alloc(16, 1)));
        expect(received).to.deep.equal(packet);
        expect(authCode).to.have.length(authenticationType === 0 ? 0 : 16);
      }),
      RUNS,
    );
  });

  for (const [name, ends] of Object.entries(KINDS)) {
    it(`${name}: of what was sealed, changed, mixed up and repeated, each message is taken once at most`, () => {
      const delivery = fc.tuple(fc.nat(19), fc.option(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 255 }))));
      fc.assert(
        fc.property(fc.array(delivery, { maxLength: 60 }), (deliveries) => {
          const [sender, receiver] = ends();
          const sealed = Array.from({ length: 20 }, (_, n) => sender.seal(0, Buffer.from(`message ${n}`)));
          const taken: string[] = [];
          for (const [index, change] of deliveries) {
            const datagram = Buffer.from(sealed[index] ?? Buffer.alloc(0));
            const { body } = decodeRmcp(datagram);
            if (change !== null) body[change[0] % body.length] = (body[change[0] % body.length] ?? 0) ^ change[1];
            const packet = unlessWireError(() => receiver.open(body));
            if (packet === undefined) continue;
            expect(packet.payload.toString()).to.equal(`message ${index}`);
            taken.push(packet.payload.toString());
          }
          expect(new Set(taken).size).to.equal(taken.length);
          const whole = deliveries.filter(([, change]) => change === null).map(([index]) => `message ${index}`);
          expect([...new Set(whole)].every((message) => taken.includes(message))).to.equal(true);
        }),
        RUNS,
      );
    });
  }

  it("any text is a K_g, or is refused as too long", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^0x[0-9a-fA-F]{0,50}$/)), (text) => {
        expect(keyFromKg(text)?.length ?? 20).to.equal(20);
      }),
      RUNS,
    );
  });

  it("the simulator lives on after random and bent IPMI 1.5 datagrams; the client takes none for an answer", async () => {
    const datagrams = hostileDatagrams(readCapturesV15());
    const { simulator, machine } = await startSimulator({ protocol15: true, v15Authentication: ["md5", "none"] });
    const { address, port } = closing(simulator);
    const attacker = closing(new Attacker());
    await fc.assert(
      fc.asyncProperty(datagrams, (datagram) => attacker.send(simulator, datagram)),
      RUNS,
    );
    const session = closing(await openSession({ address, port, ...CREDENTIALS, protocol: "1.5" }));
    expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    expect(machine.actions).to.deep.equal([]);

    const babbler = closing(await startBabbler(fc.sample(datagrams, 100)));
    const target = { address: "127.0.0.1", port: babbler.port, ...CREDENTIALS, retransmitMs: 40 };
    const error = await failure(openSession({ ...target, protocol: "1.5", deadlineMs: 300 }));
    expect(["Timeout", "CompletionCode", "CipherSuite"]).to.include(error.code);
    expect(babbler.sentCount()).to.be.greaterThan(0);
  });
});
