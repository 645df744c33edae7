// INQUIRY data, VPD pages, READ CAPACITY and REPORT LUNS data of the test target (SPC-4 6.6, 6.33, 7.8; SBC-4 6.6, 5.20, 5.21).
import { createHash } from "node:crypto";
import { VpdPage } from "../scsi/vpd-pages.ts";
import { type CommandResult, goodWith, invalidFieldInCdb, outOfRange } from "./command-result.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { MAX_UNMAP_DESCRIPTORS } from "./provisioning-commands.ts";
import { MAX_COMPARE_AND_WRITE_BLOCKS } from "./read-write-commands.ts";

/** INQUIRY, also for a LUN that does not exist. */
export function inquiryCommand(unit: LogicalUnit, cdb: Buffer, isPresent: boolean): CommandResult {
  const wantsPage = (cdb.readUInt8(1) & 1) !== 0;
  const code = cdb.readUInt8(2);
  if (!wantsPage && code !== 0) return invalidFieldInCdb(2);
  const data = wantsPage ? vpdPage(code, unit) : standardInquiry(isPresent);
  return data === undefined ? invalidFieldInCdb(2) : goodWith(data, cdb.readUInt16BE(3));
}

/** SAM-5, SPC-4, SBC-3 and iSCSI, each without a claim to a version of the text (SPC-4 table 141). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0460, 0x04c0, 0x0960];

/** Standard INQUIRY data; an absent LUN has peripheral qualifier 3, type 1Fh. */
function standardInquiry(isPresent: boolean): Buffer {
  const data = Buffer.alloc(96);
  data[0] = isPresent ? 0x00 : 0x7f;
  data[2] = 0x06;
  data[3] = 0x12;
  data[4] = data.length - 5;
  data[7] = 0x02;
  data.write("NODEJS  NODE-ISCSI DISK 0001", 8, "latin1");
  for (const [index, descriptor] of VERSION_DESCRIPTORS.entries()) data.writeUInt16BE(descriptor, 58 + index * 2);
  return data;
}

function page(code: number, body: Buffer): Buffer {
  const header = Buffer.from([0, code, 0, 0]);
  header.writeUInt16BE(body.length, 2);
  return Buffer.concat([header, body]);
}

/** The same for the same target name and LUN, and different for others: multipath software takes equal ones for one disk. */
function serialOf({ targetName, lun }: LogicalUnit): string {
  return createHash("sha256").update(`${targetName}/${lun}`).digest("hex").slice(0, 16);
}

/** One VPD page, or undefined when the target does not have it. */
function vpdPage(code: number, unit: LogicalUnit): Buffer | undefined {
  const { noUnmap } = unit.faults;
  switch (code) {
    case VpdPage.SupportedPages: {
      const always = [VpdPage.SupportedPages, VpdPage.UnitSerialNumber, VpdPage.DeviceIdentification];
      const thin = noUnmap === true ? [] : [VpdPage.BlockLimits];
      const provisioning = noUnmap === true ? [] : [VpdPage.LogicalBlockProvisioning];
      return page(code, Buffer.from([...always, ...thin, VpdPage.BlockDeviceCharacteristics, ...provisioning]));
    }
    case VpdPage.UnitSerialNumber:
      return page(code, Buffer.from(serialOf(unit), "latin1"));
    case VpdPage.DeviceIdentification:
      return page(code, deviceIdentification(unit));
    case VpdPage.BlockLimits:
      return noUnmap === true ? undefined : page(code, blockLimits(unit));
    case VpdPage.BlockDeviceCharacteristics:
      return page(code, blockDeviceCharacteristics());
    case VpdPage.LogicalBlockProvisioning:
      // LBPU, LBPWS, LBPWS10, LBPRZ; thin provisioned.
      return noUnmap === true ? undefined : page(code, Buffer.from([0, 0xe4, 0x02, 0]));
    default:
      return undefined;
  }
}

