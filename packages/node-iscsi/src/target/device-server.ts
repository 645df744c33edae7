// Device server of the test target: decides whether a CDB may run now, runs it, and says with which status it ended (SPC-4, SBC-4).
import { encodeFixedSense, ScsiStatus, SenseKey } from "../scsi/sense.ts";
import type { Backing } from "./backing.ts";
import {
  BUSY,
  type CommandResult,
  checkCondition,
  GOOD,
  goodWith,
  invalidFieldInCdb,
  invalidOpcode,
  noSuchLun,
  notReadySense,
  RESERVATION_CONFLICT,
  TASK_SET_FULL,
  writeProtected,
} from "./command-result.ts";
import { type CommandEntry, lookUpCommand, reportSupportedOperationCodes } from "./command-table.ts";
import { Erasure } from "./erasure.ts";
import { strikes } from "./faults.ts";
import { inquiryCommand, readCapacity10Command, readCapacity16Command, reportLunsCommand } from "./inquiry-pages.ts";
import { LogicalUnit, type LogicalUnitOptions } from "./logical-unit.ts";
import { modeSenseCommand } from "./mode-pages.ts";
import { persistentReserveInCommand } from "./persistent-reserve-in.ts";
import { getLbaStatusCommand, unmapCommand, writeSameCommand } from "./provisioning-commands.ts";
import {
  compareAndWriteCommand,
  orWriteCommand,
  prefetchCommand,
  readCommand,
  verifyCommand,
  writeAndVerifyCommand,
  writeCommand,
} from "./read-write-commands.ts";
import { Reservations } from "./reservations.ts";

/** Options of a device server. */
export interface DeviceServerOptions extends LogicalUnitOptions {
  /** PREEMPT AND ABORT: aborts the tasks of this I_T nexus before the command is answered. */
  readonly abortTasks?: ((nexus: string) => Promise<void>) | undefined;
}

/** The I_T nexus of callers that do not tell theirs. */
const DEFAULT_NEXUS = "iqn.2013-06.org.openstack:initiator,i,0x000000000000";
const INQUIRY = 0x12;
const REPORT_LUNS = 0xa0;
const REQUEST_SENSE = 0x03;
/** INQUIRY, REPORT LUNS and REQUEST SENSE do not report unit attentions as a status (SPC-4 5.14). */
const REPORTS_NO_ATTENTION: ReadonlySet<number> = new Set([INQUIRY, REPORT_LUNS, REQUEST_SENSE]);
const INITIALIZING_COMMAND_REQUIRED = 0x02;
/** No nexus collects more: the oldest stay. */
const MAX_ATTENTIONS = 8;

type MediumCommand = (unit: LogicalUnit, cdb: Buffer, data: Buffer) => Promise<CommandResult>;

const flush: MediumCommand = async (unit) => {
  await unit.backing.flush();
  return GOOD;
};

const SHARED: ReadonlyMap<number, MediumCommand> = new Map<number, MediumCommand>([
  ...[0x08, 0x28, 0x88, 0xa8].map((opcode) => [opcode, readCommand] as const),
  ...[0x0a, 0x2a, 0x8a, 0xaa].map((opcode) => [opcode, writeCommand] as const),
  ...[0x2e, 0x8e, 0xae].map((opcode) => [opcode, writeAndVerifyCommand] as const),
  ...[0x2f, 0x8f, 0xaf].map((opcode) => [opcode, verifyCommand] as const),
  ...[0x34, 0x90].map((opcode) => [opcode, prefetchCommand] as const),
  ...[0x35, 0x91].map((opcode) => [opcode, flush] as const),
  ...[0x41, 0x93].map((opcode) => [opcode, writeSameCommand] as const),
  [0x42, unmapCommand],
]);
/** Read and write in one step. */
const EXCLUSIVE: ReadonlyMap<number, MediumCommand> = new Map([
  [0x89, compareAndWriteCommand],
  [0x8b, orWriteCommand],
]);

/** One logical unit. */
export class DeviceServer {
  readonly lun: number;
  readonly blockSize: number;
  readonly #unit: LogicalUnit;
  readonly #erasure: Erasure;
  readonly #reservations: Reservations;
  readonly #attentions = new Map<string, { asc: number; ascq: number }[]>();

