// Serial over LAN under hostile bytes: the codecs throw WireError or nothing, the machines keep their promises, both ends live on.
import { expect } from "chai";
import fc from "fast-check";
import { activatePayload } from "../../src/commands/activate-payload.ts";
import type { Command } from "../../src/commands/command.ts";
import { deactivatePayload } from "../../src/commands/deactivate-payload.ts";
import { getChannelPayloadSupport } from "../../src/commands/get-channel-payload-support.ts";
import { getPayloadActivationStatus } from "../../src/commands/get-payload-activation-status.ts";
import { getPayloadInstanceInfo } from "../../src/commands/get-payload-instance-info.ts";
import { getSolConfiguration } from "../../src/commands/get-sol-configuration.ts";
import { setSolConfiguration } from "../../src/commands/set-sol-configuration.ts";
import { decodeSolRetry, encodeSolRetry } from "../../src/commands/sol-configuration.ts";
import { openSession } from "../../src/open-session.ts";
import { SolLink } from "../../src/sol/sol-link.ts";
import { SolReceiver } from "../../src/sol/sol-receiver.ts";
import { SolSender } from "../../src/sol/sol-sender.ts";
import { PAYLOAD_TYPE } from "../../src/wire/session-v20.ts";
import { decodeSolPacket, encodeSolPacket } from "../../src/wire/sol.ts";
import { closeAfterEach } from "../close-after-each.ts";
import { SerialMachine } from "../serial-machine.ts";
import { CREDENTIALS, startSimulator } from "../simulated-machine.ts";
import { anyBytes, itThrowsOnlyWireErrors, RUNS, unlessWireError } from "./decoders.ts";

const COMMANDS: readonly Command<unknown, unknown>[] = [
  activatePayload,
  deactivatePayload,
  getChannelPayloadSupport,
  getPayloadActivationStatus,
  getPayloadInstanceInfo,
  getSolConfiguration,
  setSolConfiguration,
] as never;

describe("hostile Serial over LAN", () => {
  const closing = closeAfterEach();
  itThrowsOnlyWireErrors(
    [
      ["decodeSolPacket", decodeSolPacket],
      ["decodeSolRetry", decodeSolRetry],
    ],
    COMMANDS,
  );

  it("packets and commands round-trip", () => {
    const packet = fc.record({
      sequence: fc.nat(15),
      ackSequence: fc.nat(15),
      acceptedCharacters: fc.nat(255),
      flags: fc.nat(255),
      data: anyBytes.map((bytes) => bytes.subarray(0, 255)),
    });
    fc.assert(
      fc.property(packet, (p) => {
        expect(decodeSolPacket(encodeSolPacket(p))).to.deep.equal(p);
      }),
      RUNS,
    );
    const instances = fc.uniqueArray(fc.integer({ min: 1, max: 16 })).map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.nat(15), instances, (capacity, activeInstances) => {
        const status = { capacity, activeInstances };
        const bytes = getPayloadActivationStatus.encodeResponse(status);
        expect(getPayloadActivationStatus.decodeResponse(bytes)).to.deep.equal(status);
      }),
      RUNS,
    );
    fc.assert(
      fc.property(fc.nat(0xffffffff), (sessionId) => {
        const bytes = getPayloadInstanceInfo.encodeResponse({ sessionId });
        expect(getPayloadInstanceInfo.decodeResponse(bytes)).to.deep.equal({ sessionId });
      }),
      RUNS,
    );
    const retry = { count: 7, intervalMs: 2550 };
    expect(decodeSolRetry(encodeSolRetry(retry))).to.deep.equal(retry);
  });

  it("whatever a peer acknowledges, each character is sent once or goes on waiting", () => {
    const word = fc.record({ ackSequence: fc.nat(15), accepted: fc.nat(255), isNack: fc.boolean() });
    fc.assert(
      fc.property(anyBytes, fc.integer({ min: 1, max: 40 }), fc.array(word, { maxLength: 60 }), (data, size, words) => {
        const sender = new SolSender(size);
        sender.push(data);
        const taken: Buffer[] = [];
        for (const { ackSequence, accepted, isNack } of words) {
          sender.next();
          const packet = sender.inFlight;
          const effect = sender.acknowledge(ackSequence, accepted, isNack);
          if (packet !== undefined && effect !== "ignored") taken.push(packet.data.subarray(0, accepted));
        }
        const length = Buffer.concat(taken).length;
        expect(Buffer.concat(taken).equals(data.subarray(0, length))).to.equal(true);
        expect(sender.pendingUnits).to.equal(data.length - length);
      }),
      RUNS,
    );
  });

  it("whatever a peer sends, no more is delivered than it sent, nor acknowledged than it had", () => {
    const packet = fc.record({ sequence: fc.integer({ min: 1, max: 15 }), data: anyBytes, room: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 60 }), (packets) => {
        const receiver = new SolReceiver();
        for (const { sequence, data, room } of packets) {
          const { fresh, acceptedCharacters } = receiver.receive(sequence, data, room);
          expect(fresh.length).to.be.at.most(Math.min(room, data.length));
          expect(acceptedCharacters ?? 0).to.be.at.most(data.length);
        }
      }),
      RUNS,
    );
  });

  it("a link survives any payloads, and holds no more than its reader has room for", () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 40, size: "max" }), (payloads) => {
        let room = 1000;
        const sender = new SolSender(1);
        sender.push(Buffer.from("ours"));
        const link = new SolLink({
          sender,
          retryIntervalMs: 60_000,
          send: () => {},
          room: () => room,
          deliver: (data) => {
            room -= data.length;
          },
          onProgress: () => {},
          onStatus: () => {},
          onSilence: () => {},
        });
        link.start(16);
        for (const payload of payloads) unlessWireError(() => link.receive(payload));
        link.close();
        expect(room).to.be.at.least(0);
      }),
      // Payloads this long take minutes to shrink.
      { ...RUNS, endOnFailure: true },
    );
  });

  it("the simulator lives on after random SOL payloads", async () => {
    const serial = new SerialMachine();
    const { simulator } = await startSimulator({ serial });
    const { address, port } = closing(simulator);
    const session = closing(await openSession({ address, port, ...CREDENTIALS }));
    const payload = { payloadType: PAYLOAD_TYPE.serialOverLan, instance: 1 };
    session.sendPayload(payload.payloadType, Buffer.from("0000"));
    await session.execute(activatePayload, { ...payload, encryption: true, authentication: true });
    for (const bytes of fc.sample(anyBytes, RUNS.numRuns)) session.sendPayload(payload.payloadType, bytes);
    expect((await session.getChassisStatus()).isPowerOn).to.equal(false);
    await session.execute(deactivatePayload, payload);
    expect((await session.execute(getPayloadActivationStatus, payload)).activeInstances).to.deep.equal([]);
  });
});
