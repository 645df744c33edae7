// Vital product data pages: 00h supported pages, 80h serial number, 83h identification (SPC-4 7.8), B0h limits,
// B1h characteristics, B2h provisioning (SBC-4 6.6). Decoders take the page without its 4-byte header.
import { requireBytes } from "./fields.ts";

export const VpdPage = {
  SupportedPages: 0x00,
  UnitSerialNumber: 0x80,
  DeviceIdentification: 0x83,
  BlockLimits: 0xb0,
  BlockDeviceCharacteristics: 0xb1,
  LogicalBlockProvisioning: 0xb2,
} as const;

/** Page 00h: the page codes the target has. */
export function decodeSupportedPages(page: Buffer): ReadonlySet<number> {
  return new Set(page);
}

/** Page 80h: the serial number without its padding; an empty text when the unit has none. */
export function decodeUnitSerialNumber(page: Buffer): string {
  return page
    .toString("latin1")
    .replace(/[\0 ]+$/, "")
    .trimStart();
}

/** One designation descriptor of page 83h. `formatDesignator` makes text of it. */
export interface Designator {
  /** 1 binary, 2 ASCII, 3 UTF-8. */
  readonly codeSet: number;
  /** 1 T10 vendor, 2 EUI-64, 3 NAA, 8 SCSI name string. */
  readonly type: number;
  /** 0 the logical unit, 1 the target port, 2 the device. */
  readonly association: number;
  readonly identifier: Buffer;
}

export function decodeDeviceIdentification(page: Buffer): Designator[] {
  const designators: Designator[] = [];
  let at = 0;
  while (at + 4 <= page.length) {
    const end = at + 4 + page.readUInt8(at + 3);
    requireBytes(page, end, "device identification page");
    designators.push({
      codeSet: page.readUInt8(at) & 0x0f,
      type: page.readUInt8(at + 1) & 0x0f,
      association: (page.readUInt8(at + 1) >> 4) & 3,
      identifier: Buffer.from(page.subarray(at + 4, end)),
    });
    at = end;
  }
  return designators;
}

/** Page B0h. Lengths in blocks; 0 means that the target names no limit. */
export interface BlockLimits {
  /** WSNZ: WRITE SAME refuses 0 blocks, which otherwise means "to the end of the unit". */
  readonly isWriteSameNonZero: boolean;
  /** Longest COMPARE AND WRITE; 0 means that the unit does not have the command. */
  readonly maximumCompareAndWriteLength: number;
  /** Transfers should be a multiple of it. */
  readonly optimalTransferLengthGranularity: number;
  readonly maximumTransferLength: number;
  readonly optimalTransferLength: number;
  readonly maximumPrefetchLength: number;
  readonly maximumUnmapLbaCount: number;
  readonly maximumUnmapDescriptorCount: number;
  readonly optimalUnmapGranularity: number;
  /** First block of an aligned unmap; 0 unless the target declares it. */
  readonly unmapGranularityAlignment: number;
  /** 0 when the target names no limit; never above 2^32-1, which is all a command can ask for. */
  readonly maximumWriteSameLength: number;
  /** SBC-4: WRITE ATOMIC(16); all 0 when the unit does not have it. */
  readonly maximumAtomicTransferLength: number;
  readonly atomicAlignment: number;
  readonly atomicTransferLengthGranularity: number;
  readonly maximumAtomicTransferLengthWithBoundary: number;
  readonly maximumAtomicBoundarySize: number;
}

/** SBC-2 targets send the short form of 12 bytes: no unmap and no write same limits then. */
export function decodeBlockLimits(page: Buffer): BlockLimits {
  requireBytes(page, 12, "block limits page");
  return blockLimitsFrom(page);
}