/** T10 vendor ID, a locally assigned NAA (3h), and the SCSI name string of the target device. */
function deviceIdentification(unit: LogicalUnit): Buffer {
  const serial = serialOf(unit);
  const naa = Buffer.from(`3${serial.slice(-15)}`, "hex");
  const name = Buffer.from(`${unit.targetName}\0`, "utf8");
  const padded = Buffer.concat([name, Buffer.alloc((4 - (name.length % 4)) % 4)]);
  const designator = (codeSet: number, kind: number, identifier: Buffer) =>
    Buffer.concat([Buffer.from([codeSet, kind, 0, identifier.length]), identifier]);
  return Buffer.concat([
    designator(0x02, 0x01, Buffer.from(`NODEJS  ${serial}`, "latin1")),
    designator(0x01, 0x03, naa),
    // Protocol identifier iSCSI, PIV, association with the target device.
    designator(0x53, 0xa8, padded),
  ]);
}

function blockLimits({ limits }: LogicalUnit): Buffer {
  const body = Buffer.alloc(60);
  body[0] = 0x01;
  body[1] = MAX_COMPARE_AND_WRITE_BLOCKS;
  body.writeUInt32BE(limits.maximumTransferBlocks ?? 0, 4);
  body.writeUInt32BE(0xffffffff, 16);
  body.writeUInt32BE(MAX_UNMAP_DESCRIPTORS, 20);
  body.writeUInt32BE(limits.optimalUnmapGranularityBlocks ?? 1, 24);
  body.writeBigUInt64BE(BigInt(limits.maximumWriteSameBlocks ?? 0), 32);
  return body;
}

/** No rotation; WABEREQ and WACEREQ: after an erasing sanitize the blocks can be read. */
function blockDeviceCharacteristics(): Buffer {
  const body = Buffer.alloc(60);
  body.writeUInt16BE(1, 0);
  body[3] = 0x50;
  return body;
}

/** READ CAPACITY(10). An address is obsolete; without PMI it must be 0. */
export function readCapacity10Command(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const refusal = addressRefusal(unit, cdb.readUInt32BE(2), (cdb.readUInt8(8) & 1) !== 0);
  if (refusal !== undefined) return refusal;
  const data = Buffer.alloc(8);
  data.writeUInt32BE(Math.min(unit.blocks - 1, 0xffffffff), 0);
  data.writeUInt32BE(unit.blockSize, 4);
  return goodWith(data);
}

export function readCapacity16Command(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const refusal = addressRefusal(unit, Number(cdb.readBigUInt64BE(2)), (cdb.readUInt8(14) & 1) !== 0);
  if (refusal !== undefined) return refusal;
  const data = Buffer.alloc(32);
  data.writeBigUInt64BE(BigInt(unit.blocks - 1), 0);
  data.writeUInt32BE(unit.blockSize, 8);
  if (unit.faults.noUnmap !== true) data[14] = 0xc0;
  return goodWith(data, cdb.readUInt32BE(10));
}

function addressRefusal(unit: LogicalUnit, lba: number, isPartialMedium: boolean): CommandResult | undefined {
  if (!isPartialMedium) return lba === 0 ? undefined : invalidFieldInCdb(2);
  return unit.has(lba, 1) ? undefined : outOfRange();
}

/** LUN inventory with one unit (SPC-4 6.33). */
export function reportLunsCommand(lun: number, cdb: Buffer): CommandResult {
  const allocation = cdb.readUInt32BE(6);
  if (allocation < 16) return invalidFieldInCdb(6);
  const select = cdb.readUInt8(2);
  if (select > 2) return invalidFieldInCdb(2);
  // Select report 1: well-known logical units only, and there are none.
  const data = Buffer.alloc(select === 1 ? 8 : 16);
  if (select !== 1) {
    data.writeUInt32BE(8, 0);
    data.writeUInt16BE(lun < 256 ? lun : 0x4000 | lun, 8);
  }
  return goodWith(data, allocation);
}
