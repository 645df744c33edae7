// Our initiator's commands against the real tgtd, one by one; what they change is checked in the file behind the target.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { connect, type IscsiSession, inquiryVpd } from "node-iscsi";
import type { ScsiCommand } from "../../src/scsi/command.ts";
import { compareAndWrite } from "../../src/scsi/compare-and-write.ts";
import { formatDesignator } from "../../src/scsi/format-designator.ts";
import { getLbaStatus } from "../../src/scsi/get-lba-status.ts";
import { inquiry } from "../../src/scsi/inquiry.ts";
import { ModePage, modeSense6, modeSense10, PageControl } from "../../src/scsi/mode-sense.ts";
import { ReservationType } from "../../src/scsi/persistent-reservation.ts";
import {
  readFullReservationStatus,
  readReservation,
  readReservationKeys,
  reportReservationCapabilities,
} from "../../src/scsi/persistent-reserve-in.ts";
import {
  reservationClear,
  reservationPreempt,
  reservationRegister,
  reservationRegisterAndIgnoreExistingKey,
  reservationRelease,
  reservationReserve,
} from "../../src/scsi/persistent-reserve-out.ts";
import { read10 } from "../../src/scsi/read-10.ts";
import { read16 } from "../../src/scsi/read-16.ts";
import { readCapacity16 } from "../../src/scsi/read-capacity.ts";
import { reportLuns } from "../../src/scsi/report-luns.ts";
import { reportSupportedOperationCode } from "../../src/scsi/report-supported-operation-codes.ts";
import { requestSense } from "../../src/scsi/request-sense.ts";
import { sanitizeBlockErase } from "../../src/scsi/sanitize.ts";
import { startStopUnit } from "../../src/scsi/start-stop-unit.ts";
import { synchronizeCache10, synchronizeCache16 } from "../../src/scsi/synchronize-cache.ts";
import { testUnitReady } from "../../src/scsi/test-unit-ready.ts";
import { verify10, verify16 } from "../../src/scsi/verify.ts";
import {
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  decodeUnitSerialNumber,
  VpdPage,
} from "../../src/scsi/vpd-pages.ts";
import { write10 } from "../../src/scsi/write-10.ts";
import { write16 } from "../../src/scsi/write-16.ts";
import { writeSame10 } from "../../src/scsi/write-same-10.ts";
import { writeSame16 } from "../../src/scsi/write-same-16.ts";
import { scsiErrorOf } from "../fakes/error-of.ts";
import { readFileRange } from "../fakes/file-range.ts";
import { Tgtd } from "./tgtd.ts";

const MIB = 1024 * 1024;
const BLOCK = 512;

let tgtd: Tgtd;
let session: IscsiSession;

const run = <T>(command: ScsiCommand<T>, on = session): Promise<T> => on.executeWithRetry(command);

const stored = (lba: number, blocks: number) => readFileRange(tgtd.backingPath, lba * BLOCK, blocks * BLOCK);

function connectToUnit(): Promise<IscsiSession> {
  return connect({ address: "127.0.0.1", port: tgtd.port, targetName: tgtd.targetName, lun: 1 });
}

