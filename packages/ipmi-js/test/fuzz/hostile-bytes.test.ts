// Hostile bytes: decoders throw WireError and nothing else, command codecs round-trip, simulator and client survive.
import { expect } from "chai";
import fc from "fast-check";
import { decodeBootFlags, encodeBootFlags } from "../../src/commands/boot-flags.ts";
import { chassisControl } from "../../src/commands/chassis-control.ts";
import { closeSession } from "../../src/commands/close-session.ts";
import type { Command } from "../../src/commands/command.ts";
import { getChannelAuthenticationCapabilities } from "../../src/commands/get-channel-authentication-capabilities.ts";
import { decodeCipherSuiteRecords, getChannelCipherSuites } from "../../src/commands/get-channel-cipher-suites.ts";
import { getChassisStatus } from "../../src/commands/get-chassis-status.ts";
import { getDeviceId } from "../../src/commands/get-device-id.ts";
import { getSystemBootOptions } from "../../src/commands/get-system-boot-options.ts";
import { setSessionPrivilegeLevel } from "../../src/commands/set-session-privilege-level.ts";
import { setSystemBootOptions } from "../../src/commands/set-system-boot-options.ts";
import { CIPHER_SUITES, type CipherSuite, type SessionKeys, sessionKeys } from "../../src/crypto.ts";
import { openSession } from "../../src/open-session.ts";
import { ping } from "../../src/sessionless.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/message.ts";
import { decodeOpenSessionRequest, decodeOpenSessionResponse } from "../../src/wire/open-session.ts";
import { decodeRakp1, decodeRakp2, decodeRakp3, decodeRakp4 } from "../../src/wire/rakp.ts";
import { decodePresencePing, decodePresencePong, decodeRmcp } from "../../src/wire/rmcp.ts";
import { decodeSessionlessV15 } from "../../src/wire/session-v15.ts";
import { decodePacket, encodeSealedPacket, unseal } from "../../src/wire/session-v20.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { failure } from "../failure.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { readCaptures } from "../vectors/capture.ts";
import { Attacker, hostileDatagrams, startBabbler } from "./datagrams.ts";
import { anyBytes, itThrowsOnlyWireErrors, RUNS } from "./decoders.ts";

const COMMANDS: readonly Command<unknown, unknown>[] = [
  getChannelAuthenticationCapabilities,
  getChannelCipherSuites,
  getDeviceId,
  setSessionPrivilegeLevel,
  closeSession,
  getChassisStatus,
  chassisControl,
  setSystemBootOptions,
  getSystemBootOptions,
] as never;

const keysOf = (id: number): SessionKeys => sessionKeys(CIPHER_SUITES.get(id) as CipherSuite, Buffer.alloc(20, 7));

const datagrams = hostileDatagrams(readCaptures());

describe("hostile bytes", () => {
  const closing = closeAfterEach();
  itThrowsOnlyWireErrors(
    [
      ["decodeRmcp", decodeRmcp],
      ["decodePresencePing", decodePresencePing],
      ["decodePresencePong", decodePresencePong],
      ["decodeSessionlessV15", decodeSessionlessV15],
      ["decodePacket and unseal", (bytes) => unseal(decodePacket(bytes), keysOf(3))],
      ["decodeOpenSessionRequest", decodeOpenSessionRequest],
      ["decodeOpenSessionResponse", decodeOpenSessionResponse],
      ["decodeRakp1", decodeRakp1],
      ["decodeRakp2", decodeRakp2],
      ["decodeRakp3", decodeRakp3],
      ["decodeRakp4", decodeRakp4],
      ["decodeMessage", decodeMessage],
      ["decodeBootFlags", decodeBootFlags],
      ["decodeCipherSuiteRecords", decodeCipherSuiteRecords],
    ],
    COMMANDS,
  );

  it("sealed packets of any length round-trip, in whole words", () => {
    const plain = fc.record({ payload: fc.uint8Array({ maxLength: 64 }), suite: fc.constantFrom(3, 17) });
    fc.assert(
      fc.property(plain, ({ payload, suite }) => {
        const keys = keysOf(suite);
        const packet = { payloadType: 0, sessionId: 1, sequence: 1, payload: Buffer.from(payload) };
        const sealed = encodeSealedPacket(packet, keys);
        // Whole words on the wire, and the same bytes back (13.28.4, 13.29).
        expect((sealed.length - keys.authCodeLength) % 4).to.equal(0);
        expect(unseal(decodePacket(sealed), keys)).to.deep.equal(packet);
      }),
      RUNS,
    );
  });

  it("messages and boot flags round-trip", () => {
    const byte = fc.nat(255);
    const message = fc.record({
      targetAddress: byte,
      netFn: fc.nat(63),
      targetLun: fc.nat(3),
      sourceAddress: byte,
      sequence: fc.nat(63),
      sourceLun: fc.nat(3),
      command: byte,
      data: anyBytes,
    });
    fc.assert(
      fc.property(message, (m) => {
        expect(decodeMessage(encodeMessage(m))).to.deep.equal(m);
      }),
      RUNS,
    );
    const device = fc.constantFrom("none" as const, "pxe" as const, "disk" as const, "cdrom" as const, "bios" as const);
    const setting = fc.record({ device, persistent: fc.boolean(), efi: fc.boolean() });
    fc.assert(
      fc.property(setting, (s) => {
        expect(decodeBootFlags(encodeBootFlags(s))).to.deep.equal({ ...s, isValid: true });
      }),
      RUNS,
    );
  });

  it("the simulator lives on after random and bent datagrams", async () => {
    const { simulator, machine } = await startSimulator();
    const { address, port } = closing(simulator);
    const attacker = closing(new Attacker());
    await fc.assert(
      fc.asyncProperty(datagrams, (datagram) => attacker.send(simulator, datagram)),
      RUNS,
    );
    expect((await ping({ address, port })).supportsIpmi).to.equal(true);
    const session = closing(await openSession({ address, port, ...CREDENTIALS }));
    expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    await session.close();
    expect(machine.actions).to.deep.equal([]);
    expect(simulator.counters.datagramsIgnored).to.be.greaterThan(0);
  });

  it("the client takes no nonsense for an answer", async () => {
    const babbler = closing(await startBabbler(fc.sample(datagrams, 100)));
    const options = { address: "127.0.0.1", port: babbler.port, ...CREDENTIALS, deadlineMs: 300, retransmitMs: 40 };
    expect((await failure(openSession(options))).code).to.equal("Timeout");
    expect(babbler.sentCount()).to.be.greaterThan(0);
  });
});
