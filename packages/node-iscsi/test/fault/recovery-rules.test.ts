// The rules a recovery keeps (RFC 7143 4.2.7.1, 6.3.5, 7.1.4.4): the same ISID, the same unit, the same portal group, one deadline.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { RecoveryError, TimeoutError } from "node-iscsi";
import type { IscsiTarget, SentPdu } from "node-iscsi/target";
import { errorOf } from "../fakes/error-of.ts";
import { until } from "../fakes/until.ts";
import { type SessionBench, stored, withBench } from "./session-bench.ts";

const MIB = 1024 * 1024;
const WRITE_16 = 0x8a;
/** iSCSI opcodes. */
const LOGIN_RESPONSE = 0x23;
const DATA_IN = 0x25;

/** Cuts the connection, and waits until the initiator knows: nothing is sent on the old one then. */
async function cut({ target, counts }: SessionBench): Promise<void> {
  target.dropConnections();
  await until(() => counts.lost > 0);
}

describe("the ISID of a recovery", () => {
  for (const [title, isid] of [
    ["the random one of the first login", undefined],
    ["the caller's", Buffer.from("80aabbccddee", "hex")],
  ] as const)
    it(`is ${title}, so that the target ends the lost session, which it still holds for alive`, () =>
      withBench(
        async ({ target, device }) => {
          const [first] = target.sessions;
          if (isid !== undefined) expect(first?.isid).to.equal(isid.toString("hex"));
          // The target reads no more of that connection, so that it does not even see it end.
          target.faults.stalls = { opcode: WRITE_16, stopsReading: true };
          const data = randomBytes(MIB);
          await device.write(0, data);
          expect((await stored(target, 0, MIB)).equals(data)).to.equal(true);
          expect(target.counts.reinstatements).to.be.at.least(1);
          expect(target.sessions.map((session) => session.isid)).to.deep.equal([first?.isid]);
          expect(target.sessions[0]?.tsih).to.not.equal(first?.tsih);
        },
        { isid, keepaliveIntervalMs: 50, keepaliveDeadlineMs: 500 },
      ));
});

describe("the unit after a recovery", () => {
  /** VPD page 83h with one byte changed; all other PDUs as they are. */
  const withByteChanged = (at: number) => (pdu: SentPdu) => {
    const { header, data } = pdu;
    if (((header[0] ?? 0) & 0x3f) !== DATA_IN || data?.[1] !== 0x83) return pdu;
    const changed = Buffer.from(data);
    changed.writeUInt8((changed[at] ?? 0) ^ 1, at);
    return { header, data: changed };
  };

  // 4 bytes of page header; T10 designator with 24 bytes, NAA designator with 8, each behind a header of 4; the target's name.
  for (const [title, at] of [
    ["T10 identification", 4 + 4 + 23],
    ["NAA identifier", 4 + 28 + 4 + 7],
  ] as const)
    it(`of the same size but with another ${title} gets nothing, and the session ends`, () =>
      withBench(async (bench) => {
        const { target, session, device } = bench;
        target.faults.alterSent = withByteChanged(at);
        await cut(bench);
        const error = await errorOf(device.write(0, Buffer.alloc(512, 1)));
        expect(error.message).to.contain("another unit answers");
        expect(session.isClosed).to.equal(true);
        expect((await stored(target, 0, 512)).equals(Buffer.alloc(512))).to.equal(true);
      }));

  it("may be reached through a target that is called otherwise: only the unit's own designators count", () =>
    withBench(async (bench) => {
      const { target, device } = bench;
      target.faults.alterSent = withByteChanged(4 + 28 + 12 + 4);
      await cut(bench);
      await device.write(0, Buffer.alloc(512, 1));
      expect((await stored(target, 0, 512)).equals(Buffer.alloc(512, 1))).to.equal(true);
    }));
});

describe("the portal group after a recovery", () => {
  it("must be that of the lost session, which no other can reinstate; nothing is written through another", () =>
    withBench(
      async (bench) => {
        const { target, device } = bench;
        target.faults.alterSent = (pdu) => {
          if (((pdu.header[0] ?? 0) & 0x3f) !== LOGIN_RESPONSE || pdu.data === undefined) return pdu;
          const text = pdu.data.toString("latin1").replace("TargetPortalGroupTag=1", "TargetPortalGroupTag=2");
          return { header: pdu.header, data: Buffer.from(text, "latin1") };
        };
        await cut(bench);
        const error = (await errorOf(device.write(0, Buffer.alloc(512, 1)))) as RecoveryError;
        expect(error).to.be.instanceOf(RecoveryError);
        expect(error.message).to.contain("group 2").and.contain("group 1");
        expect([error.attempts, error.effect]).to.deep.equal([3, "none"]);
        expect((await stored(target, 0, 512)).equals(Buffer.alloc(512))).to.equal(true);
        // The portal may belong to the old group again.
        target.faults.alterSent = undefined;
        await device.write(0, Buffer.alloc(512, 1));
      },
      { recovery: { firstBackoffMs: 1, longestBackoffMs: 2, maxAttempts: 3 } },
    ));
});

