// Vital product data pages we use: 00h supported pages, 83h identification (SPC-4 7.8), B0h limits, B2h provisioning (SBC-4 6.6).
import { requireBytes } from "./fields.ts";

export const VpdPage = {
  SupportedPages: 0x00,
  UnitSerialNumber: 0x80,
  DeviceIdentification: 0x83,
  BlockLimits: 0xb0,
  LogicalBlockProvisioning: 0xb2,
} as const;

/** Page 00h: the page codes the target has. Decoders take the page without its 4-byte header. */
export function decodeSupportedPages(page: Buffer): ReadonlySet<number> {
  return new Set(page);
}

/** One designation descriptor of page 83h. */
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
  readonly maximumTransferLength: number;
  readonly optimalTransferLength: number;
  readonly maximumUnmapLbaCount: number;
  readonly maximumUnmapDescriptorCount: number;
  readonly optimalUnmapGranularity: number;
  /** First block of an aligned unmap; 0 unless the target declares it. */
  readonly unmapGranularityAlignment: number;
  readonly maximumWriteSameLength: number;
}

export const NO_BLOCK_LIMITS: BlockLimits = {
  maximumTransferLength: 0,
  optimalTransferLength: 0,
  maximumUnmapLbaCount: 0,
  maximumUnmapDescriptorCount: 0,
  optimalUnmapGranularity: 0,
  unmapGranularityAlignment: 0,
  maximumWriteSameLength: 0,
};

/** SBC-2 targets send the short form of 12 bytes: no unmap and no write same limits then. */
export function decodeBlockLimits(page: Buffer): BlockLimits {
  requireBytes(page, 12, "block limits page");
  const field = (offset: number) => (page.length >= offset + 4 ? page.readUInt32BE(offset) : 0);
  const alignment = field(28);
  const writeSame = page.length >= 40 ? page.readBigUInt64BE(32) : 0n;
  return {
    maximumTransferLength: field(4),
    optimalTransferLength: field(8),
    maximumUnmapLbaCount: field(16),
    maximumUnmapDescriptorCount: field(20),
    optimalUnmapGranularity: field(24),
    unmapGranularityAlignment: alignment >= 0x80000000 ? alignment - 0x80000000 : 0,
    maximumWriteSameLength: writeSame > 0xffffffffn ? 0xffffffff : Number(writeSame),
  };
}

/** Page B2h. */
export interface LogicalBlockProvisioning {
  /** LBPU: UNMAP works. */
  readonly canUnmap: boolean;
  /** LBPWS: WRITE SAME(16) with the UNMAP bit works. */
  readonly canWriteSameUnmap: boolean;
  /** LBPRZ is "zero": unmapped blocks read back as zeros. */
  readonly readsZeroes: boolean;
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
  };
}
