// The faults of our target in its answers to commands: statuses, data, R2Ts, sense.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { decodeReject } from "../../src/pdu/async-message.ts";
import { decodeDataIn, decodeReadyToTransfer, encodeDataOut } from "../../src/pdu/data.ts";
import { Opcode } from "../../src/pdu/header.ts";
import { decodeScsiResponse } from "../../src/pdu/scsi.ts";
import { TargetBench } from "./own-target-bench.ts";
import { readWriteCdb, TEST_UNIT_READY } from "./own-target-client.ts";

describe("faults of our target in commands", () => {
  const bench = new TargetBench();
  afterEach(() => bench.close());

  it("ends commands with scripted statuses, several at a time and by operation code", async () => {
    await bench.listen();
    const client = await bench.enter();
    bench.target.faults.statuses = [
      { opcode: 0x88, status: 0x18 },
      { status: 0x02, senseKey: 6, asc: 0x2a, ascq: 0x09, after: 1 },
      { status: 0, response: 1, after: 1 },
    ];
    expect(await bench.statusOf(client)).to.equal(0);
    const attention = await bench.ready(client, 2);
    expect([attention.header[3], attention.data[4], attention.data[14], attention.data[15]]).to.deep.equal([
      2, 6, 0x2a, 9,
    ]);
    expect(decodeScsiResponse((await bench.read(client, 1))[0]!.header).status).to.equal(0x18);
    expect(decodeScsiResponse((await bench.ready(client, 3)).header).response).to.equal(1);
    expect(await bench.statusOf(client, 4)).to.equal(0);
    expect(bench.target.counts.commands).to.equal(2);
  });

  it("drops the connection before a command is run, or after it", async () => {
    await bench.listen();
    for (const [fault, expected] of [
      ["dropsBeforeExecution", 0x00],
      ["executesButDropsStatus", 0x77],
    ] as const) {
      const client = await bench.enter();
      bench.target.faults[fault] = { opcode: 0x8a };
      client.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512, 0x77) });
      await client.closed;
      expect(client.unread).to.equal(0);
      const stored = Buffer.alloc(512);
      await bench.target.backing.read(0, stored);
      expect(stored.equals(Buffer.alloc(512, expected)), fault).to.equal(true);
    }
  });

  it("delays each command as told", async () => {
    await bench.listen();
    const client = await bench.enter();
    const numbers: number[] = [];
    bench.target.faults.delayMs = (cdb, number) => {
      numbers.push(number);
      return cdb[0] === 0 && number === 1 ? 40 : 0;
    };
    client.command(1, TEST_UNIT_READY);
    client.command(2, TEST_UNIT_READY);
    expect((await client.next()).header.readUInt32BE(16)).to.equal(2);
    expect((await client.next()).header.readUInt32BE(16)).to.equal(1);
    expect(numbers).to.deep.equal([1, 2]);
  });

  it("rejects a command", async () => {
    await bench.listen({ rejects: { reason: 0x0a } });
    const client = await bench.enter();
    const reject = await bench.ready(client);
    expect(decodeReject(reject.header).reason).to.equal(0x0a);
    expect(reject.data.readUInt32BE(16)).to.equal(1);
    expect(await bench.statusOf(client, 2)).to.equal(0);
  });

  it("claims that data was damaged, and fails its task when the rest has come", async () => {
    await bench.listen({ claimsDataDigestError: { opcode: Opcode.DataOut } });
    const client = await bench.enter();
    client.command(1, readWriteCdb(0x8a, 0, 2), { writes: 1024 });
    const { targetTransferTag } = decodeReadyToTransfer((await client.next()).header);
    for (const [dataSn, final] of [
      [0, false],
      [1, true],
    ] as const) {
      const pdu = { final, lun: 1, initiatorTaskTag: 1, targetTransferTag, expStatSn: 0, dataSn };
      client.send(encodeDataOut({ ...pdu, bufferOffset: dataSn * 512, dataSegmentLength: 512 }), randomBytes(512));
    }
    expect(decodeReject((await client.next()).header).reason).to.equal(2);
    const end = await client.next();
    expect([end.header[3], end.data[4], end.data[14], end.data[15]]).to.deep.equal([2, 0x0b, 0x47, 0x05]);
    expect(bench.target.counts.commands).to.equal(0);
  });

  it("lies about residuals and reads short", async () => {
    await bench.listen();
    const client = await bench.enter();
    bench.target.faults.residual = { kind: "overflow", bytes: 77 };
    client.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512) });
    expect(decodeScsiResponse((await client.next()).header).residual).to.deep.equal({ kind: "overflow", bytes: 77 });
    bench.target.faults.shortRead = { bytes: 100 };
    const [short] = await bench.read(client, 1);
    expect(short?.data.length).to.equal(412);
    expect(decodeDataIn(short!.header).residual).to.deep.equal({ kind: "underflow", bytes: 100 });
  });

  const shapes = {
    outOfOrder: [
      [1, 1024, 1024],
      [0, 0, 1024],
      [2, 2048, 512],
    ],
    overlapping: [
      [0, 0, 1024],
      [1, 1020, 1024],
      [2, 2048, 512],
    ],
    tooMuch: [
      [0, 0, 1024],
      [1, 1024, 1024],
      [2, 2048, 512],
      [3, 2560, 48],
    ],
    dataSnGap: [
      [0, 0, 1024],
      [2, 1024, 1024],
      [3, 2048, 512],
    ],
    firstPduMissing: [
      [1, 1024, 1024],
      [2, 2048, 512],
    ],
    lastPduMissing: [
      [0, 0, 1024],
      [1, 1024, 1024],
    ],
  } as const;
  for (const [fault, shape] of Object.entries(shapes) as [keyof typeof shapes, readonly (readonly number[])[]][])
    it(`sends Data-In with the fault ${fault}`, async () => {
      await bench.listen({ dataIn: { fault } });
      const client = await bench.enter();
      const pdus = (await bench.read(client, 5)).slice(0, -1).map(({ header }) => decodeDataIn(header));
      expect(pdus.map((pdu) => [pdu.dataSn, pdu.bufferOffset, pdu.dataSegmentLength])).to.deep.equal(shape);
      expect((await bench.read(client, 5)).map(({ header }) => decodeDataIn(header).dataSn)).to.deep.equal([0, 1, 2]);
    });

  it("sends Data-In for a tag nobody gave", async () => {
    await bench.listen({ dataIn: { fault: "unknownTag" } });
    const tags = (await bench.read(await bench.enter(), 1)).map(({ header }) => header.readUInt32BE(16));
    expect(tags).to.deep.equal([0x5a5a5a5f, 0x5a5a5a5f, 5]);
  });

  it("asks in a storm of R2Ts, more than agreed, twice the same, and for what is finished", async () => {
    await bench.listen({ r2tBytes: 512, extraR2ts: 3 }, { maxOutstandingR2T: 2 });
    const client = await bench.enter();
    client.command(1, readWriteCdb(0x8a, 0, 4), { writes: 2048 });
    const asked = [];
    for (let count = 0; count < 4; count += 1) asked.push(decodeReadyToTransfer((await client.next()).header));
    expect(asked.map(({ r2tSn, bufferOffset, desiredLength }) => [r2tSn, bufferOffset, desiredLength])).to.deep.equal([
      [0, 0, 512],
      [1, 512, 512],
      [2, 1024, 512],
      [3, 1536, 512],
    ]);
    bench.target.faults.r2tAfterStatus = {};
    for (const { targetTransferTag, bufferOffset } of asked) {
      const pdu = { final: true, lun: 1, initiatorTaskTag: 1, targetTransferTag, expStatSn: 0, dataSn: 0 };
      client.send(encodeDataOut({ ...pdu, bufferOffset, dataSegmentLength: 512 }), Buffer.alloc(512, 1));
    }
    expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
    expect(decodeReadyToTransfer((await client.next()).header).initiatorTaskTag).to.equal(1);
    Object.assign(bench.target.faults, { r2tBytes: undefined, extraR2ts: undefined, repeatsR2t: {} });
    client.command(2, readWriteCdb(0x8a, 0, 4), { writes: 2048 });
    const [first, second] = [await client.next(), await client.next()];
    expect(first.header.equals(second.header)).to.equal(true);
  });

  it("sends sense data without its length, or cut short", async () => {
    await bench.listen({ senseWithoutLength: true, statuses: { status: 2, senseKey: 3, asc: 0x11, times: 2 } });
    const client = await bench.enter();
    expect((await bench.ready(client)).data[0]).to.equal(0x70);
    bench.target.faults.senseWithoutLength = false;
    bench.target.faults.senseEndsAfterBytes = 5;
    const { data } = await bench.ready(client, 2);
    expect([data.length, data.readUInt16BE(0)]).to.deep.equal([7, 18]);
  });

  it("keeps data that UNMAP should have removed", async () => {
    await bench.listen({ keepsDataOnUnmap: true });
    const client = await bench.enter();
    await bench.target.backing.write(0, Buffer.alloc(512, 9));
    const unmap = Buffer.alloc(16);
    unmap[0] = 0x42;
    unmap[8] = 24;
    const list = Buffer.from(`001600100000000000000000000000000000000100000000`, "hex");
    client.command(1, unmap, { writes: 24, immediate: list });
    expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
    expect((await bench.read(client, 1))[0]?.data.equals(Buffer.alloc(512, 9))).to.equal(true);
    bench.target.faults.keepsDataOnUnmap = false;
    client.command(2, unmap, { writes: 24, immediate: list });
    expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
    expect((await bench.read(client, 1))[0]?.data.equals(Buffer.alloc(512))).to.equal(true);
  });

  it("strikes by chance, the same each time for the same seed", async () => {
    await bench.listen();
    const patternOf = async (seed: number) => {
      const client = await bench.enter();
      bench.target.faults.statuses = { status: 8, times: Number.POSITIVE_INFINITY, chance: 0.5, seed };
      const pattern: number[] = [];
      for (let tag = 1; tag <= 24; tag += 1) pattern.push(await bench.statusOf(client, tag));
      return pattern.join();
    };
    const pattern = await patternOf(3);
    expect(pattern).to.contain("8").and.contain("0");
    expect(await patternOf(3)).to.equal(pattern);
    expect(await patternOf(4)).not.to.equal(pattern);
  });
});
