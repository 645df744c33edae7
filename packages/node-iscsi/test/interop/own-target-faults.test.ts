// The faults of our target seen from outside: each does what it says, where it says, and nothing else.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { IscsiTarget, type TargetFaults, type TargetLimits } from "node-iscsi";
import { AsyncEvent, decodeAsyncMessage, decodeReject } from "../../src/pdu/async-message.ts";
import { decodeDataIn, decodeReadyToTransfer, encodeDataOut } from "../../src/pdu/data.ts";
import { Opcode, opcodeOf, readTargetSequence } from "../../src/pdu/header.ts";
import { decodeLogoutResponse, encodeLogoutRequest } from "../../src/pdu/logout.ts";
import { decodeNopIn, encodeNopOut } from "../../src/pdu/nop.ts";
import { decodeScsiResponse } from "../../src/pdu/scsi.ts";
import { encodeTaskManagementRequest } from "../../src/pdu/task-management.ts";
import { RawInitiator, type RawPdu, RESERVED_TAG, readWriteCdb, TEST_UNIT_READY } from "./own-target-client.ts";

const targetName = "iqn.2026-11.test:faults";
const SIZE = 1024 * 1024;
/** Small segments, so that a read of a few blocks takes several PDUs. */
const KEYS: [string, string][] = [
  ["MaxRecvDataSegmentLength", "1024"],
  ["MaxOutstandingR2T", "2"],
  ["InitialR2T", "Yes"],
  ["ImmediateData", "Yes"],
];

