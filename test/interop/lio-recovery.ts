// LIO: lost, cut and silent connections are replaced (RFC 7143 7.4, level 0), tasks are aborted, units reset; the disk holds what was reported.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  AbortedError,
  type ConnectOptions,
  connect,
  type IscsiSession,
  ProtocolError,
  type ScsiError,
  type SessionHooks,
  TransportError,
} from "node-iscsi";
import { LIO, type LioMachine } from "./lio-machine.ts";
import { CuttingProxy } from "./lio-proxy.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The tests of this file; `machine` is there when a test runs. Regions from 512 MiB on. */
export function describeLioRecovery(machine: () => LioMachine): void {
  let proxy: CuttingProxy;
  let session: IscsiSession | undefined;
  let recoveries: { attempts: number; elapsedMs: number }[];
  let retried: ScsiError[];

  beforeEach(async () => {
    proxy = await CuttingProxy.listen(machine().port);
    recoveries = [];
    retried = [];
  });

  afterEach(async () => {
    session?.destroy();
    session = undefined;
    await proxy.close();
  });

  const open = async (options: Partial<ConnectOptions> = {}): Promise<IscsiSession> => {
    session = await connect({
      address: "127.0.0.1",
      port: proxy.port,
      targetName: LIO.openTarget,
      hooks: {
        onRecovered: (report) => recoveries.push(report),
        onRetry: (error) => retried.push(error),
      },
      ...options,
    });
    return session;
  };

  const failure = async (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (cause) => cause,
    );

  /** 16 writes of 96 KiB side by side; resolves when all are acknowledged and flushed. */
  const writeAndCompare = async (offset: number): Promise<void> => {
    const device = await session!.blockDevice();
    const data = randomBytes(16 * 96 * KIB);
    const pieces = Array.from({ length: 16 }, (_, index) => data.subarray(index * 96 * KIB, (index + 1) * 96 * KIB));
    await Promise.all(pieces.map((piece, index) => device.write(offset + index * 96 * KIB, piece)));
    await device.flush();
    expect((await machine().readDisk("small", offset, data.length)).equals(data)).to.equal(true);
  };

  describe("a connection that is cut", () => {
    // One cut in the first PDUs, the others anywhere in the 1.5 MiB of a round.
    for (const [index, bytes] of [60, 20_001, 400_007, 900_013, 1_400_021].entries())
      it(`is replaced when it is cut ${bytes} bytes into the writes`, async () => {
        await open();
        const before = proxy.connections;
        proxy.cutAfter(bytes);
        await writeAndCompare((512 + 4 * index) * MIB);
        expect([proxy.cuts, recoveries.length, proxy.connections]).to.deep.equal([1, 1, before + 1]);
        await session!.logout();
      });

    it("is replaced three times in a row", async () => {
      await open();
      for (let round = 1; round <= 3; round++) {
        proxy.cutAfter(round * 200_003);
        await writeAndCompare((536 + 4 * round) * MIB);
        expect([proxy.cuts, recoveries.length]).to.deep.equal([round, round]);
      }
      await session!.logout();
    });

    it("is replaced with both digests on", async () => {
      await open({ wishes: { headerDigest: "CRC32C", dataDigest: "CRC32C" } });
      proxy.cutAfter(700_001);
      await writeAndCompare(552 * MIB);
      expect(recoveries).to.have.lengthOf(1);
      expect([session!.parameters.headerDigest, session!.parameters.dataDigest]).to.deep.equal([true, true]);
      await session!.logout();
    });

    it("is replaced in the middle of R2Ts", async () => {
      await open({ targetName: LIO.burstsTarget });
      proxy.cutAfter(500_009);
      await writeAndCompare(556 * MIB);
      expect(recoveries).to.have.lengthOf(1);
      await session!.logout();
    });

    it("is replaced in the middle of a read", async () => {
      await open();
      await writeAndCompare(560 * MIB);
      const device = await session!.blockDevice();
      proxy.cutAfter(333_333, { from: "target" });
      const data = await device.read(560 * MIB, MIB);
      expect(data.equals(await machine().readDisk("small", 560 * MIB, MIB))).to.equal(true);
      expect([proxy.cuts, recoveries.length]).to.deep.equal([1, 1]);
      await session!.logout();
    });

    it("waits for the target's DefaultTime2Wait, and proves itself again", async () => {
      await open({ targetName: LIO.chapTarget, initiatorName: LIO.oneWayInitiator, chap: LIO.chap });
      expect(session!.parameters.time2WaitSeconds).to.equal(2);
      proxy.cutAfter(300_007);
      await writeAndCompare(564 * MIB);
      expect(recoveries.map(({ attempts }) => attempts)).to.deep.equal([1]);
      expect(recoveries[0]!.elapsedMs).to.be.greaterThan(1900);
      await session!.logout();
    });

    it("ends the session where recovery is off, and the writes say why", async () => {
      await open({ recovery: false });
      const device = await session!.blockDevice();
      proxy.cutAfter(300_007);
      expect(await failure(device.write(568 * MIB, randomBytes(MIB)))).to.be.instanceOf(TransportError);
      expect(proxy.cuts).to.equal(1);
    });

    it("fails the first login with a transport error", async () => {
      proxy.cutAfter(60);
      expect(await failure(open())).to.be.instanceOf(TransportError);
    });
  });

  it("replaces a connection that has gone silent", async () => {
    await open({ keepaliveIntervalMs: 300, keepaliveDeadlineMs: 1000 });
    proxy.cutAfter(300_007, { how: "stall" });
    await writeAndCompare(572 * MIB);
    expect(proxy.cuts).to.equal(1);
    // A machine under load may miss a ping of the second connection too.
    expect(recoveries).to.have.lengthOf.at.least(1);
    await session!.logout();
  });

  it("aborts writes in the middle of their R2Ts; nothing lands later", async () => {
    let abortTasks = 0;
    const onPdu: SessionHooks["onPdu"] = (direction, header) => {
      // Opcode 02h with the immediate bit, function 1.
      if (direction === "sent" && header[0] === 0x42 && header[1] === 0x81) abortTasks += 1;
    };
    await open({ targetName: LIO.burstsTarget, hooks: { onPdu, onRecovered: (report) => recoveries.push(report) } });
    const device = await session!.blockDevice();
    for (let round = 0; round < 8; round++) {
      const offset = (576 + round) * MIB;
      const abort = new AbortController();
      const write = failure(device.write(offset, Buffer.alloc(512 * KIB, 0xaa), { signal: abort.signal }));
      // A different number of bursts each time.
      for (let turn = 0; turn < round * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      abort.abort();
      const error = await write;
      if (error !== undefined) expect(error).to.be.instanceOf(AbortedError);
      const data = randomBytes(512 * KIB);
      await device.write(offset, data);
      await device.flush();
      expect((await machine().readDisk("small", offset, data.length)).equals(data)).to.equal(true);
    }
    expect(abortTasks).to.be.greaterThan(0);
    expect(recoveries).to.deep.equal([]);
    await session!.logout();
  });

  it("resets the unit; the session goes on after the unit attention", async () => {
    await open();
    await session!.lunReset();
    await session!.testUnitReady();
    // BUS DEVICE RESET FUNCTION OCCURRED.
    expect(retried.map(({ senseKey, asc, ascq }) => [senseKey, asc, ascq])).to.deep.equal([[6, 0x29, 3]]);
    await writeAndCompare(584 * MIB);
    expect(recoveries).to.deep.equal([]);
    await session!.logout();
  });

  it("says that LIO refuses a target warm reset", async () => {
    await open();
    const error = await failure(session!.targetWarmReset());
    expect(error).to.be.instanceOf(ProtocolError);
    expect(error.message).to.contain("TARGET WARM RESET").and.contain("response 255");
    await session!.testUnitReady();
    await session!.logout();
  });
}
