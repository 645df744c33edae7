// IPMI 1.5 packets against whole sessions of real peers (test/vectors): read, checked, written again byte for byte.
import { expect } from "chai";
import { readCapturesV15 } from "../../test/vectors/capture.ts";
import { activateSession } from "../commands/activate-session.ts";
import { getSessionChallenge } from "../commands/get-session-challenge.ts";
import { decodeMessage } from "./message.ts";
import { decodeRmcp, RMCP_CLASS, RMCP_HEADER_LENGTH, writeRmcpHeader } from "./rmcp.ts";
import {
  AUTHENTICATION_TYPE,
  checkPacketV15,
  decodePacketV15,
  decodeSessionlessV15,
  encodePacketV15,
  type PacketV15,
} from "./session-v15.ts";
import { WireError } from "./wire-error.ts";

for (const capture of readCapturesV15()) {
  describe(`captured IPMI 1.5 session, authentication ${capture.authentication}`, () => {
    const type = AUTHENTICATION_TYPE[capture.authentication];
    const password = Buffer.alloc(16);
    password.write(capture.password);
    // ipmitool starts with a presence ping.
    const datagrams = capture.datagrams
      .map(({ hex }) => Buffer.from(hex, "hex"))
      .filter((datagram) => decodeRmcp(datagram).messageClass === RMCP_CLASS.ipmi);
    const packets = datagrams.map((datagram) => decodePacketV15(decodeRmcp(datagram).body));
    const inSession = packets.filter((packet) => packet.sessionId !== 0);

    it("accepts the codes of both peers", () => {
      expect(inSession.length).to.be.greaterThan(8);
      for (const packet of inSession) checkPacketV15(packet, type, password);
    });

    it("writes every datagram again to the same bytes", () => {
      for (const [index, datagram] of datagrams.entries()) {
        const again = encodePacketV15(packets[index] as PacketV15, password, RMCP_HEADER_LENGTH);
        expect(writeRmcpHeader(RMCP_CLASS.ipmi, again).toString("hex")).to.equal(datagram.toString("hex"));
      }
    });

    it("reads and writes Get Session Challenge and Activate Session", () => {
      const data = (command: number, isRequest: boolean) => {
        const found = packets
          .map((packet) => decodeMessage(packet.payload))
          .find((message) => message.command === command && (message.netFn & 1) === (isRequest ? 0 : 1));
        return found?.data ?? Buffer.alloc(0);
      };
      for (const command of [getSessionChallenge, activateSession]) {
        const request = data(command.code, true);
        const response = data(command.code, false).subarray(1);
        expect(command.encodeRequest(command.decodeRequest(request) as never)).to.deep.equal(request);
        expect(command.encodeResponse(command.decodeResponse(response) as never)).to.deep.equal(response);
      }
      const asked = getSessionChallenge.decodeRequest(data(getSessionChallenge.code, true));
      expect(asked.user.toString()).to.equal(capture.user);
      const activation = activateSession.decodeRequest(data(activateSession.code, true));
      const { challenge } = getSessionChallenge.decodeResponse(data(getSessionChallenge.code, false).subarray(1));
      expect(activation.challenge).to.deep.equal(challenge);
      expect(activation.authenticationType).to.equal(type);
      expect(activation.maximumPrivilege).to.equal(4);
    });

    it("refuses another authentication type, a wrong password, and every datagram cut short", () => {
      const [packet] = inSession;
      if (packet === undefined) throw new Error("no packet in the session");
      for (const other of [0, 2, 4].filter((number) => number !== type))
        expect(() => checkPacketV15(packet, other, password)).to.throw(WireError, "authentication type");
      if (type !== AUTHENTICATION_TYPE.none)
        expect(() => checkPacketV15(packet, type, Buffer.alloc(16, "x"))).to.throw(WireError, "code is wrong");
      for (const datagram of datagrams) {
        for (let length = 0; length < datagram.length; length += 1) {
          const cut = () => decodeMessage(decodePacketV15(decodeRmcp(datagram.subarray(0, length)).body).payload);
          expect(cut, `${length} of ${datagram.length} bytes`).to.throw(WireError);
        }
      }
    });
  });
}

describe("IPMI 1.5 packets", () => {
  const packet = (length: number): PacketV15 => ({
    authenticationType: 0,
    sequence: 1,
    sessionId: 1,
    payload: Buffer.alloc(length, 7),
  });

  it("pads the lengths an old network chip mistook, and reads them all the same (table 13-8)", () => {
    const lengthOf = (payload: number) => encodePacketV15(packet(payload), Buffer.alloc(16), RMCP_HEADER_LENGTH).length;
    for (const length of [56, 84, 112, 128, 156]) expect(lengthOf(length - 14)).to.equal(length + 1);
    expect(lengthOf(55 - 14)).to.equal(55);
    expect(decodePacketV15(encodePacketV15(packet(56 - 14), Buffer.alloc(16))).payload).to.have.length(42);
  });

  it("takes no message a byte cannot count, and no packet of a session outside of one", () => {
    expect(() => encodePacketV15(packet(256), Buffer.alloc(16))).to.throw(WireError, "256");
    expect(() => decodeSessionlessV15(encodePacketV15(packet(7), Buffer.alloc(16)))).to.throw(WireError, "session");
    const md2 = { ...packet(7), authenticationType: 1 };
    expect(() => encodePacketV15(md2, Buffer.alloc(16))).to.throw(WireError, "not spoken");
  });
});
