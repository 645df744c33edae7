// MODE SENSE(6) and (10) (SPC-4 6.13, 6.14): write protection, and the caching and control pages (SBC-4 6.5.6, SPC-4 7.5.8).
import { ProtocolError } from "../errors.ts";
import type { ScsiCommand } from "./command.ts";
import { requireBytes, requireInteger } from "./fields.ts";

const MODE_SENSE_6 = 0x1a;
const MODE_SENSE_10 = 0x5a;
const ALLOCATION_6 = 252;
const ALLOCATION_10 = 4096;
const DISABLE_BLOCK_DESCRIPTORS = 0x08;

/** Mode pages. */
export const ModePage = {
  Caching: 0x08,
  Control: 0x0a,
  All: 0x3f,
} as const;

/** PAGE CONTROL: which values of the pages. */
export const PageControl = { Current: 0, Changeable: 1, Default: 2, Saved: 3 } as const;

/** Caching mode page (08h). */
export interface CachingModePage {
  /** WCE: writes are acknowledged from a volatile cache; only a flush or FUA puts them on the medium. */
  readonly isWriteCacheEnabled: boolean;
  /** RCD: reads always come from the medium. */
  readonly isReadCacheDisabled: boolean;
}

/** Control mode page (0Ah). */
export interface ControlModePage {
  /** SWP: software write protection. */
  readonly isSoftwareWriteProtected: boolean;
  /** TST: 0 one task set for all initiators, 1 one for each. */
  readonly taskSetType: number;
  /** D_SENSE: sense data comes in descriptor format. */
  readonly usesDescriptorSense: boolean;
  /** QUEUE ALGORITHM MODIFIER: 1 the unit may reorder simple commands as it likes. */
  readonly queueAlgorithmModifier: number;
  /** TAS: tasks aborted by another initiator end with TASK ABORTED instead of silence. */
  readonly reportsTaskAborted: boolean;
  /** UA_INTLCK_CTRL. */
  readonly unitAttentionInterlock: number;
  /** BUSY TIMEOUT PERIOD in units of 100 ms; 0 undefined, FFFFh unlimited. */
  readonly busyTimeoutPeriod: number;
}

/** Answer of MODE SENSE. Pages that the target did not send are undefined. */
export interface ModeSenseData {
  readonly mediumType: number;
  /** WP bit of the device-specific parameter: no command may change the medium. */
  readonly isWriteProtected: boolean;
  /** DPOFUA bit: reads and writes understand DPO and FUA. */
  readonly supportsDpoFua: boolean;
  readonly caching: CachingModePage | undefined;
  readonly control: ControlModePage | undefined;
  /** Every page as it came, header included: by `page code << 8 | subpage code`. */
  readonly pages: ReadonlyMap<number, Buffer>;
}

/** What to ask for. */
export interface ModeSenseOptions {
  /** Default {@link ModePage}.All. */
  readonly page?: number;
  /** Default 0; FFh asks for all subpages. */
  readonly subpage?: number;
  /** Default: the current values. */
  readonly pageControl?: (typeof PageControl)[keyof typeof PageControl];
  /** DBD: no block descriptors. Default true; some targets ignore it, which the decoder does not mind. */
  readonly disablesBlockDescriptors?: boolean;
}

function writePageFields(name: string, cdb: Buffer, options: ModeSenseOptions): void {
  const { page = ModePage.All, subpage = 0, pageControl = PageControl.Current } = options;
  requireInteger(name, "page code", page, 0x3f);
  requireInteger(name, "subpage code", subpage, 0xff);
  cdb[1] = options.disablesBlockDescriptors === false ? 0 : DISABLE_BLOCK_DESCRIPTORS;
  cdb[2] = (pageControl << 6) | page;
  cdb[3] = subpage;
}

/** Understood by every target; cannot tell more than 252 bytes. @throws InvalidArgumentError for an impossible page code. */
export function modeSense6(options: ModeSenseOptions = {}): ScsiCommand<ModeSenseData> {
  const name = "MODE SENSE(6)";
  const cdb = Buffer.alloc(6);
  cdb[0] = MODE_SENSE_6;
  writePageFields(name, cdb, options);
  cdb[4] = ALLOCATION_6;
  return { name, cdb, isIdempotent: true, dataIn: Buffer.alloc(ALLOCATION_6), decode: decodeModeSense6 };
}

