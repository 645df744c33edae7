// LIO: each SCSI command of the package, its effect checked in the file behind the LUN, its answer against what LIO is known to say.
import { randomBytes } from "node:crypto";
import { expect } from "chai";
import {
  type ConnectOptions,
  compareAndWrite,
  connect,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeUnitSerialNumber,
  formatDesignator,
  formatUnit,
  getLbaStatus,
  type IscsiSession,
  inquiryVpd,
  ModePage,
  modeSense6,
  modeSense10,
  read10,
  read16,
  reportLuns,
  reportSupportedOperationCode,
  requestSense,
  type ScsiCommand,
  ScsiError,
  sanitizeBlockErase,
  startStopUnit,
  synchronizeCache10,
  synchronizeCache16,
  unmap,
  VpdPage,
  verify10,
  verify16,
  write10,
  write16,
  writeSame10,
  writeSame16,
} from "node-iscsi";
import { LIO, type LioMachine } from "./lio-machine.ts";

const BLOCK = LIO.small.blockSize;
/** The region that this file writes to begins at 640 MiB. */
const FIRST_LBA = (640 * 1024 * 1024) / BLOCK;
const UNSUPPORTED = [5, 0x20, 0];
const INVALID_FIELD = [5, 0x24, 0];

/** The tests of this file; `machine` is there when a test runs. */
export function describeLioCommands(machine: () => LioMachine): void {
  const sessions: IscsiSession[] = [];

  const open = async (options: Partial<ConnectOptions> = {}): Promise<IscsiSession> => {
    const session = await connect({
      address: "127.0.0.1",
      port: machine().port,
      targetName: LIO.openTarget,
      ...options,
    });
    sessions.push(session);
    return session;
  };

  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((session) => session.logout()));
  });

  const refusal = async (promise: Promise<unknown>): Promise<ScsiError> => {
    const error = await promise.then(
      () => undefined,
      (cause) => cause,
    );
    expect(error).to.be.instanceOf(ScsiError);
    return error;
  };
  const sense = ({ senseKey, asc, ascq }: ScsiError) => [senseKey, asc, ascq];
  const isOnDisk = async (lba: number, data: Buffer) =>
    (await machine().readDisk("small", lba * BLOCK, data.length)).equals(data);

  describe("commands that ask", () => {
    it("REPORT LUNS", async () => {
      const session = await open();
      const { luns, isTruncated } = await session.executeWithRetry(reportLuns());
      expect(luns.map(({ lun }) => lun)).to.deep.equal([0, 1, 2]);
      expect(luns[1]!.bytes.toString("hex")).to.equal("0001000000000000");
      expect(isTruncated).to.equal(false);
      expect((await session.executeWithRetry(reportLuns(1))).isTruncated).to.equal(true);
    });

    it("INQUIRY: serial number and designators", async () => {
      const session = await open();
      for (const { lun, serial } of [LIO.small, LIO.large, LIO.cached]) {
        const vpd = (page: number) => session.executeWithRetry(inquiryVpd(page), { lun });
        expect(decodeUnitSerialNumber(await vpd(VpdPage.UnitSerialNumber))).to.equal(serial);
        const designators = decodeDeviceIdentification(await vpd(VpdPage.DeviceIdentification));
        expect(designators.map(formatDesignator)).to.include.members([
          // NAA 6, IEEE company 001405h, then the serial number's digits as far as they fit.
          `naa.6001405${serial}`.slice(0, 36),
          `t10.LIO-ORG ${lun === LIO.cached.lun ? "FILEIO" : "IBLOCK"}:${serial}`,
          "relative-port.1",
          `${LIO.openTarget},t,0x0001`,
        ]);
        expect(designators.find(({ type }) => type === 3)).to.include({ association: 0, codeSet: 1 });
      }
    });

    it("INQUIRY: limits and provisioning", async () => {
      const session = await open();
      for (const { lun } of [LIO.small, LIO.large, LIO.cached]) {
        const vpd = (page: number) => session.executeWithRetry(inquiryVpd(page), { lun });
        const limits = decodeBlockLimits(await vpd(VpdPage.BlockLimits));
        expect(limits).to.include({ maximumUnmapDescriptorCount: 1, optimalUnmapGranularity: 1 });
        expect(limits.maximumUnmapLbaCount).to.be.greaterThan(4095);
        expect(limits.maximumWriteSameLength).to.be.greaterThan(4095);
        const provisioning = decodeLogicalBlockProvisioning(await vpd(VpdPage.LogicalBlockProvisioning));
        expect(provisioning).to.include({ canUnmap: true, canWriteSameUnmap: true });
      }
    });

    it("MODE SENSE, 6 and 10: write cache and write protection of each LUN", async () => {
      const open10 = await open();
      const restricted = await open({
        targetName: LIO.chapTarget,
        initiatorName: LIO.oneWayInitiator,
        chap: LIO.chap,
      });
      for (const [session, lun, isWriteProtected] of [
        [open10, LIO.small.lun, false],
        [open10, LIO.cached.lun, false],
        [restricted, LIO.small.lun, false],
        [restricted, LIO.large.lun, true],
      ] as const)
        for (const command of [modeSense6(), modeSense10(), modeSense10({ page: ModePage.Caching })]) {
          const answer = await session.executeWithRetry(command, { lun });
          expect(answer.isWriteProtected).to.equal(isWriteProtected);
          // QEMU's disks have a write cache, and LIO passes that on; the file is opened buffered.
          expect(answer.caching).to.include({ isWriteCacheEnabled: true });
        }
    });

    it("REQUEST SENSE", async () => {
      const session = await open();
      expect(await session.executeWithRetry(requestSense())).to.include({ senseKey: 0, asc: 0, ascq: 0 });
    });

    it("what LIO does not know ends in sense data, and the session goes on", async () => {
      const session = await open();
      const unknown: [ScsiCommand<unknown>, number[]][] = [
        // The operation code exists with another service action.
        [getLbaStatus(0), INVALID_FIELD],
        [sanitizeBlockErase(), UNSUPPORTED],
        [formatUnit(), UNSUPPORTED],
        // It takes START with IMMED alone.
        [startStopUnit({ isStart: false }), INVALID_FIELD],
        [writeSame16(FIRST_LBA, 8, undefined, false), INVALID_FIELD],
      ];
      for (const [command, expected] of unknown) {
        const error = await refusal(session.executeWithRetry(command));
        expect(sense(error), command.name).to.deep.equal(expected);
      }
      await session.executeWithRetry(startStopUnit({ isStart: true, isImmediate: true }));
      // Linux 6.1 lacks it, later kernels have it: either is an answer.
      const support = await session.executeWithRetry(reportSupportedOperationCode(0x93)).then(
        (answer) => answer.support,
        (error) => sense(error),
      );
      expect([UNSUPPORTED, "standard"]).to.deep.include(support);
      await session.testUnitReady();
    });
  });

  describe("commands that change the medium", () => {
    it("READ and WRITE, 10 and 16, see the same blocks", async () => {
      const session = await open();
      const data = randomBytes(4 * BLOCK);
      await session.executeWithRetry(write10(FIRST_LBA, 2, data.subarray(0, 2 * BLOCK)));
      await session.executeWithRetry(write16(FIRST_LBA + 2, 2, data.subarray(2 * BLOCK)));
      const [ten, sixteen] = [Buffer.alloc(data.length), Buffer.alloc(data.length)];
      await session.executeWithRetry(read10(FIRST_LBA, 4, ten));
      await session.executeWithRetry(read16(FIRST_LBA, 4, sixteen));
      expect([ten.equals(data), sixteen.equals(data)]).to.deep.equal([true, true]);
      expect(await isOnDisk(FIRST_LBA, data)).to.equal(true);
    });

    it("WRITE SAME, 10 and 16, repeats a block", async () => {
      const session = await open();
      const [first, second] = [randomBytes(BLOCK), randomBytes(BLOCK)];
      await session.executeWithRetry(writeSame10(FIRST_LBA + 16, 8, first, false));
      await session.executeWithRetry(writeSame16(FIRST_LBA + 24, 8, second, false));
      const expected = Buffer.concat([...Array(8).fill(first), ...Array(8).fill(second)]);
      expect(await isOnDisk(FIRST_LBA + 16, expected)).to.equal(true);
    });

    const gaps: [string, (lba: number, blocks: number) => ScsiCommand<void>][] = [
      ["UNMAP", (lba, blocks) => unmap([{ lba, blocks }])],
      ["WRITE SAME(10) with UNMAP", (lba, blocks) => writeSame10(lba, blocks, Buffer.alloc(BLOCK), true)],
      ["WRITE SAME(16) with UNMAP", (lba, blocks) => writeSame16(lba, blocks, Buffer.alloc(BLOCK), true)],
    ];
    for (const [index, [title, command]] of gaps.entries())
      it(`${title} empties a range, and its neighbours stay`, async () => {
        const session = await open();
        const lba = FIRST_LBA + 256 * (index + 1);
        const data = randomBytes(256 * BLOCK);
        await session.executeWithRetry(write16(lba, 256, data));
        await session.executeWithRetry(command(lba + 64, 128));
        data.fill(0, 64 * BLOCK, 192 * BLOCK);
        const back = Buffer.alloc(data.length);
        await session.executeWithRetry(read16(lba, 256, back));
        expect(back.equals(data)).to.equal(true);
        expect(await isOnDisk(lba, data)).to.equal(true);
      });

    it("UNMAP of more ranges than the limit is refused as a whole", async () => {
      const session = await open();
      const lba = FIRST_LBA + 1100;
      const data = randomBytes(4 * BLOCK);
      await session.executeWithRetry(write16(lba, 4, data));
      const ranges = [
        { lba, blocks: 1 },
        { lba: lba + 2, blocks: 1 },
      ];
      // INVALID FIELD IN PARAMETER LIST.
      expect(sense(await refusal(session.executeWithRetry(unmap(ranges))))).to.deep.equal([5, 0x26, 0]);
      expect(await isOnDisk(lba, data)).to.equal(true);
    });

    it("COMPARE AND WRITE writes only over what is expected", async () => {
      const session = await open();
      const lba = FIRST_LBA + 1200;
      const [before, after] = [randomBytes(BLOCK), randomBytes(BLOCK)];
      await session.executeWithRetry(write16(lba, 1, before));
      const wrong = Buffer.from(before);
      wrong[300] = wrong[300]! ^ 0xff;
      const error = await refusal(session.executeWithRetry(compareAndWrite(lba, 1, wrong, after)));
      // MISCOMPARE DURING VERIFY OPERATION, at the byte that differs.
      expect(sense(error)).to.deep.equal([0x0e, 0x1d, 0]);
      expect(error.sense?.information).to.equal(300n);
      expect(await isOnDisk(lba, before)).to.equal(true);
      await session.executeWithRetry(compareAndWrite(lba, 1, before, after));
      expect(await isOnDisk(lba, after)).to.equal(true);
    });

    it("VERIFY, 10 and 16, sends its data and leaves the medium alone", async () => {
      const lba = FIRST_LBA + 1300;
      // At the second target the data waits for an R2T.
      for (const targetName of [LIO.openTarget, LIO.burstsTarget]) {
        const session = await open({ targetName });
        const data = randomBytes(4 * BLOCK);
        await session.executeWithRetry(write16(lba, 4, data));
        for (const verify of [verify10, verify16]) {
          await session.executeWithRetry(verify(lba, 4));
          // Trap: LIO (Linux 6.1) takes the data and compares nothing: other data gets GOOD as well, without a residual.
          await session.executeWithRetry(verify(lba, 4, { data }));
        }
        const beyond = verify16(LIO.small.bytes / BLOCK, 1);
        expect(sense(await refusal(session.executeWithRetry(beyond)))).to.deep.equal([5, 0x21, 0]);
        expect(await isOnDisk(lba, data)).to.equal(true);
      }
    });

    it("SYNCHRONIZE CACHE, 10 and 16, of everything and of a range", async () => {
      const session = await open();
      for (const lun of [0, 1, 2])
        for (const command of [
          synchronizeCache10(),
          synchronizeCache10({ lba: 8, blocks: 8 }),
          synchronizeCache16(),
          synchronizeCache16({ lba: 8, blocks: 8, isImmediate: true }),
        ])
          await session.executeWithRetry(command, { lun });
    });
  });
}
