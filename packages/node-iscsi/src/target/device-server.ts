// Device server of the test target: runs one CDB on the backing and says with which status it ended (SPC-4, SBC-4).
import { encodeFixedSense, ScsiStatus, SenseKey } from "../scsi/sense.ts";
import type { Backing } from "./backing.ts";
import { strikes, type TargetFaults, type TargetLimits } from "./faults.ts";
import {
  capacity10,
  capacity16,
  lbaStatus,
  modeSense,
  reportLuns,
  standardInquiry,
  type UnitIdentity,
  vpdPage,
} from "./inquiry-pages.ts";

/** How a command ended. */
export interface CommandResult {
  readonly status: number;
  readonly data?: Buffer | undefined;
  readonly sense?: Buffer | undefined;
}

const GOOD: CommandResult = { status: ScsiStatus.Good };

function checkCondition(senseKey: number, asc: number, ascq = 0): CommandResult {
  return { status: ScsiStatus.CheckCondition, sense: encodeFixedSense(senseKey, asc, ascq) };
}

const INVALID_OPCODE = () => checkCondition(SenseKey.IllegalRequest, 0x20);
const INVALID_FIELD = () => checkCondition(SenseKey.IllegalRequest, 0x24);
const OUT_OF_RANGE = () => checkCondition(SenseKey.IllegalRequest, 0x21);
const NO_SUCH_LUN = () => checkCondition(SenseKey.IllegalRequest, 0x25);

const UNMAP_FLAG = 0x08;
const NDOB_FLAG = 0x01;

/** One logical unit. */
export class DeviceServer {
  readonly lun: number;
  readonly blockSize: number;
  readonly #backing: Backing;
  readonly #identity: UnitIdentity;
  readonly #faults: TargetFaults;

  constructor(
    backing: Backing,
    options: { targetName: string; lun: number; blockSize: number; limits: TargetLimits; faults: TargetFaults },
  ) {
    this.#backing = backing;
    this.lun = options.lun;
    this.blockSize = options.blockSize;
    this.#faults = options.faults;
    this.#identity = { ...options, blocks: Math.floor(backing.sizeBytes / options.blockSize) };
  }

  /** Runs one command; `data` is all of its data-out. Never rejects: a broken backing is a HARDWARE ERROR. */
  async run(lun: number | undefined, cdb: Buffer, data: Buffer): Promise<CommandResult> {
    const opcode = cdb.readUInt8(0);
    try {
      if (opcode === 0x12) return this.#inquiry(cdb, lun === this.lun);
      if (opcode === 0xa0) return { status: ScsiStatus.Good, data: reportLuns(this.lun) };
      if (lun !== this.lun) return NO_SUCH_LUN();
      return await this.#runOnUnit(opcode, cdb, data);
    } catch {
      return checkCondition(SenseKey.HardwareError, 0x44);
    }
  }

