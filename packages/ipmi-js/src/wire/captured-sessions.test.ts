// Codecs and keys against whole sessions of real peers (test/vectors): decoded, re-encoded, checked byte for byte.
import { expect } from "chai";
import { type Capture, readCaptures } from "../../test/vectors/capture.ts";
import {
  CIPHER_SUITES,
  type CipherSuite,
  keyFromSecret,
  type RakpTranscript,
  rakp2CheckValue,
  rakp3CheckValue,
  rakp4CheckValue,
  sessionIntegrityKey,
  sessionKeys,
} from "../crypto.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import {
  decodeOpenSessionRequest,
  decodeOpenSessionResponse,
  encodeOpenSessionRequest,
  encodeOpenSessionResponse,
} from "./open-session.ts";
import * as rakp from "./rakp.ts";
import { decodeRmcp, encodeRmcp } from "./rmcp.ts";
import { decodeSessionlessV15, encodeSessionlessV15, isSessionV15 } from "./session-v15.ts";
import {
  decodePacket,
  encodePlainPacket,
  encodeSealedPacket,
  isSessionV20,
  PAYLOAD_TYPE,
  unseal,
} from "./session-v20.ts";
import { WireError } from "./wire-error.ts";

const bodies = (capture: Capture) => capture.datagrams.map((d) => decodeRmcp(Buffer.from(d.hex, "hex")).body);
const v20 = (capture: Capture) => bodies(capture).filter(isSessionV20).map(decodePacket);

function payload(capture: Capture, type: number): Buffer {
  const packet = v20(capture).find((p) => p.payloadType === type && p.sessionId === 0);
  if (packet === undefined) throw new Error(`no payload of type ${type} in the capture`);
  return packet.payload;
}

function transcriptOf(capture: Capture): RakpTranscript {
  const rakp1 = rakp.decodeRakp1(payload(capture, PAYLOAD_TYPE.rakp1));
  const rakp2 = rakp.decodeRakp2(payload(capture, PAYLOAD_TYPE.rakp2));
  const { consoleSessionId, bmcRandom, guid } = rakp2;
  return { ...rakp1, consoleSessionId, bmcRandom, guid };
}

