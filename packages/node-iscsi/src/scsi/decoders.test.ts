// Parameter data against the tables of SPC-4 and SBC-4, written out by hand; and noise, which ends in ProtocolError or in a result.
import { expect } from "chai";
import fc from "fast-check";
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { formatDesignator } from "./format-designator.ts";
import { getLbaStatus } from "./get-lba-status.ts";
import { inquiry, inquiryVpd } from "./inquiry.ts";
import { modeSense6, modeSense10 } from "./mode-sense.ts";
import {
  readFullReservationStatus,
  readReservation,
  readReservationKeys,
  reportReservationCapabilities,
} from "./persistent-reserve-in.ts";
import { readCapacity10, readCapacity16 } from "./read-capacity.ts";
import { decodeLun, reportLuns } from "./report-luns.ts";
import { reportSupportedOperationCode } from "./report-supported-operation-codes.ts";
import { requestSense } from "./request-sense.ts";
import {
  decodeBlockDeviceCharacteristics,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  decodeUnitSerialNumber,
  NO_BLOCK_LIMITS,
} from "./vpd-pages.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
const ascii = (text: string) => Buffer.from(text, "latin1").toString("hex");

describe("INQUIRY data", () => {
  it("decodes every field of the standard data (SPC-4 table 142)", () => {
    const head = `20 80 06 12 5b 19 00 02 ${ascii("VENDOR  ")} ${ascii("A PRODUCT       ")} ${ascii("1.0 ")}`;
    const data = bytes(`${head} ${"00".repeat(22)} 00a0 0960 ${"00".repeat(12)} ${"00".repeat(22)}`);
    expect(inquiry().decode(data)).to.deep.equal({
      peripheralDeviceType: 0,
      peripheralQualifier: 1,
      isRemovable: true,
      version: 6,
      isHierarchical: true,
      targetPortGroupSupport: 1,
      hasThirdPartyCopy: true,
      hasProtection: true,
      hasCommandQueue: true,
      vendor: "VENDOR",
      product: "A PRODUCT",
      revision: "1.0",
      versionDescriptors: [0x00a0, 0x0960],
    });
    expect(() => inquiry().decode(data.subarray(0, 35))).to.throw(ProtocolError);
  });

  it("refuses a VPD page that was not asked for", () => {
    expect(inquiryVpd(0x80).decode(bytes("00 80 0002 3132 ffff")).toString()).to.equal("12");
    expect(() => inquiryVpd(0x80).decode(bytes("00 83 0002 3132"))).to.throw(ProtocolError, "page 0x83");
  });
});

