// INQUIRY (SPC-4 6.6): standard data, and vital product data pages as raw bytes for the page decoders.
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { requireBytes, requireInteger } from "./fields.ts";

const INQUIRY = 0x12;
const STANDARD_BYTES = 96;
/**
 * Trap: the length had one byte before SPC-3. An old target looks at the low byte only: FFh there makes it answer with 255 bytes.
 */
const VPD_BYTES = 0x04ff;

/** Standard INQUIRY data. */
export interface InquiryData {
  /** 0 is a direct-access block device, 0Ch a storage array controller, 1Fh unknown or none. */
  readonly peripheralDeviceType: number;
  /** 0 when a device is connected to this LUN; 1 when it could be; 3 when this LUN can have none. */
  readonly peripheralQualifier: number;
  readonly isRemovable: boolean;
  /** 04h SPC-2, 05h SPC-3, 06h SPC-4, 07h SPC-5. */
  readonly version: number;
  /** HISUP: LUNs are assigned hierarchically. */
  readonly isHierarchical: boolean;
  /** TPGS: 0 no asymmetric access, 1 implicit, 2 explicit, 3 both. */
  readonly targetPortGroupSupport: number;
  /** 3PC: third-party copy commands work. */
  readonly hasThirdPartyCopy: boolean;
  /** PROTECT: protection information can be used. */
  readonly hasProtection: boolean;
  /** CMDQUE: more than one command at a time. */
  readonly hasCommandQueue: boolean;
  /** ASCII fields without their padding. */
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  /** Version descriptors (SPC-4 table 141), such as 0960h for iSCSI; absent ones are left out. */
  readonly versionDescriptors: readonly number[];
}

function inquiryCdb(page: number | undefined, allocationBytes: number): Buffer {
  const cdb = Buffer.alloc(6);
  cdb[0] = INQUIRY;
  cdb[1] = page === undefined ? 0 : 1;
  cdb[2] = page ?? 0;
  cdb.writeUInt16BE(allocationBytes, 3);
  return cdb;
}

/** Standard INQUIRY. Answered for every LUN, even for one that does not exist: look at `peripheralQualifier`. */
export function inquiry(): ScsiCommand<InquiryData> {
  return {
    name: "INQUIRY",
    cdb: inquiryCdb(undefined, STANDARD_BYTES),
    isIdempotent: true,
    dataIn: Buffer.alloc(STANDARD_BYTES),
    decode: decodeStandardInquiry,
  };
}

function decodeStandardInquiry(data: Buffer): InquiryData {
  requireBytes(data, 36, "INQUIRY data");
  const text = (from: number, to: number) =>
    data
      .toString("latin1", from, to)
      .replace(/[\0 ]+$/, "")
      .trimStart();
  const hasBit = (at: number, bit: number) => (data.readUInt8(at) & bit) !== 0;
  const versionDescriptors: number[] = [];
  for (let at = 58; at + 2 <= Math.min(data.length, 74); at += 2)
    if (data.readUInt16BE(at) !== 0) versionDescriptors.push(data.readUInt16BE(at));
  return {
    peripheralDeviceType: data.readUInt8(0) & 0x1f,
    peripheralQualifier: data.readUInt8(0) >> 5,
    isRemovable: hasBit(1, 0x80),
    version: data.readUInt8(2),
    isHierarchical: hasBit(3, 0x10),
    targetPortGroupSupport: (data.readUInt8(5) >> 4) & 3,
    hasThirdPartyCopy: hasBit(5, 0x08),
    hasProtection: hasBit(5, 0x01),
    hasCommandQueue: hasBit(7, 0x02),
    vendor: text(8, 16),
    product: text(16, 32),
    revision: text(32, 36),
    versionDescriptors,
  };
}

/** INQUIRY for one vital product data page; the result is the page without its 4-byte header. */
export function inquiryVpd(page: number): ScsiCommand<Buffer> {
  requireInteger("INQUIRY", "page code", page, 0xff);
  const name = `INQUIRY VPD page 0x${page.toString(16).padStart(2, "0")}`;
  return {
    name,
    cdb: inquiryCdb(page, VPD_BYTES),
    isIdempotent: true,
    dataIn: Buffer.alloc(VPD_BYTES),
    decode(data) {
      requireBytes(data, 4, name);
      if (data.readUInt8(1) !== page)
        throw new ProtocolError(`the target answered with page 0x${data.readUInt8(1).toString(16)}`);
      return data.subarray(4, Math.min(data.length, 4 + data.readUInt16BE(2)));
    },
  };
}