describe("the one deadline of a command", () => {
  // Load can only add to the times below, and so only bring the deadline nearer.
  const delayWrites = (target: IscsiTarget, ms: number) => {
    target.faults.delayMs = (cdb) => (cdb[0] === WRITE_16 ? ms : 0);
  };

  it("bounds a command that is lost again and again", () =>
    withBench(
      async ({ target, session, device, counts }) => {
        delayWrites(target, 100);
        target.faults.dropsBeforeExecution = { opcode: WRITE_16, times: Number.POSITIVE_INFINITY };
        const error = await errorOf(device.write(0, Buffer.alloc(512), { deadlineMs: 450 }));
        expect(error).to.be.instanceOf(TimeoutError);
        expect(counts.recovered).to.be.at.most(4);
        session.destroy();
      },
      { recovery: { firstBackoffMs: 1, longestBackoffMs: 1, maxAttempts: 1000, maxReissues: 30 } },
    ));

  it("has what the first attempt used up taken from it when the command is sent again", () =>
    withBench(async ({ target, device }) => {
      delayWrites(target, 800);
      target.faults.dropsBeforeExecution = { opcode: WRITE_16 };
      // Twice 800 ms are more than 1200, once is not.
      const error = await errorOf(device.write(0, Buffer.alloc(512), { deadlineMs: 1200 }));
      expect(error).to.be.instanceOf(TimeoutError);
    }));

  it("has what the first attempt used up taken from the wait for a recovery, too", () =>
    withBench(
      async ({ target, device, counts }) => {
        delayWrites(target, 800);
        target.faults.dropsBeforeExecution = { opcode: WRITE_16 };
        target.faults.refuseLogin = { statusClass: 3, statusDetail: 1 };
        const error = await errorOf(device.write(0, Buffer.alloc(512), { deadlineMs: 1000 }));
        expect(error).to.be.instanceOf(TimeoutError);
        // 200 ms are left at most, and 20 ms at least are between two logins; the whole second would take some 30 of them.
        expect(counts.failed).to.be.at.most(12);
      },
      { recovery: { firstBackoffMs: 40, longestBackoffMs: 40, maxAttempts: 1000 } },
    ));

  it("ends a wait for a target that refuses every login", () =>
    withBench(async (bench) => {
      const { target, device } = bench;
      target.faults.refuseLogin = { statusClass: 3, statusDetail: 1 };
      await cut(bench);
      const error = await errorOf(device.write(0, Buffer.alloc(512), { deadlineMs: 300 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.effect).to.equal("none");
    }));
});

describe("a gap in DataSN (7.9)", () => {
  it("is a lost PDU: the read is sent again on a new connection", () =>
    withBench(
      async ({ target, device, counts }) => {
        const data = randomBytes(MIB);
        await device.write(0, data);
        target.faults.losesPdu = { opcode: DATA_IN, after: 1 };
        expect((await device.read(0, MIB)).equals(data)).to.equal(true);
        expect(counts.recovered).to.equal(1);
      },
      { wishes: { maxRecvDataSegmentBytes: 65_536 } },
    ));
});

describe("an ABORT TASK that is not answered (11.6.1)", () => {
  it("costs the connection, so that the write it meant cannot land later, and the session goes on", () =>
    withBench(async ({ target, device, counts }) => {
      target.faults.ignoresTaskManagement = true;
      target.faults.delayMs = (cdb) => (cdb[0] === WRITE_16 ? 600_000 : 0);
      const error = await errorOf(device.write(0, Buffer.alloc(512, 1), { deadlineMs: 50 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect([target.counts.taskManagement, counts.lost]).to.deep.equal([1, 1]);
      target.faults.delayMs = undefined;
      await device.write(512, Buffer.alloc(512, 2));
      expect(counts.recovered).to.equal(1);
      expect((await stored(target, 0, 512)).equals(Buffer.alloc(512))).to.equal(true);
    }));
});
