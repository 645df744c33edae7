// Misbehaving targets: every promise settles, in time, with a typed error, or the data is right.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  AbortedError,
  type ConnectOptions,
  connect,
  LoginError,
  ProtocolError,
  ScsiError,
  TimeoutError,
  TransportError,
} from "node-iscsi";
import { IscsiTarget, type TargetFaults, type TargetLimits } from "node-iscsi/target";
import { errorOf } from "../fakes/error-of.ts";

const MIB = 1024 * 1024;
const targetName = "iqn.2026-11.test:fault";
const SIZE = 64 * MIB;

interface Setup {
  faults?: TargetFaults;
  limits?: TargetLimits;
  blockSize?: number;
  options?: Partial<ConnectOptions>;
}

/** A target and the options to reach it, closed after the body. */
async function withTarget(
  setup: Setup,
  body: (target: IscsiTarget, options: ConnectOptions) => Promise<void>,
): Promise<void> {
  const { faults, limits, blockSize } = setup;
  const backing = { memoryBytes: SIZE };
  const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing, faults, limits, blockSize });
  try {
    await body(target, { address: "127.0.0.1", port: target.port, targetName, lun: 1, ...setup.options });
  } finally {
    await target.close();
  }
}

/** Writes, zeroes, reads back and compares with the target's own store. */
async function exercise(target: IscsiTarget, options: ConnectOptions): Promise<void> {
  const session = await connect(options);
  const device = await session.blockDevice();
  const data = randomBytes(6 * MIB);
  await Promise.all([0, 1, 2, 3, 4, 5].map((at) => device.write(at * MIB, data.subarray(at * MIB, (at + 1) * MIB))));
  await device.writeZeroes(MIB + device.blockSize, 3 * MIB);
  data.fill(0, MIB + device.blockSize, 4 * MIB + device.blockSize);
  await device.flush();
  const stored = Buffer.alloc(data.length);
  await target.backing.read(0, stored);
  expect(stored.equals(data)).to.equal(true);
  expect((await device.read(0, data.length)).equals(data)).to.equal(true);
  await session.logout();
}

describe("targets that are merely limited", () => {
  const cases: [string, Setup][] = [
    ["defaults", {}],
    ["4096-byte blocks", { blockSize: 4096 }],
    ["no unmap", { faults: { noUnmap: true } }],
    ["no WRITE SAME", { faults: { noWriteSame: true } }],
    ["neither unmap nor WRITE SAME", { faults: { noUnmap: true, noWriteSame: true } }],
    ["an UNMAP bit that is promised and refused", { faults: { liesAboutUnmap: true } }],
    [
      "short WRITE SAME and coarse unmap",
      { limits: { maximumWriteSameBlocks: 100, optimalUnmapGranularityBlocks: 64 } },
    ],
    ["small transfers", { limits: { maximumTransferBlocks: 33 } }],
    ["InitialR2T and no immediate data", { limits: { initialR2T: true, immediateData: false } }],
    ["InitialR2T with immediate data", { limits: { initialR2T: true } }],
    ["unsolicited data without immediate data", { limits: { immediateData: false, firstBurstBytes: 32_768 } }],
    ["tiny bursts", { limits: { maxRecvDataSegmentBytes: 512, maxBurstBytes: 2048, firstBurstBytes: 1024 } }],
    ["a window of one command", { limits: { commandWindow: 1 } }],
    ["status apart from read data", { faults: { separateReadStatus: true } }],
    [
      "UNIT ATTENTION, BUSY and TASK SET FULL",
      { faults: { unitAttentionCount: 3, busyCount: 3, taskSetFullCount: 3 } },
    ],
  ];
  for (const [title, setup] of cases) it(`works with ${title}`, () => withTarget(setup, exercise));
});