for (const capture of readCaptures()) {
  const suite = CIPHER_SUITES.get(capture.cipherSuite) as CipherSuite;
  const userKey = keyFromSecret(capture.password);

  describe(`captured session, cipher suite ${capture.cipherSuite}`, () => {
    it("re-encodes every unsealed datagram to the same bytes", () => {
      for (const { hex } of capture.datagrams) {
        const datagram = Buffer.from(hex, "hex");
        const { messageClass, body } = decodeRmcp(datagram);
        if (isSessionV15(body)) {
          expect(encodeRmcp(messageClass, encodeSessionlessV15(decodeSessionlessV15(body))).toString("hex")).to.equal(
            hex,
          );
        } else if (decodePacket(body).sessionId === 0) {
          expect(encodeRmcp(messageClass, encodePlainPacket(decodePacket(body))).toString("hex")).to.equal(hex);
        }
      }
    });

    it("re-encodes Open Session and RAKP payloads to the same bytes", () => {
      const codecs: [number, (bytes: Buffer) => Buffer][] = [
        [PAYLOAD_TYPE.openSessionRequest, (b) => encodeOpenSessionRequest(decodeOpenSessionRequest(b))],
        [PAYLOAD_TYPE.openSessionResponse, (b) => encodeOpenSessionResponse(decodeOpenSessionResponse(b))],
        [PAYLOAD_TYPE.rakp1, (b) => rakp.encodeRakp1(rakp.decodeRakp1(b))],
        [PAYLOAD_TYPE.rakp2, (b) => rakp.encodeRakp2(rakp.decodeRakp2(b))],
        [PAYLOAD_TYPE.rakp3, (b) => rakp.encodeRakp3(rakp.decodeRakp3(b))],
        [PAYLOAD_TYPE.rakp4, (b) => rakp.encodeRakp4(rakp.decodeRakp4(b))],
      ];
      for (const [type, recode] of codecs) {
        const bytes = payload(capture, type);
        expect(recode(bytes).toString("hex"), `payload type ${type}`).to.equal(bytes.toString("hex"));
      }
    });

    it("reads the user and the privilege out of RAKP 1", () => {
      const message = rakp.decodeRakp1(payload(capture, PAYLOAD_TYPE.rakp1));
      expect(message.user.toString()).to.equal(capture.user);
      expect(message.role).to.equal(rakp.NAME_ONLY_LOOKUP | (capture.privilege ?? 4));
    });

    it("makes the check values both peers sent", () => {
      const transcript = transcriptOf(capture);
      const sik = sessionIntegrityKey(suite, userKey, transcript);
      const sent2 = rakp.decodeRakp2(payload(capture, PAYLOAD_TYPE.rakp2)).checkValue;
      const sent3 = rakp.decodeRakp3(payload(capture, PAYLOAD_TYPE.rakp3)).checkValue;
      const sent4 = rakp.decodeRakp4(payload(capture, PAYLOAD_TYPE.rakp4)).checkValue;
      expect(rakp2CheckValue(suite, userKey, transcript).toString("hex")).to.equal(sent2.toString("hex"));
      expect(rakp3CheckValue(suite, userKey, transcript).toString("hex")).to.equal(sent3.toString("hex"));
      expect(rakp4CheckValue(suite, sik, transcript).toString("hex")).to.equal(sent4.toString("hex"));
    });

    it("derives the keys an independent computation derived", () => {
      const sik = sessionIntegrityKey(suite, userKey, transcriptOf(capture));
      expect(sik.toString("hex")).to.equal(capture.derived.sik);
      expect(sessionKeys(suite, sik).k1.toString("hex")).to.equal(capture.derived.k1);
      expect(sessionKeys(suite, sik).k2.toString("hex")).to.equal(capture.derived.k2);
    });

    it("unseals every sealed packet, and seals its message to the same bytes", () => {
      const keys = sessionKeys(suite, Buffer.from(capture.derived.sik, "hex"), userKey);
      const sealed = v20(capture).filter((packet) => packet.sessionId !== 0);
      expect(sealed).to.have.length(capture.derived.messages.length);
      for (const [index, received] of sealed.entries()) {
        const expected = capture.derived.messages[index]!;
        const packet = unseal(received, keys);
        expect(packet.payload.toString("hex")).to.equal(expected.message);
        expect(encodeMessage(decodeMessage(packet.payload)).toString("hex")).to.equal(expected.message);
        const iv = suite.isEncrypted ? Buffer.from(expected.iv, "hex") : undefined;
        const again = encodeSealedPacket(packet, keys, iv);
        expect(again.toString("hex")).to.equal(received.bytes.toString("hex"));
      }
    });

    // Suites that sign nothing have nothing to notice it by.
    const itIfSigned = suite.integrity === undefined ? () => undefined : it;
    itIfSigned("refuses a sealed packet with any one bit changed", () => {
      const keys = sessionKeys(suite, Buffer.from(capture.derived.sik, "hex"), userKey);
      const sealed = v20(capture).find((packet) => packet.sessionId !== 0)!;
      for (let at = 0; at < sealed.bytes.length; at += 1) {
        const bytes = Buffer.from(sealed.bytes);
        bytes[at] = bytes[at]! ^ 0x10;
        expect(() => unseal(decodePacket(bytes), keys), `byte ${at}`).to.throw(WireError);
      }
    });

    it("refuses every datagram cut short", () => {
      const keys = sessionKeys(suite, Buffer.from(capture.derived.sik, "hex"), userKey);
      for (const { hex } of capture.datagrams) {
        const datagram = Buffer.from(hex, "hex");
        for (let length = 0; length < datagram.length; length += 1) {
          const cut = () => {
            const { body } = decodeRmcp(datagram.subarray(0, length));
            if (isSessionV15(body)) return decodeMessage(decodeSessionlessV15(body));
            const packet = decodePacket(body);
            if (packet.sessionId === 0) return packet;
            return decodeMessage(unseal(packet, keys).payload);
          };
          expect(cut, `${length} of ${datagram.length} bytes`).to.throw(WireError);
        }
      }
    });
  });
}
