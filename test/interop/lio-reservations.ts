// LIO: persistent reservations between two sessions (SPC-4 5.13): who may write, who holds, who was fenced off.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  connect,
  type IscsiSession,
  ReservationType,
  readFullReservationStatus,
  readReservation,
  readReservationKeys,
  reportReservationCapabilities,
  reservationClear,
  reservationPreempt,
  reservationRegister,
  reservationRegisterAndIgnoreExistingKey,
  reservationRelease,
  reservationReserve,
  ScsiError,
  ScsiStatus,
  SenseKey,
  write16,
} from "node-iscsi";
import { LIO, type LioMachine } from "./lio-machine.ts";
import { CuttingProxy } from "./lio-proxy.ts";

const BLOCK = LIO.small.blockSize;
const LBA = (656 * 1024 * 1024) / BLOCK;
const [OURS, THEIRS] = [0xa1n, 0xfedcba9876543210n];
const TYPE = ReservationType.ExclusiveAccessRegistrantsOnly;

/** The tests of this file; `machine` is there when a test runs. */
export function describeLioReservations(machine: () => LioMachine): void {
  let holder: IscsiSession;
  let other: IscsiSession;
  let proxy: CuttingProxy;
  let recoveries: number;

  const open = (name: string, port: number) =>
    connect({
      address: "127.0.0.1",
      port,
      targetName: LIO.openTarget,
      initiatorName: `iqn.2026-11.test.initiator:${name}`,
      hooks: { onRecovered: () => (recoveries += 1) },
    });

  beforeEach(async () => {
    recoveries = 0;
    proxy = await CuttingProxy.listen(machine().port);
    holder = await open("holder", proxy.port);
    other = await open("other", machine().port);
  });

  afterEach(async () => {
    try {
      // Whatever the test left: the next ones write to the same unit.
      await other?.executeWithRetry(reservationRegisterAndIgnoreExistingKey(THEIRS));
      await other?.executeWithRetry(reservationClear(THEIRS));
      await Promise.all([holder?.logout(), other?.logout()]);
    } finally {
      await proxy?.close();
    }
  });

  const write = (session: IscsiSession, data: Buffer) => session.executeWithRetry(write16(LBA, 1, data));
  const expectConflict = async (promise: Promise<unknown>): Promise<void> => {
    const error = await promise.then(
      () => undefined,
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(ScsiError);
    expect(error.status).to.equal(ScsiStatus.ReservationConflict);
  };
  const isOnDisk = async (data: Buffer) => (await machine().readDisk("small", LBA * BLOCK, BLOCK)).equals(data);

  it("tells what it can do, and that nobody has registered", async () => {
    const capabilities = await holder.executeWithRetry(reportReservationCapabilities());
    expect(capabilities).to.include({ canPersistThroughPowerLoss: true, isPersistThroughPowerLossActive: false });
    expect(capabilities.types).to.include(TYPE);
    expect((await holder.executeWithRetry(readReservationKeys())).keys).to.deep.equal([]);
    expect((await holder.executeWithRetry(readReservation())).reservation).to.equal(undefined);
  });

  it("keeps the other session out until it is released", async () => {
    await holder.executeWithRetry(reservationRegister(0n, OURS));
    await holder.executeWithRetry(reservationReserve(OURS, TYPE));
    expect((await other.executeWithRetry(readReservationKeys())).keys).to.deep.equal([OURS]);
    expect((await other.executeWithRetry(readReservation())).reservation).to.deep.equal({
      key: OURS,
      type: TYPE,
      scope: 0,
    });
    const { registrations } = await other.executeWithRetry(readFullReservationStatus());
    expect(registrations).to.have.lengthOf(1);
    expect(registrations[0]).to.include({ key: OURS, isHolder: true, type: TYPE, relativeTargetPort: 1 });
    expect(registrations[0]!.initiator).to.match(/^iqn\.2026-11\.test\.initiator:holder,i,0x80[0-9a-f]{10}$/);

    const data = randomBytes(BLOCK);
    await write(holder, data);
    await expectConflict(write(other, randomBytes(BLOCK)));
    await expectConflict(other.executeWithRetry(reservationRelease(THEIRS, TYPE)));
    await expectConflict(holder.executeWithRetry(reservationRegister(THEIRS, OURS)));
    expect(await isOnDisk(data)).to.equal(true);

    await holder.executeWithRetry(reservationRelease(OURS, TYPE));
    const later = randomBytes(BLOCK);
    await write(other, later);
    expect(await isOnDisk(later)).to.equal(true);
  });

  for (const aborts of [false, true])
    it(`fences the holder off with PREEMPT${aborts ? " AND ABORT" : ""}`, async () => {
      await holder.executeWithRetry(reservationRegister(0n, OURS));
      await holder.executeWithRetry(reservationReserve(OURS, TYPE));
      await other.executeWithRetry(reservationRegister(0n, THEIRS));
      await other.executeWithRetry(reservationPreempt(THEIRS, OURS, TYPE, aborts));
      expect((await other.executeWithRetry(readReservationKeys())).keys).to.deep.equal([THEIRS]);
      const data = randomBytes(BLOCK);
      await write(other, data);
      // Told once, as UNIT ATTENTION, that it was fenced; not retried, and a conflict from then on.
      const told = await write(holder, randomBytes(BLOCK)).catch((error) => error);
      expect(told).to.be.instanceOf(ScsiError);
      expect([told.senseKey, told.asc]).to.deep.equal([SenseKey.UnitAttention, 0x2a]);
      await expectConflict(write(holder, randomBytes(BLOCK)));
      expect(await isOnDisk(data)).to.equal(true);
    });

  it("survives the loss of the holder's connection: same ISID, same nexus", async () => {
    await holder.executeWithRetry(reservationRegister(0n, OURS));
    await holder.executeWithRetry(reservationReserve(OURS, TYPE));
    proxy.cutAfter(100);
    const data = randomBytes(BLOCK);
    await write(holder, data);
    expect([proxy.cuts, recoveries]).to.deep.equal([1, 1]);
    expect(await isOnDisk(data)).to.equal(true);
    await expectConflict(write(other, randomBytes(BLOCK)));
  });
}