describe("VPD pages", () => {
  it("00h and 80h", () => {
    expect([...decodeSupportedPages(bytes("00 80 b0"))]).to.deep.equal([0, 0x80, 0xb0]);
    expect(decodeUnitSerialNumber(bytes(`${ascii("  S-1 ")}0000`))).to.equal("S-1");
  });

  it("83h: one designator of each type, as text (SPC-4 7.8.6)", () => {
    const page = bytes(`
      02 01 00 0c ${ascii("VENDOR  ab12")}
      01 02 00 08 0002c90300001234
      01 03 00 10 6001405a1b2c3d4e5f60718293a4b5c6
      01 94 00 04 00000002
      01 95 00 04 00000101
      53 a8 00 08 ${ascii("iqn.a:b")}00
      01 0a 00 12 1000 00112233445566778899aabbccddeeff`);
    const designators = decodeDeviceIdentification(page);
    expect(designators.map(formatDesignator)).to.deep.equal([
      "t10.VENDOR  ab12",
      "eui.0002c90300001234",
      "naa.6001405a1b2c3d4e5f60718293a4b5c6",
      "relative-port.2",
      "target-port-group.257",
      "iqn.a:b",
      "uuid.00112233-4455-6677-8899-aabbccddeeff",
    ]);
    expect(designators.map(({ association }) => association)).to.deep.equal([0, 0, 0, 1, 1, 2, 0]);
    expect(() => decodeDeviceIdentification(page.subarray(0, 10))).to.throw(ProtocolError);
  });

  it("83h: an identifier cannot disturb a terminal", () => {
    const [designator] = decodeDeviceIdentification(bytes(`02 01 00 09 ${ascii("V\x1b[31m\r\nX")}`));
    expect(designator && formatDesignator(designator)).to.equal("t10.V?[31m??X");
  });

  it("B0h: every field of SBC-4 table 245", () => {
    const page = bytes(`01 80 0008 00000800 00000100 00000200 00100000 00000040 00000010 80000003 0000000100000000
      00000011 00000012 00000013 00000014 00000015`);
    expect(decodeBlockLimits(page)).to.deep.equal({
      isWriteSameNonZero: true,
      maximumCompareAndWriteLength: 128,
      optimalTransferLengthGranularity: 8,
      maximumTransferLength: 0x800,
      optimalTransferLength: 0x100,
      maximumPrefetchLength: 0x200,
      maximumUnmapLbaCount: 0x100000,
      maximumUnmapDescriptorCount: 64,
      optimalUnmapGranularity: 16,
      unmapGranularityAlignment: 3,
      maximumWriteSameLength: 0xffffffff,
      maximumAtomicTransferLength: 0x11,
      atomicAlignment: 0x12,
      atomicTransferLengthGranularity: 0x13,
      maximumAtomicTransferLengthWithBoundary: 0x14,
      maximumAtomicBoundarySize: 0x15,
    });
    // The short form of SBC-2 says nothing of the rest, and an alignment without UGAVALID is none.
    expect(decodeBlockLimits(page.subarray(0, 12))).to.deep.equal({
      ...NO_BLOCK_LIMITS,
      isWriteSameNonZero: true,
      maximumCompareAndWriteLength: 128,
      optimalTransferLengthGranularity: 8,
      maximumTransferLength: 0x800,
      optimalTransferLength: 0x100,
    });
    page[28] = 0;
    expect(decodeBlockLimits(page).unmapGranularityAlignment).to.equal(0);
  });

  it("B1h and B2h", () => {
    expect(decodeBlockDeviceCharacteristics(bytes("1c20 00 92 02"))).to.deep.equal({
      mediumRotationRate: 7200,
      formFactor: 2,
      writeAfterBlockErase: 2,
      writeAfterCryptoErase: 1,
      isForceUnitAccessBehavior: true,
    });
    expect(decodeLogicalBlockProvisioning(bytes("00 e6 02 00"))).to.deep.equal({
      canUnmap: true,
      canWriteSameUnmap: true,
      canWriteSame10Unmap: true,
      readsZeroes: true,
      canAnchor: true,
      provisioningType: 2,
    });
  });
});

describe("REPORT LUNS data", () => {
  it("knows the addressing methods of SAM-5 4.7.7", () => {
    const lunOf = (hex: string) => {
      const { method, lun } = decodeLun(bytes(hex));
      return [method, lun];
    };
    expect(lunOf("00ff 0000 0000 0000")).to.deep.equal(["peripheral device", 255]);
    // Bus 1: a unit behind the target.
    expect(lunOf("0105 0007 0000 0000")).to.deep.equal(["peripheral device", undefined]);
    expect(lunOf("4100 0000 0000 0000")).to.deep.equal(["flat space", 256]);
    expect(lunOf("7fff 0000 0000 0000")).to.deep.equal(["flat space", 16_383]);
    expect(lunOf("8123 0000 0000 0000")).to.deep.equal(["logical unit", undefined]);
    expect(lunOf("c101 0000 0000 0000")).to.deep.equal(["well known", undefined]);
    expect(lunOf("d201 0203 0000 0000")).to.deep.equal(["extended", 0x010203]);
    expect(lunOf("e200 0000 0001 0000")).to.deep.equal(["extended", undefined]);
  });

  it("reads many LUNs and says when the list was cut", () => {
    const list = Buffer.alloc(8 + 300 * 8);
    list.writeUInt32BE(300 * 8, 0);
    for (let lun = 0; lun < 300; lun += 1) list.writeUInt16BE(lun < 256 ? lun : 0x4000 | lun, 8 + lun * 8);
    const { luns, isTruncated } = reportLuns().decode(list);
    expect(luns.map((entry) => entry.lun)).to.deep.equal(Array.from({ length: 300 }, (_, lun) => lun));
    expect(isTruncated).to.equal(false);
    expect(reportLuns(2).decode(list.subarray(0, 24))).to.include({ isTruncated: true });
    expect(reportLuns(2).decode(list.subarray(0, 24)).luns).to.have.length(2);
  });
});

