// Our initiator's commands that tgtd lacks, against our own target, which libiscsi's suite has judged (libiscsi-suite.test.ts).
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { connect, type IscsiSession, inquiryVpd } from "node-iscsi";
import { type Backing, IscsiTarget } from "node-iscsi/target";
import type { ScsiCommand } from "../../src/scsi/command.ts";
import { compareAndWrite } from "../../src/scsi/compare-and-write.ts";
import { formatDesignator } from "../../src/scsi/format-designator.ts";
import { formatUnit } from "../../src/scsi/format-unit.ts";
import { getLbaStatus } from "../../src/scsi/get-lba-status.ts";
import { modeSense6, modeSense10 } from "../../src/scsi/mode-sense.ts";
import { ReservationType } from "../../src/scsi/persistent-reservation.ts";
import { readFullReservationStatus, readReservation } from "../../src/scsi/persistent-reserve-in.ts";
import { reservationPreempt, reservationRegister, reservationReserve } from "../../src/scsi/persistent-reserve-out.ts";
import { read16 } from "../../src/scsi/read-16.ts";
import { reportSupportedOperationCode } from "../../src/scsi/report-supported-operation-codes.ts";
import { requestSense } from "../../src/scsi/request-sense.ts";
import { sanitizeBlockErase, sanitizeExitFailureMode, sanitizeOverwrite } from "../../src/scsi/sanitize.ts";
import { startStopUnit } from "../../src/scsi/start-stop-unit.ts";
import { unmap } from "../../src/scsi/unmap.ts";
import { verify16 } from "../../src/scsi/verify.ts";
import {
  decodeBlockDeviceCharacteristics,
  decodeBlockLimits,
  decodeDeviceIdentification,
  VpdPage,
} from "../../src/scsi/vpd-pages.ts";
import { write16 } from "../../src/scsi/write-16.ts";
import { writeSame16 } from "../../src/scsi/write-same-16.ts";
import { scsiErrorOf } from "../fakes/error-of.ts";

const MIB = 1024 * 1024;
const targetName = "iqn.2026-11.test:commands";

