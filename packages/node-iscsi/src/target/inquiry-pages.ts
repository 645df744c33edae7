// INQUIRY data, VPD pages, READ CAPACITY and MODE SENSE data of the test target (SPC-4 6.6, 7.8; SBC-4 6.6, 5.21).
import { VpdPage } from "../scsi/vpd-pages.ts";
import type { TargetFaults, TargetLimits } from "./faults.ts";

/** What the pages describe. */
export interface UnitIdentity {
  readonly targetName: string;
  readonly blocks: number;
  readonly blockSize: number;
  readonly limits: TargetLimits;
  readonly faults: TargetFaults;
}

/** Standard INQUIRY data; an absent LUN has peripheral qualifier 3, type 1Fh. */
export function standardInquiry(isPresent: boolean): Buffer {
  const data = Buffer.alloc(96);
  data[0] = isPresent ? 0x00 : 0x7f;
  data[2] = 0x06;
  data[3] = 0x12;
  data[4] = data.length - 5;
  data[7] = 0x02;
  data.write("NODEJS  NODE-ISCSI DISK 0001", 8, "latin1");
  return data;
}

function page(code: number, body: Buffer): Buffer {
  const header = Buffer.from([0, code, 0, 0]);
  header.writeUInt16BE(body.length, 2);
  return Buffer.concat([header, body]);
}

/** A serial number that stays the same for the same target name. */
function serialOf(identity: UnitIdentity): string {
  return Buffer.from(identity.targetName, "utf8").toString("hex").slice(-16).padStart(16, "0");
}

/** One VPD page, or undefined when the target does not have it. */
export function vpdPage(code: number, identity: UnitIdentity): Buffer | undefined {
  const { noUnmap } = identity.faults;
  switch (code) {
    case VpdPage.SupportedPages: {
      const always = [VpdPage.SupportedPages, VpdPage.UnitSerialNumber, VpdPage.DeviceIdentification];
      const thin = noUnmap === true ? [] : [VpdPage.BlockLimits, VpdPage.LogicalBlockProvisioning];
      return page(code, Buffer.from([...always, ...thin]));
    }
    case VpdPage.UnitSerialNumber:
      return page(code, Buffer.from(serialOf(identity), "latin1"));
    case VpdPage.DeviceIdentification: {
      const text = Buffer.from(`NODEJS  ${serialOf(identity)}`, "latin1");
      return page(code, Buffer.concat([Buffer.from([0x02, 0x01, 0, text.length]), text]));
    }
    case VpdPage.BlockLimits:
      return noUnmap === true ? undefined : page(code, blockLimits(identity));
    case VpdPage.LogicalBlockProvisioning:
      // LBPU, LBPWS, LBPRZ; thin provisioned.
      return noUnmap === true ? undefined : page(code, Buffer.from([0, 0xc4, 0x02, 0]));
    default:
      return undefined;
  }
}

function blockLimits({ limits }: UnitIdentity): Buffer {
  const body = Buffer.alloc(60);
  body.writeUInt32BE(limits.maximumTransferBlocks ?? 0, 4);
  body.writeUInt32BE(0xffffffff, 16);
  body.writeUInt32BE(1, 20);
  body.writeUInt32BE(limits.optimalUnmapGranularityBlocks ?? 1, 24);
  body.writeBigUInt64BE(BigInt(limits.maximumWriteSameBlocks ?? 0), 32);
  return body;
}

export function capacity10({ blocks, blockSize }: UnitIdentity): Buffer {
  const data = Buffer.alloc(8);
  data.writeUInt32BE(Math.min(blocks - 1, 0xffffffff), 0);
  data.writeUInt32BE(blockSize, 4);
  return data;
}

export function capacity16({ blocks, blockSize, faults }: UnitIdentity): Buffer {
  const data = Buffer.alloc(32);
  data.writeBigUInt64BE(BigInt(blocks - 1), 0);
  data.writeUInt32BE(blockSize, 8);
  if (faults.noUnmap !== true) data[14] = 0xc0;
  return data;
}

/** GET LBA STATUS data (SBC-4 5.6): everything from `lba` on is mapped, which is always a truthful answer. */
export function lbaStatus({ blocks }: UnitIdentity, lba: number): Buffer {
  const data = Buffer.alloc(24);
  data.writeUInt32BE(20, 0);
  data.writeBigUInt64BE(BigInt(lba), 8);
  data.writeUInt32BE(Math.min(blocks - lba, 0xffffffff), 16);
  return data;
}

/** LUN inventory with one unit (SPC-4 6.33). */
export function reportLuns(lun: number): Buffer {
  const data = Buffer.alloc(16);
  data.writeUInt32BE(8, 0);
  data.writeUInt16BE(lun < 256 ? lun : 0x4000 | lun, 8);
  return data;
}

/** Mode parameter header with the caching page: write cache on, not write protected. `isTen` is MODE SENSE(10). */
export function modeSense(isTen: boolean, pageCode: number): Buffer | undefined {
  if (pageCode !== 0x08 && pageCode !== 0x3f) return undefined;
  const caching = Buffer.alloc(20);
  caching[0] = 0x08;
  caching[1] = 18;
  caching[2] = 0x04;
  const header = Buffer.alloc(isTen ? 8 : 4);
  if (isTen) header.writeUInt16BE(header.length + caching.length - 2, 0);
  else header[0] = header.length + caching.length - 1;
  header[isTen ? 3 : 2] = 0x10;
  return Buffer.concat([header, caching]);
}