/** @throws InvalidArgumentError for an impossible page code. */
export function modeSense10(options: ModeSenseOptions = {}): ScsiCommand<ModeSenseData> {
  const name = "MODE SENSE(10)";
  const cdb = Buffer.alloc(10);
  cdb[0] = MODE_SENSE_10;
  writePageFields(name, cdb, options);
  cdb.writeUInt16BE(ALLOCATION_10, 7);
  return { name, cdb, isIdempotent: true, dataIn: Buffer.alloc(ALLOCATION_10), decode: decodeModeSense10 };
}

function decodeModeSense6(data: Buffer): ModeSenseData {
  requireBytes(data, 4, "MODE SENSE(6) data");
  const end = Math.min(data.length, 1 + data.readUInt8(0));
  return decodePages(data.subarray(0, end), data.readUInt8(1), data.readUInt8(2), 4 + data.readUInt8(3));
}

function decodeModeSense10(data: Buffer): ModeSenseData {
  requireBytes(data, 8, "MODE SENSE(10) data");
  const end = Math.min(data.length, 2 + data.readUInt16BE(0));
  // With LONGLBA the descriptors are 16 bytes each instead of 8; their total length is in bytes either way.
  return decodePages(data.subarray(0, end), data.readUInt8(2), data.readUInt8(3), 8 + data.readUInt16BE(6));
}

function decodePages(data: Buffer, mediumType: number, deviceSpecific: number, from: number): ModeSenseData {
  const pages = new Map<number, Buffer>();
  for (let at = from; at + 2 <= data.length; ) {
    const hasSubpage = (data.readUInt8(at) & 0x40) !== 0;
    const headerBytes = hasSubpage ? 4 : 2;
    // Trap: the answer ends in the middle of a page when it was longer than the room for it; what is whole is good.
    if (at + headerBytes > data.length) break;
    const end = at + headerBytes + (hasSubpage ? data.readUInt16BE(at + 2) : data.readUInt8(at + 1));
    if (end > data.length) break;
    const code = data.readUInt8(at) & 0x3f;
    pages.set((code << 8) | (hasSubpage ? data.readUInt8(at + 1) : 0), Buffer.from(data.subarray(at, end)));
    at = end;
  }
  return {
    mediumType,
    isWriteProtected: (deviceSpecific & 0x80) !== 0,
    supportsDpoFua: (deviceSpecific & 0x10) !== 0,
    caching: decodeCaching(pages.get(ModePage.Caching << 8)),
    control: decodeControl(pages.get(ModePage.Control << 8)),
    pages,
  };
}

function decodeCaching(page: Buffer | undefined): CachingModePage | undefined {
  if (page === undefined) return undefined;
  if (page.length < 3) throw new ProtocolError(`caching mode page has ${page.length} bytes, needs 3`);
  const flags = page.readUInt8(2);
  return { isWriteCacheEnabled: (flags & 0x04) !== 0, isReadCacheDisabled: (flags & 0x01) !== 0 };
}

function decodeControl(page: Buffer | undefined): ControlModePage | undefined {
  if (page === undefined) return undefined;
  // SPC-2 targets send a page of 8 bytes, later ones 12; the timeout is in both from byte 8 on, or absent.
  if (page.length < 6) throw new ProtocolError(`control mode page has ${page.length} bytes, needs 6`);
  const byte = (at: number) => page[at] ?? 0;
  return {
    taskSetType: byte(2) >> 5,
    usesDescriptorSense: (byte(2) & 0x04) !== 0,
    queueAlgorithmModifier: byte(3) >> 4,
    unitAttentionInterlock: (byte(4) >> 4) & 3,
    isSoftwareWriteProtected: (byte(4) & 0x08) !== 0,
    reportsTaskAborted: (byte(5) & 0x40) !== 0,
    busyTimeoutPeriod: page.length >= 10 ? page.readUInt16BE(8) : 0,
  };
}