describe("READ CAPACITY data", () => {
  it("(16): every field of SBC-4 table 85", () => {
    const data = bytes(`0000000000ffffff 00001000 05 13 c1 02 ${"00".repeat(16)}`);
    expect(readCapacity16().decode(data)).to.deep.equal({
      blocks: 0x1000000,
      blockSize: 4096,
      isThin: true,
      readsZeroes: true,
      physicalBlockExponent: 3,
      lowestAlignedLba: 0x0102,
      protectionType: 3,
    });
  });

  it("a last block beyond 2^53 is refused, not rounded", () => {
    for (const last of ["001fffffffffffff", "0020000000000000", "ffffffffffffffff"])
      expect(() => readCapacity16().decode(bytes(`${last} 00000200`))).to.throw(ProtocolError, "too large");
  });
});

describe("MODE SENSE data", () => {
  const caching = `88 12 04 ${"00".repeat(17)}`;
  const control = "0a 0a 24 10 08 40 0000 0014 0000";

  it("(6): header, one block descriptor, two pages (SPC-4 table 446)", () => {
    const data = modeSense6().decode(bytes(`2b 00 90 08 0000100000000200 ${caching} ${control}`));
    expect(data).to.include({ isWriteProtected: true, supportsDpoFua: true, mediumType: 0 });
    expect(data.caching).to.deep.equal({ isWriteCacheEnabled: true, isReadCacheDisabled: false });
    expect(data.control).to.deep.equal({
      isSoftwareWriteProtected: true,
      taskSetType: 1,
      usesDescriptorSense: true,
      queueAlgorithmModifier: 1,
      reportsTaskAborted: true,
      unitAttentionInterlock: 0,
      busyTimeoutPeriod: 20,
    });
  });

  it("(10): a long block descriptor (LONGLBA) and a page with a subpage", () => {
    const subpage = "4a 01 0002 abcd";
    const body = `${"00".repeat(16)} ${subpage} ${caching}`;
    const data = modeSense10().decode(bytes(`0030 00 00 01 00 0010 ${body}`));
    expect(data.caching?.isWriteCacheEnabled).to.equal(true);
    expect(data.pages.get(0x0a01)?.toString("hex")).to.equal("4a010002abcd");
    expect(data.control).to.equal(undefined);
  });

  it("an answer cut in the middle of a page keeps the whole ones", () => {
    const data = modeSense6().decode(bytes(`23 00 00 00 ${caching} 0a 0a 24`));
    expect([...data.pages.keys()]).to.deep.equal([0x0800]);
  });
});

describe("GET LBA STATUS data", () => {
  it("gives the runs in order (SBC-4 table 66)", () => {
    const runs = bytes(`00000034 00000000
      0000000000000010 00000008 00 000000 0000000000000018 00000001 01 000000 0000000000000019 ffffffff 02 000000`);
    expect(getLbaStatus(0x10).decode(runs)).to.deep.equal([
      { lba: 0x10, blocks: 8, status: "mapped" },
      { lba: 0x18, blocks: 1, status: "deallocated" },
      { lba: 0x19, blocks: 0xffffffff, status: "anchored" },
    ]);
  });

  it("refuses runs that would make a walk loop or skip", () => {
    const one = (lba: string, blocks: string) => bytes(`00000014 00000000 ${lba} ${blocks} 00 000000`);
    expect(() => getLbaStatus(0x10).decode(one("0000000000000010", "00000000"))).to.throw(ProtocolError);
    expect(() => getLbaStatus(0x10).decode(one("0000000000000011", "00000001"))).to.throw(ProtocolError);
  });
});