/** A store whose zeroing waits until it is let go, so that an erasure can be watched. */
class SlowBacking implements Backing {
  readonly sizeBytes = 4 * MIB;
  readonly #bytes = Buffer.alloc(this.sizeBytes, 0x77);
  #release: () => void = () => undefined;
  readonly #isReleased = new Promise<void>((resolve) => {
    this.#release = resolve;
  });

  release(): void {
    this.#release();
  }

  async read(offset: number, into: Buffer): Promise<void> {
    this.#bytes.copy(into, 0, offset, offset + into.length);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    data.copy(this.#bytes, offset);
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.#isReleased;
    this.#bytes.fill(0, offset, offset + length);
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

for (const blockSize of [512, 4096]) {
  describe(`commands against our target with ${blockSize}-byte blocks`, () => {
    let target: IscsiTarget;
    let session: IscsiSession;
    let other: IscsiSession;
    const run = <T>(command: ScsiCommand<T>, on = session): Promise<T> => on.executeWithRetry(command);
    const login = (initiatorName: string) =>
      connect({ address: "127.0.0.1", port: target.port, targetName, lun: 1, initiatorName });

    beforeEach(async () => {
      target = await IscsiTarget.listen({
        address: "127.0.0.1",
        targetName,
        backing: { memoryBytes: 4 * MIB },
        blockSize,
      });
      session = await login("iqn.2026-11.test:first");
      other = await login("iqn.2026-11.test:second");
    });

    afterEach(async () => {
      await Promise.allSettled([session?.logout(), other?.logout()]);
      await target?.close();
    });

    it("COMPARE AND WRITE writes once, then says where the difference is", async () => {
      const expected = randomBytes(2 * blockSize);
      const replacement = Buffer.from(expected);
      replacement[blockSize + 7] = (replacement[blockSize + 7] ?? 0) ^ 1;
      await run(write16(5, 2, expected));
      await run(compareAndWrite(5, 2, expected, replacement));
      const error = await scsiErrorOf(run(compareAndWrite(5, 2, expected, replacement)));
      expect([error.senseKey, error.asc, error.sense?.information]).to.deep.equal([0xe, 0x1d, BigInt(blockSize + 7)]);
      await run(verify16(5, 2, { data: replacement }));
    });

    it("of many who COMPARE AND WRITE at once, one wins", async () => {
      const zeros = Buffer.alloc(blockSize);
      const attempts = Array.from({ length: 16 }, (_, index) => Buffer.alloc(blockSize, index + 1));
      const results = await Promise.allSettled(
        attempts.map((mine, index) => run(compareAndWrite(9, 1, zeros, mine), index % 2 === 0 ? session : other)),
      );
      const winners = attempts.filter((_, index) => results[index]?.status === "fulfilled");
      expect(winners).to.have.length(1);
      const stored = Buffer.alloc(blockSize);
      await run(read16(9, 1, stored));
      expect(stored.equals(winners[0] ?? zeros)).to.equal(true);
    });

    it("VERIFY with one block for all", async () => {
      const block = randomBytes(blockSize);
      await run(writeSame16(3, 4, block, false));
      await run(verify16(3, 4, { block }));
      expect((await scsiErrorOf(run(verify16(3, 5, { block })))).senseKey).to.equal(0xe);
    });

    it("GET LBA STATUS tells what was unmapped", async () => {
      const chunk = (64 * 1024) / blockSize;
      await run(write16(0, 1, randomBytes(blockSize)));
      await run(unmap([{ lba: chunk, blocks: 2 * chunk }]));
      expect((await run(getLbaStatus(0))).slice(0, 3)).to.deep.equal([
        { lba: 0, blocks: chunk, status: "mapped" },
        { lba: chunk, blocks: 2 * chunk, status: "deallocated" },
        { lba: 3 * chunk, blocks: (4 * MIB) / blockSize - 3 * chunk, status: "mapped" },
      ]);
    });

    it("WRITE SAME(16) without data writes zeros", async () => {
      await run(write16(3, 1, randomBytes(blockSize)));
      await run(writeSame16(3, 1, undefined, false));
      await run(verify16(3, 1, { data: Buffer.alloc(blockSize) }));
    });

    it("pages 83h, B0h and B1h", async () => {
      const designators = decodeDeviceIdentification(await run(inquiryVpd(VpdPage.DeviceIdentification)));
      const [t10, naa, name] = designators.map(formatDesignator);
      expect(t10).to.match(/^t10\.NODEJS {2}[0-9a-f]{16}$/);
      expect(naa).to.match(/^naa\.3[0-9a-f]{15}$/);
      expect(name).to.equal(targetName);
      expect(decodeBlockLimits(await run(inquiryVpd(VpdPage.BlockLimits)))).to.include({
        isWriteSameNonZero: true,
        maximumCompareAndWriteLength: 128,
      });
      const rotation = decodeBlockDeviceCharacteristics(await run(inquiryVpd(VpdPage.BlockDeviceCharacteristics)));
      expect(rotation.mediumRotationRate).to.equal(1);
    });

    it("REPORT SUPPORTED OPERATION CODES with and without a service action", async () => {
      expect((await run(reportSupportedOperationCode(0x89))).support).to.equal("standard");
      expect((await run(reportSupportedOperationCode(0x9e, 0x12))).cdbUsage[1]).to.equal(0x12);
      expect((await run(reportSupportedOperationCode(0xff))).support).to.equal("unsupported");
      expect((await scsiErrorOf(run(reportSupportedOperationCode(0x9e)))).asc).to.equal(0x24);
    });

    it("a stopped unit says what it wants", async () => {
      await run(startStopUnit({ isStart: false }));
      const error = await scsiErrorOf(session.execute(write16(0, 1, Buffer.alloc(blockSize))));
      expect([error.senseKey, error.asc, error.ascq]).to.deep.equal([2, 4, 2]);
      await run(startStopUnit({ isStart: true }));
      await run(write16(0, 1, Buffer.alloc(blockSize)));
    });

    it("a write-protected unit says so and refuses every change", async () => {
      target.faults.isWriteProtected = true;
      expect((await run(modeSense6())).isWriteProtected).to.equal(true);
      expect((await run(modeSense10({ disablesBlockDescriptors: false }))).isWriteProtected).to.equal(true);
      const block = Buffer.alloc(blockSize);
      for (const command of [
        write16(0, 1, block),
        writeSame16(0, 1, block, true),
        unmap([{ lba: 0, blocks: 1 }]),
        compareAndWrite(0, 1, block, block),
        formatUnit(),
        sanitizeBlockErase(),
      ]) {
        const error = await scsiErrorOf(run(command));
        expect([error.senseKey, error.asc], command.name).to.deep.equal([7, 0x27]);
      }
      await run(read16(0, 1, block));
    });

    it("PREEMPT AND ABORT takes the reservation; the loser hears of it once, and is fenced off", async () => {
      const type = ReservationType.WriteExclusiveRegistrantsOnly;
      await run(reservationRegister(0n, 1n));
      await run(reservationReserve(1n, type));
      await run(reservationRegister(0n, 2n), other);
      const { registrations } = await run(readFullReservationStatus());
      expect(registrations.map(({ key, isHolder }) => [key, isHolder])).to.deep.equal([
        [1n, true],
        [2n, false],
      ]);
      expect(registrations[0]?.initiator).to.match(/^iqn\.2026-11\.test:first,i,0x[0-9a-f]{12}$/);
      await run(reservationPreempt(2n, 1n, type, true), other);
      expect((await run(readReservation(), other)).reservation).to.deep.equal({ key: 2n, type, scope: 0 });
      const write = write16(0, 1, Buffer.alloc(blockSize));
      const attention = await scsiErrorOf(session.execute(write));
      expect([attention.senseKey, attention.asc, attention.ascq]).to.deep.equal([6, 0x2a, 5]);
      expect((await scsiErrorOf(session.execute(write))).statusText).to.equal("RESERVATION CONFLICT");
      await run(write, other);
    });

    for (const [title, command] of [
      ["SANITIZE block erase", sanitizeBlockErase({ isImmediate: false })],
      ["FORMAT UNIT", formatUnit({ isImmediate: false })],
    ] as const)
      it(`${title} leaves zeros`, async () => {
        await run(write16(1, 1, randomBytes(blockSize)));
        await run(command);
        const stored = Buffer.alloc(4 * MIB);
        await target.backing.read(0, stored);
        expect(stored.equals(Buffer.alloc(4 * MIB))).to.equal(true);
      });

    it("SANITIZE overwrite leaves the pattern of its last pass, and exit failure mode has nothing to do", async () => {
      await run(
        sanitizeOverwrite({ pattern: Buffer.from("0ff0", "hex"), count: 2, inverts: true, isImmediate: false }),
      );
      await run(verify16(0, 8, { block: Buffer.alloc(blockSize, Buffer.from("f00f", "hex")) }));
      await run(sanitizeExitFailureMode());
    });
  });
}

describe("an immediate SANITIZE against our target", () => {
  it("goes on in the background, tells its progress, and ends", async () => {
    const backing = new SlowBacking();
    const target = await IscsiTarget.listen({ address: "127.0.0.1", targetName, backing });
    const session = await connect({ address: "127.0.0.1", port: target.port, targetName, lun: 1 });
    try {
      await session.execute(sanitizeBlockErase());
      const refused = await scsiErrorOf(session.execute(read16(0, 1, Buffer.alloc(512))));
      expect([refused.senseKey, refused.asc, refused.ascq]).to.deep.equal([2, 0x04, 0x1b]);
      expect(refused.sense?.senseKeySpecific).to.deep.equal({ kind: "progress", fraction: 0 });
      expect(await session.execute(requestSense())).to.include({ senseKey: 2, asc: 0x04, ascq: 0x1b });
      backing.release();
      const deadline = Date.now() + 5000;
      while ((await session.execute(requestSense()))?.senseKey !== 0) expect(Date.now()).to.be.lessThan(deadline);
      const data = Buffer.alloc(512, 1);
      await session.execute(read16(0, 1, data));
      expect(data.equals(Buffer.alloc(512))).to.equal(true);
    } finally {
      backing.release();
      await session.logout();
      await target.close();
    }
  });
});
