// MODE SENSE data of the test target: header, block descriptor, caching and control pages (SPC-4 7.5, SBC-4 6.5).
import { SenseKey } from "../scsi/sense.ts";
import { type CommandResult, checkCondition, goodWith, invalidFieldInCdb } from "./command-result.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const CACHING = 0x08;
const CONTROL = 0x0a;
const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;
const CHANGEABLE = 1;
const SAVED = 3;

/** WCE: a flush is needed before data is on the medium. */
function cachingPage(): Buffer {
  const page = Buffer.alloc(20);
  page[0] = CACHING;
  page[1] = page.length - 2;
  page[2] = 0x04;
  return page;
}

/** Unrestricted reordering; one task set for all initiators. */
function controlPage(): Buffer {
  const page = Buffer.alloc(12);
  page[0] = CONTROL;
  page[1] = page.length - 2;
  page[3] = 0x10;
  return page;
}

/** MODE SENSE(6) and (10). No page can be changed or saved. */
export function modeSenseCommand(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const isTen = cdb.readUInt8(0) === 0x5a;
  const pageControl = cdb.readUInt8(2) >> 6;
  const pageCode = cdb.readUInt8(2) & 0x3f;
  const subpage = cdb.readUInt8(3);
  if (pageControl === SAVED) return checkCondition(SenseKey.IllegalRequest, 0x39);
  if (subpage !== 0 && subpage !== ALL_SUBPAGES) return invalidFieldInCdb(3);
  const pages = [cachingPage(), controlPage()].filter((page) => pageCode === ALL_PAGES || page[0] === pageCode);
  if (pages.length === 0) return invalidFieldInCdb(2, 5);
  if (pageControl === CHANGEABLE) for (const page of pages) page.fill(0, 2);
  const data = withHeader(unit, cdb, isTen, Buffer.concat(pages));
  return goodWith(data, isTen ? cdb.readUInt16BE(7) : cdb.readUInt8(4));
}

function withHeader(unit: LogicalUnit, cdb: Buffer, isTen: boolean, pages: Buffer): Buffer {
  const disablesDescriptors = (cdb.readUInt8(1) & 0x08) !== 0;
  const acceptsLongLba = isTen && (cdb.readUInt8(1) & 0x10) !== 0;
  const descriptor = disablesDescriptors ? Buffer.alloc(0) : blockDescriptor(unit, acceptsLongLba);
  const header = Buffer.alloc(isTen ? 8 : 4);
  const deviceSpecific = (unit.faults.isWriteProtected === true ? 0x80 : 0) | 0x10;
  if (isTen) {
    header.writeUInt16BE(header.length + descriptor.length + pages.length - 2, 0);
    header[3] = deviceSpecific;
    header[4] = descriptor.length === 16 ? 0x01 : 0;
    header.writeUInt16BE(descriptor.length, 6);
  } else {
    header[0] = header.length + descriptor.length + pages.length - 1;
    header[2] = deviceSpecific;
    header[3] = descriptor.length;
  }
  return Buffer.concat([header, descriptor, pages]);
}

function blockDescriptor({ blocks, blockSize }: LogicalUnit, isLong: boolean): Buffer {
  const descriptor = Buffer.alloc(isLong ? 16 : 8);
  if (isLong) {
    descriptor.writeBigUInt64BE(BigInt(blocks), 0);
    descriptor.writeUInt32BE(blockSize, 12);
  } else {
    descriptor.writeUInt32BE(Math.min(blocks, 0xffffffff), 0);
    descriptor.writeUIntBE(blockSize, 5, 3);
  }
  return descriptor;
}