describe("PERSISTENT RESERVE IN data", () => {
  it("keys and reservation (SPC-4 tables 163, 165)", () => {
    expect(readReservationKeys().decode(bytes("00000005 00000010 1122334455667788 0000000000000009"))).to.deep.equal({
      generation: 5,
      keys: [0x1122334455667788n, 9n],
    });
    expect(() => readReservationKeys().decode(bytes("00000005 00000010 1122334455667788"))).to.throw(ProtocolError);
    expect(readReservation().decode(bytes("00000005 00000000"))).to.deep.equal({
      generation: 5,
      reservation: undefined,
    });
    const held = bytes("00000005 00000010 1122334455667788 00000000 00 05 0000");
    expect(readReservation().decode(held).reservation).to.deep.equal({ key: 0x1122334455667788n, scope: 0, type: 5 });
  });

  it("capabilities (SPC-4 table 167)", () => {
    const capabilities = reportReservationCapabilities().decode(bytes("0008 1d 81 ea 01 0000"));
    expect(capabilities).to.include({
      isCompatibleReservationHandling: true,
      canSpecifyInitiatorPorts: true,
      canRegisterAllTargetPorts: true,
      canPersistThroughPowerLoss: true,
      isPersistThroughPowerLossActive: true,
    });
    expect([...(capabilities.types ?? [])]).to.deep.equal([1, 3, 5, 6, 7, 8]);
    expect(reportReservationCapabilities().decode(bytes("0008 00 00 00 00 0000")).types).to.equal(undefined);
  });

  it("full status with an iSCSI TransportID (SPC-4 tables 169, 562)", () => {
    const name = `${ascii("iqn.a,i,0x80")}00000000`;
    const data = bytes(`00000001 0000002c 0000000000000007 00000000 01 03 00000000 0001 00000014 45 00 0010 ${name}`);
    expect(readFullReservationStatus().decode(data).registrations).to.deep.equal([
      {
        key: 7n,
        isHolder: true,
        isAllTargetPorts: false,
        type: 3,
        relativeTargetPort: 1,
        initiator: "iqn.a,i,0x80",
      },
    ]);
  });
});

describe("REPORT SUPPORTED OPERATION CODES data", () => {
  it("(SPC-4 table 289)", () => {
    const decode = (hex: string) => reportSupportedOperationCode(0x89).decode(bytes(hex));
    expect(decode("00 01 0000")).to.deep.equal({ support: "unsupported", cdbUsage: Buffer.alloc(0) });
    expect(decode("00 03 0006 120000000000")).to.deep.equal({ support: "standard", cdbUsage: bytes("120000000000") });
    expect(decode("00 00 0000").support).to.equal("unknown");
    expect(() => decode("00 03 0010 12")).to.throw(ProtocolError);
  });
});

describe("noise", () => {
  const commands: ScsiCommand<unknown>[] = [
    inquiry(),
    inquiryVpd(0x83),
    reportLuns(),
    readCapacity10(),
    readCapacity16(),
    modeSense6(),
    modeSense10(),
    getLbaStatus(0),
    readReservationKeys(),
    readReservation(),
    reportReservationCapabilities(),
    readFullReservationStatus(),
    reportSupportedOperationCode(0),
    requestSense(),
  ];
  const decoders: [string, (data: Buffer) => unknown][] = [
    ...commands.map((command): [string, (data: Buffer) => unknown] => [command.name, (data) => command.decode(data)]),
    ["page 80h", decodeUnitSerialNumber],
    ["page 83h", (data) => decodeDeviceIdentification(data).map(formatDesignator)],
    ["page B0h", decodeBlockLimits],
    ["page B1h", decodeBlockDeviceCharacteristics],
    ["page B2h", decodeLogicalBlockProvisioning],
  ];
  // Small numbers are likely lengths: they lead further into a decoder than evenly spread ones.
  const noise = fc.array(fc.oneof(fc.nat(8), fc.nat(255)), { maxLength: 120 });
  for (const [name, decode] of decoders)
    it(`${name} throws ProtocolError or nothing`, () => {
      fc.assert(
        fc.property(noise, (input) => {
          try {
            decode(Buffer.from(input));
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
          }
        }),
        { numRuns: 500 },
      );
    });
});