describe("commands against tgtd", () => {
  before(async () => {
    tgtd = await Tgtd.start({ sizeBytes: 16 * MIB, params: "thin_provisioning=1" });
    session = await connectToUnit();
  });

  after(async () => {
    try {
      await session?.logout();
    } finally {
      await tgtd?.stop();
    }
  });

  describe("what the unit is", () => {
    it("INQUIRY and its pages", async () => {
      const standard = await run(inquiry());
      expect(standard).to.include({ peripheralDeviceType: 0, peripheralQualifier: 0, vendor: "IET" });
      expect(standard.product).to.equal("VIRTUAL-DISK");
      expect(standard.versionDescriptors).to.include(0x0960);
      const supported = decodeSupportedPages(await run(inquiryVpd(VpdPage.SupportedPages)));
      expect([...supported]).to.include.members([0x00, 0x80, 0x83, 0xb0, 0xb2]);
      expect(decodeUnitSerialNumber(await run(inquiryVpd(VpdPage.UnitSerialNumber)))).to.equal("beaf11");
      const designators = decodeDeviceIdentification(await run(inquiryVpd(VpdPage.DeviceIdentification)));
      expect(designators.map(formatDesignator)).to.include("t10.IET     00010001");
      expect(designators.map(formatDesignator).some((text) => /^naa\.[0-9a-f]{16,32}$/.test(text))).to.equal(true);
      const limits = decodeBlockLimits(await run(inquiryVpd(VpdPage.BlockLimits)));
      expect(limits.maximumUnmapLbaCount).to.be.greaterThan(0);
      const provisioning = decodeLogicalBlockProvisioning(await run(inquiryVpd(VpdPage.LogicalBlockProvisioning)));
      expect(provisioning).to.include({ canUnmap: true, canWriteSameUnmap: true });
    });

    it("a page the unit does not have is refused", async () => {
      const error = await scsiErrorOf(run(inquiryVpd(0xb9)));
      expect([error.senseKey, error.asc]).to.deep.equal([5, 0x24]);
    });

    it("REPORT LUNS: the controller and the disk, and a list cut short", async () => {
      const { luns, isTruncated } = await run(reportLuns());
      expect(luns.map((entry) => entry.lun)).to.deep.equal([0, 1]);
      expect(isTruncated).to.equal(false);
      const short = await run(reportLuns(1));
      expect(short.luns).to.have.length(1);
      expect(short.isTruncated).to.equal(true);
    });

    it("READ CAPACITY(16)", async () => {
      expect(await run(readCapacity16())).to.include({ blocks: (16 * MIB) / BLOCK, blockSize: BLOCK, isThin: true });
    });

    it("MODE SENSE(6) and (10) agree on cache and protection", async () => {
      for (const command of [modeSense6(), modeSense10()]) {
        const data = await run(command);
        expect(data.isWriteProtected).to.equal(false);
        expect(data.caching?.isWriteCacheEnabled).to.equal(true);
        expect(data.control).to.include({ isSoftwareWriteProtected: false });
      }
      const only = await run(modeSense10({ page: ModePage.Caching, disablesBlockDescriptors: false }));
      expect([...only.pages.keys()]).to.deep.equal([ModePage.Caching << 8]);
      expect(
        (await run(modeSense6({ page: ModePage.Control, pageControl: PageControl.Changeable }))).control,
      ).to.not.equal(undefined);
    });

    it("REQUEST SENSE with nothing to say, and REPORT SUPPORTED OPERATION CODES", async () => {
      expect(await run(requestSense())).to.include({ senseKey: 0, asc: 0, ascq: 0 });
      const write16Support = await run(reportSupportedOperationCode(0x8a));
      expect(write16Support.support).to.equal("standard");
      expect(write16Support.cdbUsage).to.have.length(16);
      expect(write16Support.cdbUsage[0]).to.equal(0x8a);
    });
  });

  describe("the medium", () => {
    it("READ and WRITE(10) and (16) with FUA and DPO", async () => {
      const data = randomBytes(3 * BLOCK);
      const control = { forceUnitAccess: true, disablePageOut: true };
      await run(write10(7, 3, data, control));
      expect((await stored(7, 3)).equals(data)).to.equal(true);
      const into = Buffer.alloc(data.length);
      await run(read16(7, 3, into, control));
      expect(into.equals(data)).to.equal(true);
      data.reverse();
      await run(write16(7, 3, data, control));
      await run(read10(7, 3, into, control));
      expect(into.equals(data)).to.equal(true);
    });

    it("VERIFY(10) and (16): readable, equal, different", async () => {
      const data = randomBytes(2 * BLOCK);
      await run(write16(20, 2, data));
      for (const verify of [verify10, verify16]) {
        await run(verify(20, 2));
        await run(verify(20, 2, { data }));
        const other = Buffer.from(data);
        other[700] = (other[700] ?? 0) ^ 1;
        const error = await scsiErrorOf(run(verify(20, 2, { data: other })));
        expect([error.senseKey, error.asc]).to.deep.equal([0xe, 0x1d]);
      }
    });

    it("WRITE SAME(10) and (16), with and without UNMAP", async () => {
      const block = randomBytes(BLOCK);
      await run(writeSame10(60, 5, block, false));
      expect((await stored(60, 5)).equals(Buffer.alloc(5 * BLOCK, block))).to.equal(true);
      await run(writeSame16(61, 3, Buffer.alloc(BLOCK), true));
      const expected = Buffer.concat([block, Buffer.alloc(3 * BLOCK), block]);
      expect((await stored(60, 5)).equals(expected)).to.equal(true);
    });

    it("SYNCHRONIZE CACHE of all, of a range, and immediate", async () => {
      await run(synchronizeCache10());
      await run(synchronizeCache10({ lba: 8, blocks: 8 }));
      await run(synchronizeCache16({ lba: 8, blocks: 8 }));
      // tgtd knows no IMMED, and refuses it.
      const error = await scsiErrorOf(run(synchronizeCache16({ isImmediate: true })));
      expect([error.senseKey, error.asc]).to.deep.equal([5, 0x24]);
    });

    it("GET LBA STATUS walks the unit", async () => {
      const [first] = await run(getLbaStatus(0));
      expect(first?.lba).to.equal(0);
      expect(first?.blocks).to.be.greaterThan(0);
    });

    it("START STOP UNIT stops and starts", async () => {
      await run(startStopUnit({ isStart: false }));
      await run(startStopUnit({ isStart: true }));
      await run(testUnitReady());
    });

    it("commands tgtd does not have are refused by name", async () => {
      const block = Buffer.alloc(BLOCK);
      for (const command of [sanitizeBlockErase(), compareAndWrite(40, 1, block, block)]) {
        const error = await scsiErrorOf(run(command));
        expect([error.senseKey, error.asc, error.ascq]).to.deep.equal([5, 0x20, 0]);
        expect(error.message).to.contain(command.name).and.contain("invalid command operation code");
      }
    });
  });

  describe("persistent reservations of two sessions", () => {
    const ours = 0x1122334455667788n;
    const theirs = 0xfeedn;
    let other: IscsiSession;

    before(async () => {
      other = await connectToUnit();
    });

    after(async () => {
      await run(reservationRegisterAndIgnoreExistingKey(ours));
      await run(reservationClear(ours));
      await other?.logout();
    });

    it("a reservation fences the other session off until it is preempted", async () => {
      const type = ReservationType.WriteExclusiveRegistrantsOnly;
      await run(reservationRegister(0n, ours));
      expect((await run(readReservationKeys())).keys).to.deep.equal([ours]);
      await run(reservationReserve(ours, type));
      expect((await run(readReservation())).reservation).to.deep.equal({ key: ours, type, scope: 0 });
      const data = randomBytes(BLOCK);
      expect((await scsiErrorOf(run(write16(100, 1, data), other))).statusText).to.equal("RESERVATION CONFLICT");
      await run(write16(100, 1, data));
      await run(read16(100, 1, Buffer.alloc(BLOCK)), other);

      await run(reservationRegister(0n, theirs), other);
      await run(write16(100, 1, data), other);
      expect((await run(readReservationKeys())).keys).to.have.members([ours, theirs]);
      await run(reservationPreempt(theirs, ours, ReservationType.ExclusiveAccess), other);
      expect((await run(readReservation(), other)).reservation).to.include({ key: theirs, type: 3 });
      const read = () => scsiErrorOf(run(read16(100, 1, Buffer.alloc(BLOCK))));
      // Once as UNIT ATTENTION, reservations or registrations preempted, which is told and not retried.
      const told = await read();
      expect([told.asc, told.statusText]).to.deep.equal([0x2a, "CHECK CONDITION"]);
      expect((await read()).statusText).to.equal("RESERVATION CONFLICT");

      await run(reservationRelease(theirs, ReservationType.ExclusiveAccess), other);
      await run(read16(100, 1, Buffer.alloc(BLOCK)));
      await run(reservationRegister(theirs, 0n), other);
      expect((await run(readReservationKeys())).keys).to.deep.equal([]);
    });

    it("a wrong key is a conflict", async () => {
      const error = await scsiErrorOf(run(reservationRegister(99n, 1n)));
      expect(error.statusText).to.equal("RESERVATION CONFLICT");
    });

    it("REPORT CAPABILITIES; READ FULL STATUS is refused", async () => {
      const capabilities = await run(reportReservationCapabilities());
      expect([...(capabilities.types ?? [])]).to.have.members([1, 3, 5, 6, 7, 8]);
      // tgtd has neither this nor PREEMPT AND ABORT: our own target and LIO are asked in other suites.
      const error = await scsiErrorOf(run(readFullReservationStatus()));
      expect([error.senseKey, error.asc]).to.deep.equal([5, 0x24]);
    });
  });
});