function blockLimitsFrom(page: Buffer): BlockLimits {
  const field = (offset: number) => (page.length >= offset + 4 ? page.readUInt32BE(offset) : 0);
  const alignment = field(28);
  const writeSame = page.length >= 40 ? page.readBigUInt64BE(32) : 0n;
  return {
    isWriteSameNonZero: ((page[0] ?? 0) & 1) !== 0,
    maximumCompareAndWriteLength: page[1] ?? 0,
    optimalTransferLengthGranularity: field(0) & 0xffff,
    maximumTransferLength: field(4),
    optimalTransferLength: field(8),
    maximumPrefetchLength: field(12),
    maximumUnmapLbaCount: field(16),
    maximumUnmapDescriptorCount: field(20),
    optimalUnmapGranularity: field(24),
    // UGAVALID is the top bit of the alignment.
    unmapGranularityAlignment: alignment >= 0x80000000 ? alignment - 0x80000000 : 0,
    maximumWriteSameLength: writeSame > 0xffffffffn ? 0xffffffff : Number(writeSame),
    maximumAtomicTransferLength: field(40),
    atomicAlignment: field(44),
    atomicTransferLengthGranularity: field(48),
    maximumAtomicTransferLengthWithBoundary: field(52),
    maximumAtomicBoundarySize: field(56),
  };
}

/** What a unit without page B0h is taken to say. */
export const NO_BLOCK_LIMITS: BlockLimits = blockLimitsFrom(Buffer.alloc(0));

/** Page B1h. */
export interface BlockDeviceCharacteristics {
  /** 0 not reported, 1 no rotation (solid state), otherwise revolutions per minute. */
  readonly mediumRotationRate: number;
  /** Nominal form factor: 1 5.25 inch, 2 3.5, 3 2.5, 4 1.8, 5 smaller; 0 not reported. */
  readonly formFactor: number;
  /** WABEREQ (SBC-4), reads after SANITIZE block erase: 0 not said, 1 succeed, 2 fail until the block is written, 3 may fail. */
  readonly writeAfterBlockErase: number;
  /** WACEREQ: the same for cryptographic erase. */
  readonly writeAfterCryptoErase: number;
  /** FUAB: SYNCHRONIZE CACHE covers what FUA does. */
  readonly isForceUnitAccessBehavior: boolean;
}

export function decodeBlockDeviceCharacteristics(page: Buffer): BlockDeviceCharacteristics {
  requireBytes(page, 4, "block device characteristics page");
  const required = page.readUInt8(3);
  return {
    mediumRotationRate: page.readUInt16BE(0),
    formFactor: required & 0x0f,
    writeAfterBlockErase: required >> 6,
    writeAfterCryptoErase: (required >> 4) & 3,
    isForceUnitAccessBehavior: ((page[4] ?? 0) & 0x02) !== 0,
  };
}

/** Page B2h. */
export interface LogicalBlockProvisioning {
  /** LBPU: UNMAP works. */
  readonly canUnmap: boolean;
  /** LBPWS: WRITE SAME(16) with the UNMAP bit works. */
  readonly canWriteSameUnmap: boolean;
  /** LBPWS10: WRITE SAME(10) with the UNMAP bit works. */
  readonly canWriteSame10Unmap?: boolean;
  /** LBPRZ is "zero": unmapped blocks read back as zeros. */
  readonly readsZeroes: boolean;
  /** ANC_SUP: blocks can be anchored: unmapped with their space kept. */
  readonly canAnchor?: boolean;
  /** 0 not said, 1 resource provisioned, 2 thin. */
  readonly provisioningType?: number;
}

export const NO_PROVISIONING: LogicalBlockProvisioning = {
  canUnmap: false,
  canWriteSameUnmap: false,
  readsZeroes: false,
};

export function decodeLogicalBlockProvisioning(page: Buffer): LogicalBlockProvisioning {
  requireBytes(page, 2, "logical block provisioning page");
  const flags = page.readUInt8(1);
  return {
    canUnmap: (flags & 0x80) !== 0,
    canWriteSameUnmap: (flags & 0x40) !== 0,
    // SBC-4: LBPRZ is 3 bits; xx1 promises zeros, 010 only the provisioning initialization pattern.
    readsZeroes: (flags & 0x04) !== 0,
    canWriteSame10Unmap: (flags & 0x20) !== 0,
    canAnchor: (flags & 0x02) !== 0,
    provisioningType: (page[2] ?? 0) & 0x07,
  };
}
