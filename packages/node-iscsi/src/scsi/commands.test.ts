// CDBs byte by byte. Expected hex is written out from the CDB tables of SPC-4 6 and SBC-4 5, named at each row.
import { expect } from "chai";
import fc from "fast-check";
import { InvalidArgumentError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { compareAndWrite } from "./compare-and-write.ts";
import { formatUnit } from "./format-unit.ts";
import { getLbaStatus } from "./get-lba-status.ts";
import { inquiry, inquiryVpd } from "./inquiry.ts";
import { modeSense6, modeSense10, PageControl } from "./mode-sense.ts";
import { ReservationType } from "./persistent-reservation.ts";
import { readFullReservationStatus, readReservation, readReservationKeys } from "./persistent-reserve-in.ts";
import {
  reservationClear,
  reservationPreempt,
  reservationRegister,
  reservationRegisterAndIgnoreExistingKey,
  reservationRelease,
  reservationReserve,
} from "./persistent-reserve-out.ts";
import { read10 } from "./read-10.ts";
import { read16 } from "./read-16.ts";
import { readCapacity10, readCapacity16 } from "./read-capacity.ts";
import { reportLuns } from "./report-luns.ts";
import { reportSupportedOperationCode } from "./report-supported-operation-codes.ts";
import { requestSense } from "./request-sense.ts";
import {
  sanitizeBlockErase,
  sanitizeCryptographicErase,
  sanitizeExitFailureMode,
  sanitizeOverwrite,
} from "./sanitize.ts";
import { PowerCondition, startStopUnit } from "./start-stop-unit.ts";
import { synchronizeCache10, synchronizeCache16 } from "./synchronize-cache.ts";
import { testUnitReady } from "./test-unit-ready.ts";
import { unmap } from "./unmap.ts";
import { verify10, verify16 } from "./verify.ts";
import { write10 } from "./write-10.ts";
import { write16 } from "./write-16.ts";
import { writeSame10 } from "./write-same-10.ts";
import { writeSame16 } from "./write-same-16.ts";

const block = Buffer.alloc(512);
const two = Buffer.alloc(1024);
const both = { forceUnitAccess: true, disablePageOut: true };
const WE = ReservationType.WriteExclusive;
const KEY = 0x0102030405060708n;

const rows: [command: ScsiCommand<unknown>, cdb: string, dataOut?: string][] = [
  // SPC-4 table 361, 140, 137, 266; allocation 04FFh, see the trap in inquiry.ts.
  [testUnitReady(), "00 00 00 00 00 00"],
  [inquiry(), "12 00 00 00 60 00"],
  [inquiryVpd(0xb0), "12 01 b0 04 ff 00"],
  [requestSense(), "03 00 00 00 fc 00"],
  [reportLuns(1), "a0 00 00 00 00 00 00 00 00 10 00 00"],
  // SBC-4 tables for READ CAPACITY (10), (16): service action 10h, allocation 32.
  [readCapacity10(), "25 00 00000000 00 00 00 00"],
  [readCapacity16(), "9e 10 0000000000000000 00000020 00 00"],
  [readCapacity16(0x400000), "9e 10 0000000000000000 00400000 00 00"],
  // READ and WRITE: DPO is bit 4, FUA bit 3 of byte 1.
  [read10(0x01020304, 2, two, both), "28 18 01020304 00 0002 00"],
  [read16(0x1f_ffff_ffff_ffff, 2, two), "88 00 001fffffffffffff 00000002 00 00"],
  [write10(0xffffffff, 1, block, { forceUnitAccess: true }), "2a 08 ffffffff 00 0001 00"],
  [write16(0x123456789a, 1, block, { disablePageOut: true }), "8a 10 000000123456789a 00000001 00 00"],
  // WRITE SAME: UNMAP is bit 3, NDOB bit 0 of byte 1.
  [writeSame10(5, 0x1234, block, true), "41 08 00000005 00 1234 00"],
  [writeSame16(5, 0x12345678, block, false), "93 00 0000000000000005 12345678 00 00"],
  [writeSame16(5, 1, undefined, true), "93 09 0000000000000005 00000001 00 00"],
  // UNMAP: data length 38, descriptor length 32, two descriptors.
  [
    unmap([
      { lba: 1, blocks: 2 },
      { lba: 0x100000000, blocks: 0xffffffff },
    ]),
    "42 00 00000000 00 0028 00",
    "0026 0020 00000000 0000000000000001 00000002 00000000 0000000100000000 ffffffff 00000000",
  ],
  // VERIFY: DPO is bit 4, BYTCHK bits 2-1 of byte 1.
  [verify10(7, 2), "2f 10 00000007 00 0002 00"],
  [verify10(7, 2, { data: two }), "2f 12 00000007 00 0002 00"],
  [verify16(7, 9, { block }), "8f 16 0000000000000007 00000009 00 00"],
  // COMPARE AND WRITE: NUMBER OF LOGICAL BLOCKS is byte 13.
  [
    compareAndWrite(7, 1, Buffer.from("aa", "hex"), Buffer.from("bb", "hex")),
    "89 00 0000000000000007 000000 01 00 00",
    "aabb",
  ],
  // SYNCHRONIZE CACHE: IMMED is bit 1 of byte 1.
  [synchronizeCache10(), "35 00 00000000 00 0000 00"],
  [synchronizeCache10({ lba: 8, blocks: 3, isImmediate: true }), "35 02 00000008 00 0003 00"],
  [synchronizeCache16({ lba: 8, blocks: 3 }), "91 00 0000000000000008 00000003 00 00"],
  // MODE SENSE: DBD is bit 3 of byte 1, PC bits 7-6 of byte 2.
  [modeSense6(), "1a 08 3f 00 fc 00"],
  [modeSense6({ page: 8, pageControl: PageControl.Default, disablesBlockDescriptors: false }), "1a 00 88 00 fc 00"],
  [modeSense10({ page: 0x0a, subpage: 1 }), "5a 08 0a 01 000000 1000 00"],
  [getLbaStatus(0x10, 2), "9e 12 0000000000000010 00000028 00 00"],
  // START STOP UNIT: POWER CONDITION bits 7-4, LOEJ bit 1, START bit 0 of byte 4.
  [startStopUnit({ isStart: true }), "1b 00 00 00 01 00"],
  [startStopUnit({ isStart: false, loadsOrEjects: true, isImmediate: true }), "1b 01 00 00 02 00"],
  [startStopUnit({ isStart: true, powerCondition: PowerCondition.Standby }), "1b 00 00 00 30 00"],
  // SANITIZE: IMMED bit 7, AUSE bit 5 of byte 1; overwrite: INVERT bit 7, count bits 4-0, pattern length.
  [sanitizeBlockErase(), "48 82 0000000000 0000 00"],
  [sanitizeCryptographicErase({ isImmediate: false, allowsUnrestrictedExit: true }), "48 23 0000000000 0000 00"],
  [sanitizeExitFailureMode(), "48 1f 0000000000 0000 00"],
  [
    sanitizeOverwrite({ pattern: Buffer.from("55", "hex"), count: 3, inverts: true }),
    "48 81 0000000000 0005 00",
    "83 00 0001 55",
  ],
  // FORMAT UNIT: FMTDATA is bit 4 of byte 1; IMMED bit 1 of the header's byte 1.
  [formatUnit(), "04 10 00 00 00 00", "00 02 0000"],
  [formatUnit({ isImmediate: false }), "04 00 00 00 00 00"],
  [readReservationKeys(), "5e 00 0000000000 2000 00"],
  [readReservation(), "5e 01 0000000000 2000 00"],
  [readFullReservationStatus(), "5e 03 0000000000 2000 00"],
  // PERSISTENT RESERVE OUT: key, service action key, 4 obsolete bytes, APTPL in bit 0 of byte 20.
  [
    reservationRegister(0n, KEY, { persistsThroughPowerLoss: true }),
    "5f 00 00 0000 00000018 00",
    "0000000000000000 0102030405060708 00000000 01 000000",
  ],
  [
    reservationRegisterAndIgnoreExistingKey(KEY),
    "5f 06 00 0000 00000018 00",
    "0000000000000000 0102030405060708 00000000 00 000000",
  ],
  [reservationReserve(KEY, WE), "5f 01 01 0000 00000018 00", "0102030405060708 0000000000000000 00000000 00 000000"],
  [reservationRelease(KEY, WE), "5f 02 01 0000 00000018 00", "0102030405060708 0000000000000000 00000000 00 000000"],
  [reservationClear(KEY), "5f 03 00 0000 00000018 00", "0102030405060708 0000000000000000 00000000 00 000000"],
  [
    reservationPreempt(KEY, 9n, WE),
    "5f 04 01 0000 00000018 00",
    "0102030405060708 0000000000000009 00000000 00 000000",
  ],
  [
    reservationPreempt(KEY, 9n, WE, true),
    "5f 05 01 0000 00000018 00",
    "0102030405060708 0000000000000009 00000000 00 000000",
  ],
  [reportSupportedOperationCode(0x89), "a3 0c 01 89 0000 00000040 00 00"],
  [reportSupportedOperationCode(0x9e, 0x12), "a3 0c 02 9e 0012 00000040 00 00"],
];

/** Running these twice may fail, or may undo what another initiator did in between. */
const NOT_IDEMPOTENT = /^(COMPARE AND WRITE|PERSISTENT RESERVE OUT|SANITIZE|FORMAT UNIT|START STOP UNIT|REQUEST SENSE)/;

describe("command factories", () => {
  for (const [command, cdb, dataOut] of rows) {
    const hex = (text: string) => text.replaceAll(" ", "");
    it(`${command.name}: ${cdb}`, () => {
      expect(command.cdb.toString("hex")).to.equal(hex(cdb));
      if (dataOut !== undefined) expect(command.dataOut?.toString("hex")).to.equal(hex(dataOut));
      expect(command.isIdempotent === true).to.equal(!NOT_IDEMPOTENT.test(command.name));
      expect(command.dataIn !== undefined && command.dataOut !== undefined).to.equal(false);
    });
  }

  it("sends the verified and compared data as it is", () => {
    expect(verify10(7, 2, { data: two }).dataOut).to.equal(two);
    expect(verify16(7, 9, { block }).dataOut).to.equal(block);
    expect(writeSame16(5, 1, undefined, true).dataOut).to.equal(undefined);
  });
});

describe("arguments that no field can hold", () => {
  const many = Array.from({ length: 3 }, () => ({ lba: 0, blocks: 10 }));
  const attempts: [title: string, attempt: () => unknown][] = [
    ["READ(10) above 32 bits", () => read10(2 ** 32, 1, block)],
    ["READ(10) of 65536 blocks", () => read10(0, 65_536, Buffer.alloc(65_536))],
    ["READ(16) above 2^53-1", () => read16(2 ** 53, 1, block)],
    ["READ(16) of a fraction", () => read16(0.5, 1, block)],
    ["WRITE(16) at a negative address", () => write16(-1, 1, block)],
    ["WRITE(16) at NaN", () => write16(Number.NaN, 1, block)],
    ["WRITE(16) of data that is no multiple", () => write16(0, 3, block)],
    ["WRITE(16) without data", () => write16(0, 1, Buffer.alloc(0))],
    ["WRITE SAME(16) of 2^32 blocks", () => writeSame16(0, 2 ** 32, block, false)],
    ["WRITE SAME(10) of 65536 blocks", () => writeSame10(0, 65_536, block, false)],
    ["UNMAP above 2^53-1", () => unmap([{ lba: 2 ** 53, blocks: 1 }])],
    ["UNMAP of 2^32 blocks", () => unmap([{ lba: 0, blocks: 2 ** 32 }])],
    ["UNMAP of more ranges than the list can hold", () => unmap(new Array(4096).fill({ lba: 0, blocks: 1 }))],
    [
      "UNMAP beyond the descriptor limit",
      () => unmap(many, { maximumUnmapDescriptorCount: 2, maximumUnmapLbaCount: 0 }),
    ],
    ["UNMAP beyond the block limit", () => unmap(many, { maximumUnmapDescriptorCount: 0, maximumUnmapLbaCount: 29 })],
    ["VERIFY of data that is no multiple", () => verify16(0, 3, { data: block })],
    ["VERIFY against nothing", () => verify16(0, 3, { block: Buffer.alloc(0) })],
    ["COMPARE AND WRITE of 256 blocks", () => compareAndWrite(0, 256, Buffer.alloc(256), Buffer.alloc(256))],
    ["COMPARE AND WRITE of unequal halves", () => compareAndWrite(0, 1, block, two)],
    ["SYNCHRONIZE CACHE(10) above 32 bits", () => synchronizeCache10({ lba: 2 ** 32 })],
    ["INQUIRY page 100h", () => inquiryVpd(0x100)],
    ["MODE SENSE page 40h", () => modeSense6({ page: 0x40 })],
    ["REPORT LUNS without room", () => reportLuns(0)],
    ["GET LBA STATUS without room", () => getLbaStatus(0, 0)],
    ["a reservation key of 9 bytes", () => reservationRegister(0n, 1n << 64n)],
    ["a negative reservation key", () => reservationClear(-1n)],
    ["SANITIZE with 32 passes", () => sanitizeOverwrite({ pattern: block, count: 32 })],
    ["SANITIZE without a pattern", () => sanitizeOverwrite({ pattern: Buffer.alloc(0) })],
    ["operation code 100h", () => reportSupportedOperationCode(0x100)],
  ];
  for (const [title, attempt] of attempts) it(title, () => expect(attempt).to.throw(InvalidArgumentError));

  it("UNMAP within its limits, and limits of 0, which are none", () => {
    unmap(many, { maximumUnmapDescriptorCount: 3, maximumUnmapLbaCount: 30 });
    unmap(many, { maximumUnmapDescriptorCount: 0, maximumUnmapLbaCount: 0 });
  });

  it("any number either fits its field unchanged or is refused", () => {
    const property = fc.property(fc.oneof(fc.double(), fc.maxSafeInteger()), (lba) => {
      try {
        const { cdb } = write16(lba, 1, block);
        expect(Number(cdb.readBigUInt64BE(2))).to.equal(lba + 0);
      } catch (error) {
        expect(error).to.be.instanceOf(InvalidArgumentError);
        expect(Number.isSafeInteger(lba) && lba >= 0).to.equal(false);
      }
    });
    fc.assert(property);
  });
});
