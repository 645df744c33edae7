// INQUIRY (SPC-4 6.6): standard data, and vital product data pages as raw bytes for the page decoders.
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { requireBytes } from "./fields.ts";

const INQUIRY = 0x12;
const STANDARD_BYTES = 96;
const VPD_BYTES = 255;

/** Standard INQUIRY data. */
export interface InquiryData {
  /** 0 is a direct-access block device. */
  readonly peripheralDeviceType: number;
  /** 0 when a device is connected to this LUN; 3 when this LUN can have none. */
  readonly peripheralQualifier: number;
  readonly isRemovable: boolean;
  readonly version: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
}

function inquiryCdb(page: number | undefined, allocationBytes: number): Buffer {
  const cdb = Buffer.alloc(6);
  cdb[0] = INQUIRY;
  cdb[1] = page === undefined ? 0 : 1;
  cdb[2] = page ?? 0;
  cdb.writeUInt16BE(allocationBytes, 3);
  return cdb;
}

/** Standard INQUIRY. */
export function inquiry(): ScsiCommand<InquiryData> {
  return {
    name: "INQUIRY",
    cdb: inquiryCdb(undefined, STANDARD_BYTES),
    dataIn: Buffer.alloc(STANDARD_BYTES),
    decode(data) {
      requireBytes(data, 36, "INQUIRY data");
      const text = (from: number, to: number) => data.toString("latin1", from, to).trim();
      return {
        peripheralDeviceType: data.readUInt8(0) & 0x1f,
        peripheralQualifier: data.readUInt8(0) >> 5,
        isRemovable: (data.readUInt8(1) & 0x80) !== 0,
        version: data.readUInt8(2),
        vendor: text(8, 16),
        product: text(16, 32),
        revision: text(32, 36),
      };
    },
  };
}

/** INQUIRY for one vital product data page; the result is the page without its 4-byte header. */
export function inquiryVpd(page: number): ScsiCommand<Buffer> {
  const name = `INQUIRY VPD page 0x${page.toString(16).padStart(2, "0")}`;
  return {
    name,
    cdb: inquiryCdb(page, VPD_BYTES),
    dataIn: Buffer.alloc(VPD_BYTES),
    decode(data) {
      requireBytes(data, 4, name);
      if (data.readUInt8(1) !== page)
        throw new ProtocolError(`the target answered with page 0x${data.readUInt8(1).toString(16)}`);
      return data.subarray(4, Math.min(data.length, 4 + data.readUInt16BE(2)));
    },
  };
}