  constructor(backing: Backing, options: DeviceServerOptions) {
    this.lun = options.lun;
    this.blockSize = options.blockSize;
    this.#unit = new LogicalUnit(backing, options);
    this.#erasure = new Erasure(this.#unit);
    this.#reservations = new Reservations({
      attention: (nexus, ascq) => this.#attend(nexus, 0x2a, ascq),
      abortTasks: async (nexus) => options.abortTasks?.(nexus),
    });
  }

  /**
   * Runs one command; `data` is all of its data-out. `nexus` is the SCSI initiator port's name (`<iSCSI name>,i,0x<ISID>`), by which
   * reservations are held. Never rejects: a broken backing is a HARDWARE ERROR.
   */
  async run(lun: number | undefined, cdb: Buffer, data: Buffer, nexus = DEFAULT_NEXUS): Promise<CommandResult> {
    const opcode = cdb.readUInt8(0);
    const isOurs = lun === this.lun;
    if (!isOurs && opcode === REQUEST_SENSE)
      return goodWith(encodeFixedSense(SenseKey.IllegalRequest, 0x25, 0), cdb.readUInt8(4));
    if (!isOurs && opcode !== INQUIRY && opcode !== REPORT_LUNS) return noSuchLun();
    const entry = lookUpCommand(cdb);
    if (entry === undefined || !this.#isPresent(opcode)) return invalidOpcode();
    if ("status" in entry) return entry;
    const refusal = isOurs ? this.#refusal(cdb, entry, nexus) : undefined;
    if (refusal !== undefined) return refusal;
    try {
      return await this.#dispatch(opcode, cdb, data, { nexus, isOurs });
    } catch {
      return checkCondition(SenseKey.HardwareError, 0x44);
    }
  }

  /** Resolves when no format or sanitize goes on in the background: to be awaited before the backing is closed. */
  settled(): Promise<void> {
    return this.#erasure.settled();
  }

  /** Why the command cannot run now, most pressing first (SAM-5 5.3.1, SPC-4 5.14). */
  #refusal(cdb: Buffer, entry: CommandEntry, nexus: string): CommandResult | undefined {
    const { faults } = this.#unit;
    const attention = REPORTS_NO_ATTENTION.has(entry.opcode) ? undefined : this.#takeAttention(nexus);
    if (attention !== undefined) return checkCondition(SenseKey.UnitAttention, attention.asc, attention.ascq);
    if (this.#reservations.forbids(nexus, cdb, entry)) return RESERVATION_CONFLICT;
    const notReady = this.#erasure.notReady;
    if (notReady !== undefined && !entry.worksWhileErasing && !this.#erasure.accepts(entry.opcode))
      return { status: ScsiStatus.CheckCondition, sense: notReady };
    const needsStart = entry.usesMedium || entry.opcode === 0x00;
    if (needsStart && !this.#unit.isStarted)
      return { status: ScsiStatus.CheckCondition, sense: notReadySense(INITIALIZING_COMMAND_REQUIRED) };
    if (entry.usesMedium && strikes(faults, "busyCount")) return BUSY;
    if (entry.usesMedium && strikes(faults, "taskSetFullCount")) return TASK_SET_FULL;
    return entry.changesMedium && faults.isWriteProtected === true ? writeProtected() : undefined;
  }

  #dispatch(
    opcode: number,
    cdb: Buffer,
    data: Buffer,
    { nexus, isOurs }: { nexus: string; isOurs: boolean },
  ): Promise<CommandResult> | CommandResult {
    const unit = this.#unit;
    const shared = SHARED.get(opcode);
    if (shared !== undefined) return unit.gate.shared(() => shared(unit, cdb, data));
    const exclusive = EXCLUSIVE.get(opcode);
    if (exclusive !== undefined) return unit.gate.exclusive(() => exclusive(unit, cdb, data));
    switch (opcode) {
      case 0x00:
        return GOOD;
      case REQUEST_SENSE:
        return this.#requestSense(cdb, nexus);
      case 0x04:
        return this.#erasure.format(cdb, data);
      case INQUIRY:
        return inquiryCommand(unit, cdb, isOurs);
      case 0x1a:
      case 0x5a:
        return modeSenseCommand(unit, cdb);
      case 0x1b:
        return this.#startStop(cdb);
      case 0x25:
        return readCapacity10Command(unit, cdb);
      case 0x48:
        return this.#erasure.sanitize(cdb, data);
      case 0x5e:
        return persistentReserveInCommand(this.#reservations, cdb);
      case 0x5f:
        return this.#reservations.out(nexus, cdb, data);
      case 0x9e:
        return (cdb.readUInt8(1) & 0x1f) === 0x10 ? readCapacity16Command(unit, cdb) : getLbaStatusCommand(unit, cdb);
      case REPORT_LUNS:
        return reportLunsCommand(this.lun, cdb);
      default:
        return reportSupportedOperationCodes(cdb, (one) => this.#isPresent(one));
    }
  }

  /** Faults take whole commands away. */
  #isPresent(opcode: number): boolean {
    const { noUnmap, noWriteSame } = this.#unit.faults;
    return !(opcode === 0x42 && noUnmap === true) && !((opcode === 0x41 || opcode === 0x93) && noWriteSame === true);
  }

  /** What is the matter now: an operation in the background, or an attention that waits. */
  #requestSense(cdb: Buffer, nexus: string): CommandResult {
    const attention = this.#takeAttention(nexus);
    const sense =
      attention === undefined
        ? (this.#erasure.notReady ?? encodeFixedSense(SenseKey.NoSense, 0, 0))
        : encodeFixedSense(SenseKey.UnitAttention, attention.asc, attention.ascq);
    return goodWith(sense, cdb.readUInt8(4));
  }

  /** Power conditions change nothing here; nothing can be ejected. */
  #startStop(cdb: Buffer): CommandResult {
    const flags = cdb.readUInt8(4);
    if (flags >> 4 !== 0) return GOOD;
    if ((flags & 0x02) !== 0) return invalidFieldInCdb(4, 1);
    this.#unit.isStarted = (flags & 0x01) !== 0;
    return GOOD;
  }

  #attend(nexus: string, asc: number, ascq: number): void {
    const waiting = this.#attentions.get(nexus) ?? [];
    if (waiting.length < MAX_ATTENTIONS) waiting.push({ asc, ascq });
    this.#attentions.set(nexus, waiting);
  }

  #takeAttention(nexus: string): { asc: number; ascq: number } | undefined {
    if (this.#attentions.size === 0) return undefined;
    const waiting = this.#attentions.get(nexus);
    const first = waiting?.shift();
    if (waiting?.length === 0) this.#attentions.delete(nexus);
    return first;
  }
}
