// Hostile input: decoders and framer throw ProtocolError or nothing; sessions that are fed noise settle with typed errors.
import { createServer } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { connect, discover, IscsiError, IscsiTarget, ProtocolError } from "node-iscsi";
import { Framer } from "../../src/framer.ts";
import { DEFAULT_WISHES, settleParameters } from "../../src/negotiation.ts";
import { decodeAsyncMessage, decodeReject } from "../../src/pdu/async-message.ts";
import { decodeDataIn, decodeDataOut, decodeReadyToTransfer } from "../../src/pdu/data.ts";
import { decodeLoginRequest, decodeLoginResponse } from "../../src/pdu/login.ts";
import { decodeLogoutResponse } from "../../src/pdu/logout.ts";
import { decodeNopIn } from "../../src/pdu/nop.ts";
import { decodeScsiCommand, decodeScsiResponse, senseBytes } from "../../src/pdu/scsi.ts";
import { decodeTaskManagementResponse } from "../../src/pdu/task-management.ts";
import { decodeTextResponse } from "../../src/pdu/text.ts";
import { decodeTextPairs, textPairsToMap } from "../../src/pdu/text-keys.ts";
import { inquiry, inquiryVpd } from "../../src/scsi/inquiry.ts";
import { readCapacity10, readCapacity16 } from "../../src/scsi/read-capacity.ts";
import { decodeSense } from "../../src/scsi/sense.ts";
import {
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
} from "../../src/scsi/vpd-pages.ts";

const numRuns = Number(process.env.FUZZ_RUNS ?? 200);

const decoders: [string, number | undefined, (bytes: Buffer) => unknown][] = [
  ["ScsiResponse", 0x21, decodeScsiResponse],
  ["ScsiCommand", 0x01, decodeScsiCommand],
  ["DataIn", 0x25, decodeDataIn],
  ["DataOut", 0x05, decodeDataOut],
  ["ReadyToTransfer", 0x31, decodeReadyToTransfer],
  ["LoginRequest", 0x03, decodeLoginRequest],
  ["LoginResponse", 0x23, decodeLoginResponse],
  ["TextResponse", 0x24, decodeTextResponse],
  ["LogoutResponse", 0x26, decodeLogoutResponse],
  ["NopIn", 0x20, decodeNopIn],
  ["TaskManagementResponse", 0x22, decodeTaskManagementResponse],
  ["AsyncMessage", 0x32, decodeAsyncMessage],
  ["Reject", 0x3f, decodeReject],
  ["sense", undefined, (bytes) => decodeSense(senseBytes(bytes) ?? bytes)],
  ["text", undefined, (bytes) => settleParameters(textPairsToMap(decodeTextPairs(bytes)), DEFAULT_WISHES)],
  ["INQUIRY", undefined, (bytes) => inquiry().decode(bytes)],
  ["INQUIRY VPD", undefined, (bytes) => inquiryVpd(0x83).decode(bytes)],
  ["READ CAPACITY(10)", undefined, (bytes) => readCapacity10().decode(bytes)],
  ["READ CAPACITY(16)", undefined, (bytes) => readCapacity16().decode(bytes)],
  ["page B0h", undefined, decodeBlockLimits],
  ["page B2h", undefined, decodeLogicalBlockProvisioning],
  ["page 83h", undefined, decodeDeviceIdentification],
];

describe("fuzz: decoders", () => {
  for (const [name, opcode, decode] of decoders)
    it(`${name} throws ProtocolError or nothing`, () => {
      const property = fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const input = Buffer.from(bytes);
        if (opcode !== undefined && input.length > 0) input[0] = opcode;
        try {
          decode(input);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      });
      fc.assert(property, { numRuns });
    });
});

describe("fuzz: framer", () => {
  it("never allocates above its limit and never loses count", () => {
    const property = fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (chunks) => {
      let total = 0;
      const onPdu = (_header: Buffer, data: Buffer) => {
        expect(data.length).to.be.at.most(256);
        total += 48 + data.length;
      };
      const framer = new Framer({ onPdu }, 256);
      try {
        for (const chunk of chunks) framer.push(Buffer.from(chunk));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
      expect(total).to.be.at.most(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    });
    fc.assert(property, { numRuns });
  });
});

describe("fuzz: whole peers", () => {
  it("an initiator that meets noise rejects with a typed error", async () => {
    let noise = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end(noise));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const options = { address: "127.0.0.1", port, targetName: "iqn.x", deadlineMs: 2000 };
    try {
      const property = fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        async (bytes, looksLikeLogin) => {
          noise = Buffer.from(bytes);
          if (looksLikeLogin && noise.length > 48)
            Buffer.from([0x23, 0x81, 0, 0, 0, 0, 0, noise.length - 48]).copy(noise);
          for (const attempt of [connect(options), discover(options)]) {
            const error = await attempt.then(
              () => undefined,
              (cause) => cause,
            );
            expect(error).to.be.instanceOf(IscsiError);
          }
        },
      );
      await fc.assert(property, { numRuns: Math.ceil(numRuns / 10) });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("a session survives or ends typed when an answer is altered in one byte", async () => {
    const property = fc.asyncProperty(fc.nat(399), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
      const target = await IscsiTarget.listen({
        address: "127.0.0.1",
        targetName: "iqn.x",
        backing: { memoryBytes: 65_536 },
      });
      let session: Awaited<ReturnType<typeof connect>> | undefined;
      let seen = 0;
      const proxy = createServer((client) => {
        void import("node:net").then(({ connect: dial }) => {
          const upstream = dial(target.port, "127.0.0.1");
          client.on("data", (chunk) => upstream.write(chunk));
          upstream.on("data", (chunk: Buffer) => {
            const at = position - seen;
            if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] ?? 0) ^ flip;
            seen += chunk.length;
            client.write(chunk);
          });
          for (const [socket, other] of [
            [client, upstream],
            [upstream, client],
          ] as const) {
            socket.on("error", () => undefined);
            socket.on("close", () => other.destroy());
          }
        });
      });
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      try {
        const { port } = proxy.address() as { port: number };
        session = await connect({
          address: "127.0.0.1",
          port,
          targetName: "iqn.x",
          lun: 1,
          deadlineMs: 150,
          commandDeadlineMs: 100,
        });
        const device = await session.blockDevice();
        await device.write(0, Buffer.alloc(device.blockSize));
      } catch (error) {
        expect(error).to.be.instanceOf(IscsiError);
      } finally {
        session?.destroy();
        await target.close();
        await new Promise((resolve) => proxy.close(resolve));
      }
    });
    await fc.assert(property, { numRuns: Math.ceil(numRuns / 10) });
  });
});
