// The faults of our target on the wire, at login and in the session: each does what it says, where it says, and nothing else.
import { expect } from "chai";
import { AsyncEvent, decodeAsyncMessage, decodeReject } from "../../src/pdu/async-message.ts";
import { Opcode, readTargetSequence } from "../../src/pdu/header.ts";
import { decodeLogoutResponse, encodeLogoutRequest } from "../../src/pdu/logout.ts";
import { decodeNopIn, encodeNopOut } from "../../src/pdu/nop.ts";
import { encodeTaskManagementRequest } from "../../src/pdu/task-management.ts";
import { KEYS, TargetBench, targetName } from "./own-target-bench.ts";
import { RESERVED_TAG, readWriteCdb, TEST_UNIT_READY } from "./own-target-client.ts";

describe("faults of our target", () => {
  const bench = new TargetBench();
  afterEach(() => bench.close());

  describe("on the wire", () => {
    it("cuts after a number of received bytes, once or on each connection", async () => {
      await bench.listen();
      const first = await bench.enter();
      bench.target.faults.dropAfterBytes = { after: 60 };
      expect(await bench.statusOf(first)).to.equal(0);
      first.command(2, TEST_UNIT_READY);
      await first.closed;
      const second = await bench.enter();
      for (const tag of [1, 2, 3]) expect(await bench.statusOf(second, tag)).to.equal(0);
      bench.target.faults.dropAfterBytes = { after: 60, scope: "connection" };
      for (const isid of ["80000000000a", "80000000000b"]) {
        const client = await bench.dial();
        const login = client.login({ targetName, isid });
        expect(await login.catch((error: Error) => error.message)).to.equal("the target closed the connection");
      }
    });

    it("cuts after exactly so many sent bytes, wherever that is in a PDU", async () => {
      await bench.listen();
      for (const after of [1, 47, 48, 49, 100]) {
        bench.target.faults.dropAfterBytesSent = undefined;
        const client = await bench.enter();
        let got = 0;
        client.socket.on("data", (chunk) => {
          got += chunk.length;
        });
        bench.target.faults.dropAfterBytesSent = { after };
        for (let tag = 1; tag <= 4; tag += 1) client.command(tag, TEST_UNIT_READY);
        await client.closed;
        expect(got, `after ${after}`).to.equal(after);
      }
    });

    it("draws the place of a cut from its seed", async () => {
      const cutsOf = async (seed: number) => {
        await bench.listen();
        const cuts: number[] = [];
        bench.target.faults.dropAfterBytesSent = { after: { from: 1, to: 5000, seed }, times: 3 };
        for (let round = 0; round < 3; round += 1) {
          const before = bench.target.counts.bytesSent;
          const client = await bench.dial();
          const login = await client.login({ targetName }).catch(() => undefined);
          if (login !== undefined) for (let tag = 1; tag <= 120; tag += 1) client.command(tag, TEST_UNIT_READY);
          await client.closed;
          cuts.push(bench.target.counts.bytesSent - before);
        }
        await bench.target.close();
        return cuts;
      };
      const cuts = await cutsOf(7);
      expect(new Set(cuts).size).to.equal(3);
      expect(await cutsOf(7)).to.deep.equal(cuts);
      expect(await cutsOf(8)).not.to.deep.equal(cuts);
      await bench.listen();
    });

    it("ends inside the nth PDU", async () => {
      await bench.listen();
      const client = await bench.enter();
      let got = 0;
      client.socket.on("data", (chunk) => {
        got += chunk.length;
      });
      bench.target.faults.dropsInsidePdu = { after: 1, atByte: 30 };
      expect(await bench.statusOf(client)).to.equal(0);
      client.command(2, TEST_UNIT_READY);
      await client.closed;
      expect(got).to.equal(48 + 30);
    });

    it("sends garbage, loses and repeats PDUs, and puts others in their place", async () => {
      await bench.listen();
      const client = await bench.enter();
      bench.target.faults.repeatsPdu = {};
      const one = await bench.ready(client);
      expect((await client.next()).header.equals(one.header)).to.equal(true);
      bench.target.faults.losesPdu = { opcode: Opcode.ScsiResponse };
      client.command(2, TEST_UNIT_READY);
      const third = await bench.ready(client, 3);
      expect(third.header.readUInt32BE(16)).to.equal(3);
      bench.target.faults.alterSent = ({ header, data }) => {
        header[3] = 0x40;
        return { header, data };
      };
      expect(await bench.statusOf(client, 4)).to.equal(0x40);
      bench.target.faults.alterSent = undefined;
      const noise = Buffer.concat([Buffer.alloc(1, 0x15), Buffer.alloc(47)]);
      bench.target.faults.garbage = { bytes: noise };
      expect((await bench.ready(client, 5)).header.equals(noise)).to.equal(true);
    });

    it("numbers PDUs wrongly and then goes on rightly", async () => {
      await bench.listen();
      const client = await bench.enter();
      const numbersOf = async (tag: number) => readTargetSequence((await bench.ready(client, tag)).header);
      const right = await numbersOf(1);
      bench.target.faults.wrongStatSn = { by: -1 };
      expect((await numbersOf(2)).statSn).to.equal(right.statSn);
      bench.target.faults.wrongExpCmdSn = { by: -2 };
      bench.target.faults.wrongMaxCmdSn = { by: -100 };
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
      await bench.listen();
      const keys: [string, string][] = [
        ["HeaderDigest", "CRC32C"],
        ["DataDigest", "CRC32C"],
      ];
      for (const fault of ["headerDigestError", "dataDigestError"] as const) {
        const client = await bench.dial();
        const answer = await client.login({ targetName, keys });
        expect(answer.text).to.contain("HeaderDigest=CRC32C\0").and.contain("DataDigest=CRC32C\0");
        client.startDigests({ header: true, data: true });
        expect((await bench.read(client, 1))[0]?.data.equals(Buffer.alloc(512))).to.equal(true);
        bench.target.faults[fault] = { opcode: Opcode.DataIn };
        client.command(6, readWriteCdb(0x88, 0, 1), { reads: 512 });
        // Our side finds the digest wrong and hangs up.
        await client.closed;
      }
    });

    it("rejects damaged data, and ends connections whose digests are wrong", async () => {
      await bench.listen();
      for (const [header, data, hasReject] of [
        [true, false, true],
        [false, true, false],
      ] as const) {
        const client = await bench.dial();
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
      expect(bench.target.counts.digestErrors).to.equal(2);
      expect(bench.target.counts.commands).to.equal(0);
    });
  });

  describe("of login and session", () => {
    it("refuses the first logins, or sends them elsewhere", async () => {
      await bench.listen({ refuseLogin: { statusClass: 3, statusDetail: 1, times: 2 } });
      for (const expected of [3, 3, 0])
        expect((await (await bench.dial()).login({ targetName })).statusClass).to.equal(expected);
      bench.target.faults.refuseLogin = { statusClass: 1, statusDetail: 1, redirectTo: "127.0.0.1:9,1" };
      const answer = await (await bench.dial()).login({ targetName });
      expect([answer.statusClass, answer.text]).to.deep.equal([1, "TargetAddress=127.0.0.1:9,1\0"]);
    });

    it("is silent after accepting one connection", async () => {
      await bench.listen({ neverLogsIn: {} });
      const silent = await bench.dial();
      void silent.login({ targetName }).catch(() => undefined);
      expect((await (await bench.dial()).login({ targetName })).statusClass).to.equal(0);
      expect(silent.unread).to.equal(0);
    });

    it("stalls one connection for good and serves the next", async () => {
      await bench.listen();
      const stalled = await bench.enter();
      bench.target.faults.stalls = { after: 1 };
      expect(await bench.statusOf(stalled)).to.equal(0);
      for (const tag of [2, 3]) stalled.command(tag, TEST_UNIT_READY);
      const next = await bench.enter(KEYS, "800000000002");
      for (const tag of [1, 2]) expect(await bench.statusOf(next, tag)).to.equal(0);
      expect([stalled.unread, stalled.socket.destroyed]).to.deep.equal([0, false]);
    });

    it("answers a logout late or never", async () => {
      await bench.listen({ neverLogsOut: true });
      const client = await bench.enter();
      const logout = () => {
        const { cmdSn } = client;
        client.send(encodeLogoutRequest({ reason: 0, initiatorTaskTag: 9, connectionId: 0, cmdSn, expStatSn: 0 }));
      };
      logout();
      expect(await bench.statusOf(client)).to.equal(0);
      bench.target.faults.neverLogsOut = false;
      bench.target.faults.logoutDelayMs = 30;
      const from = Date.now();
      logout();
      expect(decodeLogoutResponse((await client.next()).header).response).to.equal(0);
      expect(Date.now() - from).to.be.at.least(25);
      await client.closed;
    });

    it("shuts the window for a while and announces it by a NOP-In", async () => {
      await bench.listen({}, { commandWindow: 1 });
      const client = await bench.enter();
      bench.target.faults.closesWindow = { forMs: 30 };
      const shut = readTargetSequence((await bench.ready(client)).header);
      expect(shut.maxCmdSn - shut.expCmdSn).to.equal(-1);
      const open = decodeNopIn((await client.next()).header);
      expect(open.targetTransferTag).to.equal(RESERVED_TAG);
      expect(open.maxCmdSn - open.expCmdSn).to.equal(0);
      expect(await bench.statusOf(client, 2)).to.equal(0);
    });

    it("sends async messages and pings, on a command or when told", async () => {
      await bench.listen({ asyncMessage: { event: AsyncEvent.LogoutRequest, parameter2: 3, parameter3: 7 } });
      const client = await bench.enter();
      const message = decodeAsyncMessage((await bench.ready(client)).header);
      expect(message).to.include({ event: 1, parameter2: 3, parameter3: 7 });
      await client.next();
      bench.target.sendAsyncMessage({ event: AsyncEvent.ScsiEvent, sense: Buffer.from([0x70, 0, 6]) });
      expect((await client.next()).data.toString("hex")).to.equal("0003700006");
      bench.target.ping();
      const ping = decodeNopIn((await client.next()).header);
      const answer = { lunField: ping.lunField, initiatorTaskTag: RESERVED_TAG, cmdSn: client.cmdSn, expStatSn: 0 };
      client.send(encodeNopOut({ ...answer, targetTransferTag: ping.targetTransferTag }));
      expect(await bench.statusOf(client, 2)).to.equal(0);
      expect(bench.target.counts.pingAnswers).to.equal(1);
      bench.target.sendAsyncMessage({ event: AsyncEvent.SessionDrop, dropsAfterMs: 1 });
      await client.closed;
    });

    it("keeps silent about task management", async () => {
      await bench.listen({ ignoresTaskManagement: true });
      const client = await bench.enter();
      const tags = { initiatorTaskTag: 9, referencedTaskTag: 1 };
      const numbers = { cmdSn: client.cmdSn, expStatSn: 0, refCmdSn: 0 };
      client.send(encodeTaskManagementRequest({ function: 1, lun: 1, ...tags, ...numbers }));
      expect(await bench.statusOf(client)).to.equal(0);
      expect(bench.target.counts.taskManagement).to.equal(1);
    });
  });

  it("without faults a strict target has nothing to complain about, and drops what is not iSCSI", async () => {
    await bench.listen();
    const client = await bench.enter();
    expect(await bench.statusOf(client)).to.equal(0);
    const bad = await bench.enter(KEYS, "800000000002");
    bad.cmdSn += 5;
    bad.command(1, TEST_UNIT_READY);
    await bad.closed;
    expect(bench.target.counts.lastProtocolError).to.contain("CmdSN 6, expected 1");
    expect(await bench.statusOf(client, 2)).to.equal(0);
  });
});