describe("targets that fail", () => {
  it("a medium error reaches the caller with its numbers, and the session goes on", () =>
    withTarget({ faults: { writeErrorCount: 1 } }, async (target, options) => {
      const session = await connect(options);
      const device = await session.blockDevice();
      const error = (await errorOf(device.write(0, Buffer.alloc(512)))) as ScsiError;
      expect(error).to.be.instanceOf(ScsiError);
      expect([error.status, error.senseKey, error.asc, error.ascq]).to.deep.equal([2, 3, 0x0c, 0]);
      expect(error.message).to.contain("MEDIUM ERROR, write error").and.contain(`127.0.0.1:${target.port}`);
      await device.write(0, Buffer.alloc(512));
      await session.logout();
    }));

  it("endless BUSY ends with the deadline", () =>
    withTarget({ faults: { busyCount: 1e9 }, options: { commandDeadlineMs: 150 } }, async (_target, options) => {
      const session = await connect(options);
      const device = await session.blockDevice();
      const error = (await errorOf(device.write(0, Buffer.alloc(512)))) as ScsiError;
      expect(error.statusText).to.equal("BUSY");
      await session.logout();
    }));

  it("a login without an answer times out and names the login", () =>
    withTarget({ faults: { neverLogsIn: true }, options: { deadlineMs: 100 } }, async (_target, options) => {
      const error = await errorOf(connect(options));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.operation).to.equal("login");
    }));

  it("a refused login carries class and detail", () =>
    withTarget({ faults: { refuseLogin: { statusClass: 3, statusDetail: 1 } } }, async (_target, options) => {
      const error = (await errorOf(connect(options))) as LoginError;
      expect(error).to.be.instanceOf(LoginError);
      expect([error.statusClass, error.statusDetail]).to.deep.equal([3, 1]);
    }));

  it("a slow command times out, is aborted at the target, and the session goes on", () =>
    withTarget({}, async (target, options) => {
      const session = await connect(options);
      target.faults.delayMs = 400;
      const error = await errorOf(session.testUnitReady({ deadlineMs: 50 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.operation).to.equal("TEST UNIT READY");
      target.faults.delayMs = undefined;
      await session.testUnitReady();
      await session.logout();
    }));

  it("an aborted signal aborts the command only", () =>
    withTarget({}, async (target, options) => {
      const session = await connect(options);
      const device = await session.blockDevice();
      target.faults.delayMs = 400;
      const controller = new AbortController();
      const written = errorOf(device.write(0, randomBytes(4 * MIB), { signal: controller.signal }));
      setImmediate(() => controller.abort());
      expect(await written).to.be.instanceOf(AbortedError);
      target.faults.delayMs = undefined;
      await session.testUnitReady();
      await session.logout();
    }));

  it("a silent target ends by keepalive and every command fails with TransportError", () =>
    withTarget(
      { options: { keepaliveIntervalMs: 40, keepaliveDeadlineMs: 60, recovery: false } },
      async (target, options) => {
        const session = await connect(options);
        const device = await session.blockDevice();
        target.faults.neverAnswers = true;
        const errors = await Promise.all([0, 1, 2].map((at) => errorOf(device.write(at * MIB, Buffer.alloc(MIB)))));
        for (const error of errors) expect(error).to.be.instanceOf(TransportError);
        expect(session.isClosed).to.equal(true);
      },
    ));

  it("a skipped StatSN and an R2T beyond the write end the session as protocol errors", async () => {
    await withTarget({ faults: { skipsStatSn: true } }, async (_target, options) => {
      const error = await errorOf(connect(options));
      expect(error.message).to.contain("StatSN");
    });
    await withTarget({ faults: { asksTooMuch: true } }, async (_target, options) => {
      const session = await connect(options);
      const error = await errorOf((await session.blockDevice()).write(0, Buffer.alloc(MIB)));
      expect(error.cause).to.be.instanceOf(ProtocolError);
      expect(error.message).to.contain("R2T");
    });
  });

  it("nobody listening is a TransportError naming the portal", async () => {
    const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing: { memoryBytes: MIB } });
    await target.close();
    const error = await errorOf(connect({ address: "127.0.0.1", port: target.port, targetName }));
    expect(error).to.be.instanceOf(TransportError);
    expect(error.message).to.contain(`127.0.0.1:${target.port}`).and.contain("ECONNREFUSED");
  });
});