describe("faults of our target", () => {
  let target: IscsiTarget;
  let clients: RawInitiator[];

  async function listen(faults: TargetFaults = {}, limits: TargetLimits = {}): Promise<void> {
    const backing = { memoryBytes: SIZE };
    target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, faults, limits });
  }

  async function dial(): Promise<RawInitiator> {
    const client = await RawInitiator.open(target.port);
    clients.push(client);
    return client;
  }

  async function enter(keys = KEYS, isid = "800000000001"): Promise<RawInitiator> {
    const client = await dial();
    expect((await client.login({ targetName, keys, isid })).statusClass).to.equal(0);
    return client;
  }

  async function ready(client: RawInitiator, tag = 1): Promise<RawPdu> {
    client.command(tag, TEST_UNIT_READY);
    return client.next();
  }

  async function statusOf(client: RawInitiator, tag = 1): Promise<number> {
    return decodeScsiResponse((await ready(client, tag)).header).status;
  }

  /** A read of `blocks` blocks: all PDUs up to the status. */
  async function read(client: RawInitiator, blocks: number): Promise<RawPdu[]> {
    client.command(5, readWriteCdb(0x88, 0, blocks), { reads: blocks * 512 });
    const pdus: RawPdu[] = [];
    for (;;) {
      const pdu = await client.next();
      pdus.push(pdu);
      if (opcodeOf(pdu.header) === Opcode.ScsiResponse || (pdu.header[1]! & 1) !== 0) return pdus;
    }
  }

  beforeEach(() => {
    clients = [];
  });

  afterEach(async () => {
    for (const client of clients) client.destroy();
    await target.close();
  });

  describe("on the wire", () => {
    it("cuts after a number of received bytes, once or on each connection", async () => {
      await listen();
      const first = await enter();
      target.faults.dropAfterBytes = { after: 60 };
      expect(await statusOf(first)).to.equal(0);
      first.command(2, TEST_UNIT_READY);
      await first.closed;
      const second = await enter();
      for (const tag of [1, 2, 3]) expect(await statusOf(second, tag)).to.equal(0);
      target.faults.dropAfterBytes = { after: 60, scope: "connection" };
      for (const isid of ["80000000000a", "80000000000b"]) {
        const client = await dial();
        const login = client.login({ targetName, isid });
        expect(await login.catch((error: Error) => error.message)).to.equal("the target closed the connection");
      }
    });

    it("cuts after exactly so many sent bytes, wherever that is in a PDU", async () => {
      await listen();
      for (const after of [1, 47, 48, 49, 100]) {
        target.faults.dropAfterBytesSent = undefined;
        const client = await enter();
        let got = 0;
        client.socket.on("data", (chunk) => {
          got += chunk.length;
        });
        target.faults.dropAfterBytesSent = { after };
        for (let tag = 1; tag <= 4; tag += 1) client.command(tag, TEST_UNIT_READY);
        await client.closed;
        expect(got, `after ${after}`).to.equal(after);
      }
    });

    it("draws the place of a cut from its seed", async () => {
      const cutsOf = async (seed: number) => {
        await listen();
        const cuts: number[] = [];
        target.faults.dropAfterBytesSent = { after: { from: 1, to: 5000, seed }, times: 3 };
        for (let round = 0; round < 3; round += 1) {
          const before = target.counts.bytesSent;
          const client = await dial();
          const login = await client.login({ targetName }).catch(() => undefined);
          if (login !== undefined) for (let tag = 1; tag <= 120; tag += 1) client.command(tag, TEST_UNIT_READY);
          await client.closed;
          cuts.push(target.counts.bytesSent - before);
        }
        await target.close();
        return cuts;
      };
      const cuts = await cutsOf(7);
      expect(new Set(cuts).size).to.equal(3);
      expect(await cutsOf(7)).to.deep.equal(cuts);
      expect(await cutsOf(8)).not.to.deep.equal(cuts);
      await listen();
    });

    it("ends inside the nth PDU", async () => {
      await listen();
      const client = await enter();
      let got = 0;
      client.socket.on("data", (chunk) => {
        got += chunk.length;
      });
      target.faults.dropsInsidePdu = { after: 1, atByte: 30 };
      expect(await statusOf(client)).to.equal(0);
      client.command(2, TEST_UNIT_READY);
      await client.closed;
      expect(got).to.equal(48 + 30);
    });

    it("sends garbage, loses and repeats PDUs, and puts others in their place", async () => {
      await listen();
      const client = await enter();
      target.faults.repeatsPdu = {};
      const one = await ready(client);
      expect((await client.next()).header.equals(one.header)).to.equal(true);
      target.faults.losesPdu = { opcode: Opcode.ScsiResponse };
      client.command(2, TEST_UNIT_READY);
      const third = await ready(client, 3);
      expect(third.header.readUInt32BE(16)).to.equal(3);
      target.faults.alterSent = ({ header, data }) => {
        header[3] = 0x40;
        return { header, data };
      };
      expect(await statusOf(client, 4)).to.equal(0x40);
      target.faults.alterSent = undefined;
      const noise = Buffer.concat([Buffer.alloc(1, 0x15), Buffer.alloc(47)]);
      target.faults.garbage = { bytes: noise };
      expect((await ready(client, 5)).header.equals(noise)).to.equal(true);
    });

    it("numbers PDUs wrongly and then goes on rightly", async () => {
      await listen();
      const client = await enter();
      const numbersOf = async (tag: number) => readTargetSequence((await ready(client, tag)).header);
      const right = await numbersOf(1);
      target.faults.wrongStatSn = { by: -1 };
      expect((await numbersOf(2)).statSn).to.equal(right.statSn);
      target.faults.wrongExpCmdSn = { by: -2 };
      target.faults.wrongMaxCmdSn = { by: -100 };
      expect(await numbersOf(3)).to.deep.equal({
        statSn: right.statSn + 2,
        expCmdSn: right.expCmdSn,
        maxCmdSn: right.maxCmdSn + 2 - 100,
      });
      expect(await numbersOf(4)).to.deep.equal({
        statSn: right.statSn + 3,
        expCmdSn: right.expCmdSn + 3,
        maxCmdSn: right.maxCmdSn + 3,
      });
    });

    it("breaks digests, one at a time", async () => {
      await listen();
      const keys: [string, string][] = [
        ["HeaderDigest", "CRC32C"],
        ["DataDigest", "CRC32C"],
      ];
      for (const fault of ["headerDigestError", "dataDigestError"] as const) {
        const client = await dial();
        const answer = await client.login({ targetName, keys });
        expect(answer.text).to.contain("HeaderDigest=CRC32C\0").and.contain("DataDigest=CRC32C\0");
        client.startDigests({ header: true, data: true });
        expect((await read(client, 1))[0]?.data.equals(Buffer.alloc(512))).to.equal(true);
        target.faults[fault] = { opcode: Opcode.DataIn };
        client.command(6, readWriteCdb(0x88, 0, 1), { reads: 512 });
        // Our side finds the digest wrong and hangs up.
        await client.closed;
      }
    });

    it("rejects damaged data, and ends connections whose digests are wrong", async () => {
      await listen();
      for (const [header, data, hasReject] of [
        [true, false, true],
        [false, true, false],
      ] as const) {
        const client = await dial();
        await client.login({
          targetName,
          keys: [
            ["HeaderDigest", header ? "None" : "CRC32C"],
            ["DataDigest", header ? "CRC32C" : "None"],
          ],
        });
        client.startDigests({ header: !header, data: !data });
        const sent = Buffer.alloc(48);
        sent[0] = 0x01;
        sent[1] = 0xa1;
        sent[7] = 4;
        sent.writeUInt16BE(1, 8);
        sent.writeUInt32BE(4, 20);
        sent.writeUInt32BE(1, 24);
        client.socket.write(Buffer.concat([sent, Buffer.from("abcdnope")]));
        if (hasReject) {
          const reject = await client.next();
          expect(decodeReject(reject.header).reason).to.equal(2);
          expect(reject.data.equals(sent)).to.equal(true);
        }
        await client.closed;
      }
      expect(target.counts.digestErrors).to.equal(2);
      expect(target.counts.commands).to.equal(0);
    });
  });

  describe("of login and session", () => {
    it("refuses the first logins, or sends them elsewhere", async () => {
      await listen({ refuseLogin: { statusClass: 3, statusDetail: 1, times: 2 } });
      for (const expected of [3, 3, 0])
        expect((await (await dial()).login({ targetName })).statusClass).to.equal(expected);
      target.faults.refuseLogin = { statusClass: 1, statusDetail: 1, redirectTo: "127.0.0.1:9,1" };
      const answer = await (await dial()).login({ targetName });
      expect([answer.statusClass, answer.text]).to.deep.equal([1, "TargetAddress=127.0.0.1:9,1\0"]);
    });

    it("is silent after accepting one connection", async () => {
      await listen({ neverLogsIn: {} });
      const silent = await dial();
      void silent.login({ targetName }).catch(() => undefined);
      expect((await (await dial()).login({ targetName })).statusClass).to.equal(0);
      expect(silent.unread).to.equal(0);
    });

    it("stalls one connection for good and serves the next", async () => {
      await listen();
      const stalled = await enter();
      target.faults.stalls = { after: 1 };
      expect(await statusOf(stalled)).to.equal(0);
      for (const tag of [2, 3]) stalled.command(tag, TEST_UNIT_READY);
      const next = await enter(KEYS, "800000000002");
      for (const tag of [1, 2]) expect(await statusOf(next, tag)).to.equal(0);
      expect([stalled.unread, stalled.socket.destroyed]).to.deep.equal([0, false]);
    });

    it("answers a logout late or never", async () => {
      await listen({ neverLogsOut: true });
      const client = await enter();
      const logout = () => {
        const { cmdSn } = client;
        client.send(encodeLogoutRequest({ reason: 0, initiatorTaskTag: 9, connectionId: 0, cmdSn, expStatSn: 0 }));
      };
      logout();
      expect(await statusOf(client)).to.equal(0);
      target.faults.neverLogsOut = false;
      target.faults.logoutDelayMs = 30;
      const from = Date.now();
      logout();
      expect(decodeLogoutResponse((await client.next()).header).response).to.equal(0);
      expect(Date.now() - from).to.be.at.least(25);
      await client.closed;
    });

    it("shuts the window for a while and announces it by a NOP-In", async () => {
      await listen({}, { commandWindow: 1 });
      const client = await enter();
      target.faults.closesWindow = { forMs: 30 };
      const shut = readTargetSequence((await ready(client)).header);
      expect(shut.maxCmdSn - shut.expCmdSn).to.equal(-1);
      const open = decodeNopIn((await client.next()).header);
      expect(open.targetTransferTag).to.equal(RESERVED_TAG);
      expect(open.maxCmdSn - open.expCmdSn).to.equal(0);
      expect(await statusOf(client, 2)).to.equal(0);
    });

    it("sends async messages and pings, on a command or when told", async () => {
      await listen({ asyncMessage: { event: AsyncEvent.LogoutRequest, parameter2: 3, parameter3: 7 } });
      const client = await enter();
      const message = decodeAsyncMessage((await ready(client)).header);
      expect(message).to.include({ event: 1, parameter2: 3, parameter3: 7 });
      await client.next();
      target.sendAsyncMessage({ event: AsyncEvent.ScsiEvent, sense: Buffer.from([0x70, 0, 6]) });
      expect((await client.next()).data.toString("hex")).to.equal("0003700006");
      target.ping();
      const ping = decodeNopIn((await client.next()).header);
      const answer = { lunField: ping.lunField, initiatorTaskTag: RESERVED_TAG, cmdSn: client.cmdSn, expStatSn: 0 };
      client.send(encodeNopOut({ ...answer, targetTransferTag: ping.targetTransferTag }));
      expect(await statusOf(client, 2)).to.equal(0);
      expect(target.counts.pingAnswers).to.equal(1);
      target.sendAsyncMessage({ event: AsyncEvent.SessionDrop, dropsAfterMs: 1 });
      await client.closed;
    });

    it("keeps silent about task management", async () => {
      await listen({ ignoresTaskManagement: true });
      const client = await enter();
      const tags = { initiatorTaskTag: 9, referencedTaskTag: 1 };
      const numbers = { cmdSn: client.cmdSn, expStatSn: 0, refCmdSn: 0 };
      client.send(encodeTaskManagementRequest({ function: 1, lun: 1, ...tags, ...numbers }));
      expect(await statusOf(client)).to.equal(0);
      expect(target.counts.taskManagement).to.equal(1);
    });
  });

  describe("of commands", () => {
    it("ends commands with scripted statuses, several at a time and by operation code", async () => {
      await listen();
      const client = await enter();
      target.faults.statuses = [
        { opcode: 0x88, status: 0x18 },
        { status: 0x02, senseKey: 6, asc: 0x2a, ascq: 0x09, after: 1 },
        { status: 0, response: 1, after: 1 },
      ];
      expect(await statusOf(client)).to.equal(0);
      const attention = await ready(client, 2);
      expect([attention.header[3], attention.data[4], attention.data[14], attention.data[15]]).to.deep.equal([
        2, 6, 0x2a, 9,
      ]);
      expect(decodeScsiResponse((await read(client, 1))[0]!.header).status).to.equal(0x18);
      expect(decodeScsiResponse((await ready(client, 3)).header).response).to.equal(1);
      expect(await statusOf(client, 4)).to.equal(0);
      expect(target.counts.commands).to.equal(2);
    });

    it("drops the connection before a command is run, or after it", async () => {
      await listen();
      for (const [fault, expected] of [
        ["dropsBeforeExecution", 0x00],
        ["executesButDropsStatus", 0x77],
      ] as const) {
        const client = await enter();
        target.faults[fault] = { opcode: 0x8a };
        client.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512, 0x77) });
        await client.closed;
        expect(client.unread).to.equal(0);
        const stored = Buffer.alloc(512);
        await target.backing.read(0, stored);
        expect(stored.equals(Buffer.alloc(512, expected)), fault).to.equal(true);
      }
    });

    it("delays each command as told", async () => {
      await listen();
      const client = await enter();
      const numbers: number[] = [];
      target.faults.delayMs = (cdb, number) => {
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
      await listen({ rejects: { reason: 0x0a } });
      const client = await enter();
      const reject = await ready(client);
      expect(decodeReject(reject.header).reason).to.equal(0x0a);
      expect(reject.data.readUInt32BE(16)).to.equal(1);
      expect(await statusOf(client, 2)).to.equal(0);
    });

    it("claims that data was damaged, and fails its task when the rest has come", async () => {
      await listen({ claimsDataDigestError: { opcode: Opcode.DataOut } });
      const client = await enter();
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
      expect(target.counts.commands).to.equal(0);
    });

    it("lies about residuals and reads short", async () => {
      await listen();
      const client = await enter();
      target.faults.residual = { kind: "overflow", bytes: 77 };
      client.command(1, readWriteCdb(0x8a, 0, 1), { writes: 512, immediate: Buffer.alloc(512) });
      expect(decodeScsiResponse((await client.next()).header).residual).to.deep.equal({ kind: "overflow", bytes: 77 });
      target.faults.shortRead = { bytes: 100 };
      const [short] = await read(client, 1);
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
        await listen({ dataIn: { fault } });
        const client = await enter();
        const pdus = (await read(client, 5)).slice(0, -1).map(({ header }) => decodeDataIn(header));
        expect(pdus.map((pdu) => [pdu.dataSn, pdu.bufferOffset, pdu.dataSegmentLength])).to.deep.equal(shape);
        expect((await read(client, 5)).map(({ header }) => decodeDataIn(header).dataSn)).to.deep.equal([0, 1, 2]);
      });

    it("sends Data-In for a tag nobody gave", async () => {
      await listen({ dataIn: { fault: "unknownTag" } });
      const tags = (await read(await enter(), 1)).map(({ header }) => header.readUInt32BE(16));
      expect(tags).to.deep.equal([0x5a5a5a5f, 0x5a5a5a5f, 5]);
    });

    it("asks in a storm of R2Ts, more than agreed, twice the same, and for what is finished", async () => {
      await listen({ r2tBytes: 512, extraR2ts: 3 }, { maxOutstandingR2T: 2 });
      const client = await enter();
      client.command(1, readWriteCdb(0x8a, 0, 4), { writes: 2048 });
      const asked = [];
      for (let count = 0; count < 4; count += 1) asked.push(decodeReadyToTransfer((await client.next()).header));
      expect(asked.map(({ r2tSn, bufferOffset, desiredLength }) => [r2tSn, bufferOffset, desiredLength])).to.deep.equal(
        [
          [0, 0, 512],
          [1, 512, 512],
          [2, 1024, 512],
          [3, 1536, 512],
        ],
      );
      target.faults.r2tAfterStatus = {};
      for (const { targetTransferTag, bufferOffset } of asked) {
        const pdu = { final: true, lun: 1, initiatorTaskTag: 1, targetTransferTag, expStatSn: 0, dataSn: 0 };
        client.send(encodeDataOut({ ...pdu, bufferOffset, dataSegmentLength: 512 }), Buffer.alloc(512, 1));
      }
      expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
      expect(decodeReadyToTransfer((await client.next()).header).initiatorTaskTag).to.equal(1);
      Object.assign(target.faults, { r2tBytes: undefined, extraR2ts: undefined, repeatsR2t: {} });
      client.command(2, readWriteCdb(0x8a, 0, 4), { writes: 2048 });
      const [first, second] = [await client.next(), await client.next()];
      expect(first.header.equals(second.header)).to.equal(true);
    });

    it("sends sense data without its length, or cut short", async () => {
      await listen({ senseWithoutLength: true, statuses: { status: 2, senseKey: 3, asc: 0x11, times: 2 } });
      const client = await enter();
      expect((await ready(client)).data[0]).to.equal(0x70);
      target.faults.senseWithoutLength = false;
      target.faults.senseEndsAfterBytes = 5;
      const { data } = await ready(client, 2);
      expect([data.length, data.readUInt16BE(0)]).to.deep.equal([7, 18]);
    });

    it("keeps data that UNMAP should have removed", async () => {
      await listen({ keepsDataOnUnmap: true });
      const client = await enter();
      await target.backing.write(0, Buffer.alloc(512, 9));
      const unmap = Buffer.alloc(16);
      unmap[0] = 0x42;
      unmap[8] = 24;
      const list = Buffer.from(`001600100000000000000000000000000000000100000000`, "hex");
      client.command(1, unmap, { writes: 24, immediate: list });
      expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
      expect((await read(client, 1))[0]?.data.equals(Buffer.alloc(512, 9))).to.equal(true);
      target.faults.keepsDataOnUnmap = false;
      client.command(2, unmap, { writes: 24, immediate: list });
      expect(decodeScsiResponse((await client.next()).header).status).to.equal(0);
      expect((await read(client, 1))[0]?.data.equals(Buffer.alloc(512))).to.equal(true);
    });

    it("strikes by chance, the same each time for the same seed", async () => {
      await listen();
      const patternOf = async (seed: number) => {
        const client = await enter();
        target.faults.statuses = { status: 8, times: Number.POSITIVE_INFINITY, chance: 0.5, seed };
        const pattern: number[] = [];
        for (let tag = 1; tag <= 24; tag += 1) pattern.push(await statusOf(client, tag));
        return pattern.join();
      };
      const pattern = await patternOf(3);
      expect(pattern).to.contain("8").and.contain("0");
      expect(await patternOf(3)).to.equal(pattern);
      expect(await patternOf(4)).not.to.equal(pattern);
    });
  });

  it("without faults a strict target has nothing to complain about, and drops what is not iSCSI", async () => {
    await listen();
    const client = await enter();
    expect(await statusOf(client)).to.equal(0);
    const bad = await enter(KEYS, "800000000002");
    bad.cmdSn += 5;
    bad.command(1, TEST_UNIT_READY);
    await bad.closed;
    expect(target.counts.lastProtocolError).to.contain("CmdSN 6, expected 1");
    expect(await statusOf(client, 2)).to.equal(0);
  });
});
