// Hostile initiators: whatever bytes come, our target ends that connection at most, never throws, and serves the next client.
import { connect as dial } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { IscsiTarget } from "node-iscsi/target";
import { encodeDataOut } from "../../src/pdu/data.ts";
import { encodeLogoutRequest } from "../../src/pdu/logout.ts";
import { encodeNopOut } from "../../src/pdu/nop.ts";
import { decodeScsiResponse, encodeScsiCommand } from "../../src/pdu/scsi.ts";
import { encodeTaskManagementRequest } from "../../src/pdu/task-management.ts";
import { encodeTextRequest } from "../../src/pdu/text.ts";
import { RawInitiator, RESERVED_TAG, readWriteCdb, TEST_UNIT_READY } from "../interop/own-target-client.ts";

const targetName = "iqn.2026-11.test:fuzz";
const numRuns = Number(process.env.FUZZ_RUNS ?? 200);
const tags = { initiatorTaskTag: 1, expStatSn: 0, cmdSn: 1 };
const NO_TAG = { targetTransferTag: RESERVED_TAG };

/** PDUs as a good initiator sends them after its login, to be spoiled. */
const MODELS: readonly Buffer[] = [
  command(TEST_UNIT_READY, 0, 0),
  command(readWriteCdb(0x88, 0, 8), 4096, 0),
  Buffer.concat([command(readWriteCdb(0x8a, 0, 2), 1024, 512), Buffer.alloc(512, 1)]),
  command(readWriteCdb(0x8a, 0, 16), 8192, 0),
  Buffer.concat([
    encodeDataOut({
      final: true,
      lun: 1,
      ...tags,
      targetTransferTag: 1,
      dataSn: 0,
      bufferOffset: 0,
      dataSegmentLength: 8,
    }),
    Buffer.alloc(8),
  ]),
  encodeNopOut({ lunField: undefined, ...tags, ...NO_TAG }),
  encodeNopOut({ lunField: undefined, ...tags, initiatorTaskTag: RESERVED_TAG, targetTransferTag: 5 }),
  encodeTaskManagementRequest({ function: 1, lun: 1, ...tags, referencedTaskTag: 1, refCmdSn: 0 }),
  encodeTaskManagementRequest({ function: 5, lun: 1, ...tags, referencedTaskTag: RESERVED_TAG, refCmdSn: 0 }),
  encodeTaskManagementRequest({ function: 6, lun: 1, ...tags, referencedTaskTag: RESERVED_TAG, refCmdSn: 0 }),
  Buffer.concat([
    encodeTextRequest({ final: true, continues: false, ...tags, ...NO_TAG }, 16),
    Buffer.from("SendTargets=All\0"),
  ]),
  encodeLogoutRequest({ reason: 0, ...tags, connectionId: 0 }),
  Buffer.concat([Buffer.from([0x10]), Buffer.alloc(47)]),
];

function command(cdb: Buffer, length: number, immediate: number): Buffer {
  const write = cdb[0] === 0x8a;
  const flags = { final: true, read: length > 0 && !write, write, attribute: 1, lun: 1 };
  return encodeScsiCommand({
    ...flags,
    ...tags,
    expectedDataTransferLength: length,
    cdb,
    dataSegmentLength: immediate,
  });
}

describe("fuzz: our target", () => {
  let target: IscsiTarget;

  before(async () => {
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: 1024 * 1024 } });
  });

  // Rejects when the target met an error of its own.
  after(() => target?.close());

  /** A client that does everything right is served. */
  async function serves(): Promise<void> {
    const client = await RawInitiator.open(target.port);
    expect((await client.login({ targetName, isid: "80000000ffff" })).statusClass).to.equal(0);
    client.command(1, readWriteCdb(0x88, 0, 1), { reads: 512 });
    expect((await client.next()).data.length).to.equal(512);
    client.destroy();
    await client.closed;
  }

  /** Sends bytes and hangs up; resolves when the target is rid of the connection. */
  async function throwAt(socket: ReturnType<typeof dial>, chunks: readonly Buffer[]): Promise<void> {
    socket.on("error", () => socket.destroy());
    socket.resume();
    const isClosed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    for (const chunk of chunks) {
      if (!socket.writable) break;
      socket.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end();
    socket.destroySoon();
    await isClosed;
  }

  it("is not moved by noise instead of a login", async () => {
    const chunk = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const property = fc.asyncProperty(fc.boolean(), fc.array(chunk, { maxLength: 6 }), async (isLogin, chunks) => {
      const [first] = chunks;
      if (isLogin && first !== undefined && first.length > 8) {
        first[0] = 0x43;
        first.writeUInt32BE(first.readUInt8(7), 4);
      }
      await throwAt(dial(target.port, "127.0.0.1"), chunks);
    });
    await fc.assert(property, { numRuns });
    await serves();
  });

  it("is not moved by spoiled PDUs of a session", async () => {
    const spoiled = fc
      .tuple(fc.constantFrom(...MODELS), fc.array(fc.tuple(fc.nat(511), fc.nat(255)), { maxLength: 4 }), fc.nat(3))
      .map(([model, spoils, cmdSn]) => {
        const pdu = Buffer.from(model);
        if ((pdu[0]! & 0x3f) !== 0x05) pdu.writeUInt32BE(1 + cmdSn, 24);
        for (const [at, value] of spoils) pdu[at % Math.min(pdu.length, 48)] = value;
        return pdu;
      });
    const property = fc.asyncProperty(
      fc.array(spoiled, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      fc.nat(3),
      async (pdus, isOneChunk, session) => {
        const client = await RawInitiator.open(target.port);
        await client.login({ targetName, isid: `80000000000${session}` });
        await throwAt(client.socket, isOneChunk ? [Buffer.concat(pdus)] : pdus);
      },
    );
    await fc.assert(property, { numRuns });
    await serves();
  });

  it("is not moved by a login text of any kind", async () => {
    const key = fc.constantFrom(
      "MaxBurstLength",
      "HeaderDigest",
      "AuthMethod",
      "InitiatorName",
      "X-none",
      "SessionType",
    );
    const value = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom("Yes", "No", "CRC32C", "-1", "0x", "Discovery"),
    );
    const keys = fc.array(fc.tuple(key, value), { maxLength: 8 });
    const property = fc.asyncProperty(keys, fc.nat(0xffff), async (pairs, tsih) => {
      const client = await RawInitiator.open(target.port);
      await client.login({ targetName, keys: pairs, tsih: tsih < 0x8000 ? 0 : tsih }).catch(() => undefined);
      client.destroy();
      await client.closed;
    });
    await fc.assert(property, { numRuns: Math.ceil(numRuns / 2) });
    await serves();
  });

  it("does not run a command that came cut off", async () => {
    const before = target.counts.commands;
    const client = await RawInitiator.open(target.port);
    await client.login({ targetName });
    const write = Buffer.concat([command(readWriteCdb(0x8a, 0, 1), 512, 512), Buffer.alloc(512, 0xee)]);
    await throwAt(client.socket, [write.subarray(0, write.length - 1)]);
    const next = await RawInitiator.open(target.port);
    await next.login({ targetName });
    next.command(1, TEST_UNIT_READY);
    expect(decodeScsiResponse((await next.next()).header).status).to.equal(0);
    expect(target.counts.commands).to.equal(before + 1);
    next.destroy();
  });
});