  async #runOnUnit(opcode: number, cdb: Buffer, data: Buffer): Promise<CommandResult> {
    switch (opcode) {
      case 0x00:
        return GOOD;
      case 0x03:
        return { status: ScsiStatus.Good, data: encodeFixedSense(SenseKey.NoSense, 0, 0) };
      case 0x1a:
      case 0x5a:
        return this.#modeSense(opcode === 0x5a, cdb);
      case 0x25:
        return { status: ScsiStatus.Good, data: capacity10(this.#identity) };
      case 0x9e:
        return this.#serviceActionIn(cdb);
      default:
        return this.#runOnMedium(opcode, cdb, data);
    }
  }

  async #runOnMedium(opcode: number, cdb: Buffer, data: Buffer): Promise<CommandResult> {
    if (strikes(this.#faults, "busyCount")) return { status: ScsiStatus.Busy };
    if (strikes(this.#faults, "taskSetFullCount")) return { status: ScsiStatus.TaskSetFull };
    const isTen = opcode < 0x80;
    const lba = isTen ? cdb.readUInt32BE(2) : Number(cdb.readBigUInt64BE(2));
    const blocks = isTen ? cdb.readUInt16BE(7) : cdb.readUInt32BE(10);
    switch (opcode) {
      case 0x28:
      case 0x88:
        return this.#read(lba, blocks);
      case 0x2a:
      case 0x8a:
        return this.#write(lba, blocks, data);
      case 0x41:
      case 0x93:
        return this.#writeSame(lba, blocks, cdb.readUInt8(1), data);
      case 0x42:
        return this.#unmap(data);
      case 0x35:
      case 0x91:
        await this.#backing.flush();
        return GOOD;
      default:
        return INVALID_OPCODE();
    }
  }

  #serviceActionIn(cdb: Buffer): CommandResult {
    const action = cdb.readUInt8(1) & 0x1f;
    const lba = Number(cdb.readBigUInt64BE(2));
    if (action === 0x12 && !this.#isInRange(lba, 1)) return OUT_OF_RANGE();
    const data =
      action === 0x10 ? capacity16(this.#identity) : action === 0x12 ? lbaStatus(this.#identity, lba) : undefined;
    if (data === undefined) return INVALID_FIELD();
    return { status: ScsiStatus.Good, data: data.subarray(0, cdb.readUInt32BE(10)) };
  }

  #inquiry(cdb: Buffer, isPresent: boolean): CommandResult {
    const wantsPage = (cdb.readUInt8(1) & 1) !== 0;
    const code = cdb.readUInt8(2);
    if (!wantsPage && code !== 0) return INVALID_FIELD();
    const data = wantsPage ? vpdPage(code, this.#identity) : standardInquiry(isPresent);
    if (data === undefined) return INVALID_FIELD();
    return { status: ScsiStatus.Good, data: data.subarray(0, cdb.readUInt16BE(3)) };
  }

  #modeSense(isTen: boolean, cdb: Buffer): CommandResult {
    const data = modeSense(isTen, cdb.readUInt8(2) & 0x3f);
    if (data === undefined) return INVALID_FIELD();
    return { status: ScsiStatus.Good, data: data.subarray(0, isTen ? cdb.readUInt16BE(7) : cdb.readUInt8(4)) };
  }

  #isInRange(lba: number, blocks: number): boolean {
    return lba + blocks <= this.#identity.blocks;
  }

  async #read(lba: number, blocks: number): Promise<CommandResult> {
    if (!this.#isInRange(lba, blocks)) return OUT_OF_RANGE();
    const data = Buffer.allocUnsafe(blocks * this.blockSize);
    await this.#backing.read(lba * this.blockSize, data);
    return { status: ScsiStatus.Good, data };
  }

  async #write(lba: number, blocks: number, data: Buffer): Promise<CommandResult> {
    if (!this.#isInRange(lba, blocks)) return OUT_OF_RANGE();
    if (data.length < blocks * this.blockSize) return checkCondition(SenseKey.AbortedCommand, 0x4b);
    if (strikes(this.#faults, "writeErrorCount")) return checkCondition(SenseKey.MediumError, 0x0c);
    await this.#backing.write(lba * this.blockSize, data.subarray(0, blocks * this.blockSize));
    return GOOD;
  }

  async #writeSame(lba: number, blocks: number, flags: number, data: Buffer): Promise<CommandResult> {
    if (this.#faults.noWriteSame === true) return INVALID_OPCODE();
    const isUnmap = (flags & UNMAP_FLAG) !== 0;
    if (isUnmap && (this.#faults.noUnmap === true || this.#faults.liesAboutUnmap === true)) return INVALID_FIELD();
    const limit = this.#identity.limits.maximumWriteSameBlocks ?? 0;
    if (blocks === 0 || (limit !== 0 && blocks > limit)) return INVALID_FIELD();
    if (!this.#isInRange(lba, blocks)) return OUT_OF_RANGE();
    const hasNoData = (flags & NDOB_FLAG) !== 0;
    if (!hasNoData && data.length < this.blockSize) return checkCondition(SenseKey.AbortedCommand, 0x4b);
    const block = hasNoData ? Buffer.alloc(this.blockSize) : data.subarray(0, this.blockSize);
    if (block.every((byte) => byte === 0)) {
      await this.#backing.zero(lba * this.blockSize, blocks * this.blockSize);
      return GOOD;
    }
    for (let index = 0; index < blocks; index += 1) await this.#backing.write((lba + index) * this.blockSize, block);
    return GOOD;
  }

  async #unmap(data: Buffer): Promise<CommandResult> {
    if (this.#faults.noUnmap === true) return INVALID_OPCODE();
    if (data.length < 8) return checkCondition(SenseKey.IllegalRequest, 0x1a);
    const end = Math.min(data.length, 8 + data.readUInt16BE(2));
    for (let at = 8; at + 16 <= end; at += 16) {
      const lba = Number(data.readBigUInt64BE(at));
      const blocks = data.readUInt32BE(at + 8);
      if (!this.#isInRange(lba, blocks)) return OUT_OF_RANGE();
      await this.#backing.zero(lba * this.blockSize, blocks * this.blockSize);
    }
    return GOOD;
  }
}
