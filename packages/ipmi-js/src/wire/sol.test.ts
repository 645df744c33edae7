// SOL packets and the commands around them. Bytes from ipmitool 1.8.19, ipmiconsole 1.6.10 and ipmi_sim (`ipmitool raw`).
import { expect } from "chai";
import { activatePayload } from "../commands/activate-payload.ts";
import { deactivatePayload } from "../commands/deactivate-payload.ts";
import { getChannelPayloadSupport } from "../commands/get-channel-payload-support.ts";
import { getPayloadActivationStatus } from "../commands/get-payload-activation-status.ts";
import { getSolConfiguration } from "../commands/get-sol-configuration.ts";
import { setSolConfiguration } from "../commands/set-sol-configuration.ts";
import { decodeSolRetry, encodeSolRetry } from "../commands/sol-configuration.ts";
import { decodeSolPacket, encodeSolPacket, SOL_OPERATION, SOL_STATUS, solAcknowledgement } from "./sol.ts";
import { WireError } from "./wire-error.ts";

const bytes = (hex: string) => Buffer.from(hex, "hex");

describe("SOL packets", () => {
  it("typed characters, a break and an acknowledgement as ipmitool and ipmiconsole send them", () => {
    const typed = { sequence: 1, ackSequence: 0, acceptedCharacters: 0, flags: 0, data: Buffer.from("ls\r") };
    expect(decodeSolPacket(bytes("010000006c730d"))).to.deep.equal(typed);
    expect(encodeSolPacket(typed).toString("hex")).to.equal("010000006c730d");
    const flags = SOL_OPERATION.generateBreak;
    const sent = encodeSolPacket({ sequence: 2, ackSequence: 0, acceptedCharacters: 0, flags, data: Buffer.alloc(0) });
    expect(sent.toString("hex")).to.equal("02000010");
    expect(encodeSolPacket(solAcknowledgement(1, 6)).toString("hex")).to.equal("00010600");
  });

  it("status bits of table 15-2, by hand", () => {
    const { flags, ackSequence } = decodeSolPacket(bytes("000f0060"));
    expect(ackSequence).to.equal(15);
    expect(flags).to.equal(SOL_STATUS.nack | SOL_STATUS.transferUnavailable);
    expect(decodeSolPacket(bytes("00000010")).flags).to.equal(SOL_STATUS.deactivated);
    expect(() => decodeSolPacket(bytes("010000"))).to.throw(WireError, "a SOL packet");
    // More could not be acknowledged: the count is one byte.
    expect(() => decodeSolPacket(Buffer.alloc(260))).to.throw(WireError, "at most 255");
  });
});

describe("SOL commands", () => {
  it("Activate Payload: what ipmitool asks and ipmi_sim answers", () => {
    const request = { payloadType: 1, instance: 1, encryption: true, authentication: true };
    expect(activatePayload.decodeRequest(bytes("0101c6000000"))).to.deep.equal(request);
    // CTS and DCD are asserted, unlike ipmitool's: bit 1.
    expect(activatePayload.encodeRequest(request).toString("hex")).to.equal("0101c4000000");
    // Trap: ipmi_sim swaps the bytes of the outbound size (64).
    expect(activatePayload.decodeResponse(bytes("00000000200000409725ffff"))).to.deep.equal({
      inboundPayloadBytes: 32,
      outboundPayloadBytes: 0x4000,
      port: 9623,
    });
    expect(activatePayload.completionCodes?.[0x80]).to.contain("another session");
  });

  it("Deactivate Payload, Get Payload Activation Status, Get Channel Payload Support", () => {
    const sol = { payloadType: 1, instance: 1 };
    expect(deactivatePayload.encodeRequest(sol).toString("hex")).to.equal("010100000000");
    expect(getPayloadActivationStatus.decodeResponse(bytes("010000"))).to.deep.equal({
      capacity: 1,
      activeInstances: [],
    });
    expect(getPayloadActivationStatus.decodeResponse(bytes("020180")).activeInstances).to.deep.equal([1, 16]);
    const { payloadTypes } = getChannelPayloadSupport.decodeResponse(bytes("03003f0000000000"));
    expect(payloadTypes).to.deep.equal([0, 1, 16, 17, 18, 19, 20, 21]);
  });

  it("SOL configuration: ipmi_sim's enable, ipmitool's retry interval", () => {
    expect(getSolConfiguration.encodeRequest({ channel: 14, parameter: 1 }).toString("hex")).to.equal("0e010000");
    expect(getSolConfiguration.decodeResponse(bytes("1101")).data.toString("hex")).to.equal("01");
    const data = encodeSolRetry({ count: 7, intervalMs: 200 });
    expect(setSolConfiguration.encodeRequest({ channel: 14, parameter: 4, data }).toString("hex")).to.equal("0e040714");
    expect(decodeSolRetry(bytes("0714"))).to.deep.equal({ count: 7, intervalMs: 200 });
  });
});
