// The task set of one session of the test target: takes commands in, collects their data, runs them, ends them (SAM-5 5, RFC 7143 4.2).
import { setTimeout as delay } from "node:timers/promises";
import { ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import { decodeDataOut, encodeReadyToTransfer } from "../pdu/data.ts";
import { isImmediate } from "../pdu/header.ts";
import { decodeScsiCommand } from "../pdu/scsi.ts";
import { encodeFixedSense, ScsiStatus, SenseKey } from "../scsi/sense.ts";
import type { TargetWire, WireContext } from "./target-connection-wire.ts";
import { TargetAnswers, type TaskResult } from "./target-session-answers.ts";
import type { TargetSequenceNumbers } from "./target-session-sequence.ts";
import { TargetTask } from "./target-session-task.ts";

/** What runs the commands. */
export interface CommandRunner {
  readonly lun: number;
  /** Never rejects. `nexus` names the initiator port, for reservations. */
  run(lun: number | undefined, cdb: Buffer, data: Buffer, nexus?: string): Promise<TaskResult>;
}

/** What a task set needs of its session. */
export interface TaskSetContext extends WireContext {
  readonly device: CommandRunner;
  readonly commandWindow: number;
  /** Memory for data that nobody will look at; undefined when the backing keeps what is written. */
  readonly scratch: ((bytes: number) => Buffer) | undefined;
}

export interface UnitAttention {
  readonly asc: number;
  readonly ascq: number;
}

/** A write larger than this is refused before memory is set aside for it. */
const MAX_WRITE_BYTES = 64 * 1024 * 1024;
/** Immediate commands are not bound to the window; more than this beyond it are refused. */
const MAX_IMMEDIATE_COMMANDS = 8;
/** Reject reasons (RFC 7143 11.17.1). */
const TOO_MANY_IMMEDIATE = 0x06;
const TASK_IN_PROGRESS = 0x07;

const WRITES = new Set([0x2a, 0x8a]);
/** INQUIRY, REPORT LUNS and REQUEST SENSE do not report unit attentions (SPC-4 5.14). */
const REPORTS_NO_ATTENTION = new Set([0x12, 0xa0, 0x03]);
/** Protocol service CRC error: a command whose data arrived damaged (RFC 7143 11.4.7.2). */
const CRC_ERROR: TaskResult = {
  status: ScsiStatus.CheckCondition,
  sense: encodeFixedSense(SenseKey.AbortedCommand, 0x47, 0x05),
};

export class TargetTaskSet {
  /** Reported one by one, each in place of a command. */
  readonly unitAttentions: UnitAttention[] = [];
  readonly #context: TaskSetContext;
  readonly #wire: TargetWire;
  readonly #numbers: TargetSequenceNumbers;
  readonly #parameters: SessionParameters;
  readonly #answers: TargetAnswers;
  readonly #nexus: string;
  readonly #tasks = new Map<number, TargetTask>();
  /** Tasks that lost data on the way: they end with an error once the initiator has sent the rest. */
  readonly #damaged = new Set<TargetTask>();
  readonly #running = new Set<Promise<void>>();
  #nextTransferTag = 1;
  #commandNumber = 0;

  constructor(
    context: TaskSetContext,
    wire: TargetWire,
    numbers: TargetSequenceNumbers,
    parameters: SessionParameters,
    nexus: string,
  ) {
    this.#context = context;
    this.#wire = wire;
    this.#numbers = numbers;
    this.#parameters = parameters;
    this.#nexus = nexus;
    this.#answers = new TargetAnswers(context, wire, numbers, parameters.maxSendDataSegmentBytes);
  }

  /** Takes a SCSI command in. Returns a Reject reason when it cannot be a task. */
  onCommand(header: Buffer, data: Buffer): number | undefined {
    const pdu = decodeScsiCommand(header);
    if (pdu.read && pdu.write) throw new ProtocolError("bidirectional commands are not supported");
    if (pdu.write && pdu.expectedDataTransferLength > MAX_WRITE_BYTES) throw new ProtocolError("write too large");
    if (this.#tasks.has(pdu.initiatorTaskTag)) return TASK_IN_PROGRESS;
    if (isImmediate(header) && this.#tasks.size >= this.#context.commandWindow + MAX_IMMEDIATE_COMMANDS)
      return TOO_MANY_IMMEDIATE;
    const isIgnored = this.#context.scratch !== undefined && WRITES.has(pdu.cdb[0] ?? 0);
    const scratch = isIgnored && pdu.write ? this.#context.scratch?.(pdu.expectedDataTransferLength) : undefined;
    const task = new TargetTask(pdu, data, this.#parameters, scratch);
    this.#tasks.set(task.tag, task);
    this.#numbers.outstanding = this.#tasks.size;
    this.#advance(task);
    return undefined;
  }

  placeData(header: Buffer, bytes: number): Buffer | undefined {
    const task = this.#tasks.get(header.readUInt32BE(16));
    return task === undefined || this.#damaged.has(task) ? undefined : task.place(header.readUInt32BE(40), bytes);
  }

  onDataOut(header: Buffer): void {
    const pdu = decodeDataOut(header);
    const task = this.#tasks.get(pdu.initiatorTaskTag);
    // Data of a task that was aborted meanwhile is on its way for a while.
    if (task === undefined) return;
    if (this.#damaged.has(task)) {
      this.#onDamaged(task, pdu.final);
      return;
    }
    task.accept(pdu);
    this.#advance(task);
  }

  /** A Data-Out whose data was damaged on the way: the task fails once the rest has come (RFC 7143 7.8). */
  onDamagedDataOut(header: Buffer): void {
    const pdu = decodeDataOut(header);
    const task = this.#tasks.get(pdu.initiatorTaskTag);
    if (task === undefined) return;
    this.#damaged.add(task);
    this.#onDamaged(task, pdu.final);
  }

  /** Ends the tasks that `isVictim` picks. Resolves with their number when none of them can touch the medium any more. */
  async abort(isVictim: (task: TargetTask) => boolean): Promise<number> {
    const victims = [...this.#tasks.values()].filter(isVictim);
    for (const task of victims) {
      task.abort.abort();
      this.#remove(task);
    }
    await Promise.all(victims.map((task) => task.done));
    return victims.length;
  }

  /** Aborts all tasks; resolves when nothing of them runs, also of those aborted before. */
  async end(): Promise<void> {
    await this.abort(() => true);
    await Promise.all(this.#running);
  }

  #onDamaged(task: TargetTask, isFinal: boolean): void {
    if (isFinal) task.skipSequence();
    if (task.openSequences > 0) return;
    this.#remove(task);
    this.#answers.answer(task, CRC_ERROR);
  }

  #remove(task: TargetTask): void {
    this.#tasks.delete(task.tag);
    this.#damaged.delete(task);
    this.#numbers.outstanding = this.#tasks.size;
  }

  /** Runs the task if its data is all here, else asks for more. */
  #advance(task: TargetTask): void {
    if (!task.isComplete) {
      this.#askForData(task);
      return;
    }
    const running = this.#run(task).catch((error) => this.#wire.fail(error));
    task.done = running;
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  #askForData(task: TargetTask): void {
    const { faults, triggers } = this.#context;
    const allowed = this.#parameters.maxOutstandingR2T + (faults.extraR2ts ?? 0);
    const most = Math.min(this.#parameters.maxBurstBytes, faults.r2tBytes ?? Number.POSITIVE_INFINITY);
    // Unsolicited data comes first; where it ends is not known before.
    if (task.awaitsUnsolicited) return;
    while (task.openSequences < allowed && task.nextOffset < task.expectedBytes) {
      const bufferOffset = task.nextOffset;
      const rest = task.expectedBytes - bufferOffset;
      const bytes = Math.max(1, Math.min(rest, most));
      const targetTransferTag = this.#nextTransferTag;
      this.#nextTransferTag = (this.#nextTransferTag % 0x7fffffff) + 1;
      task.ask(targetTransferTag, bytes);
      const pdu = {
        initiatorTaskTag: task.tag,
        targetTransferTag,
        ...this.#numbers.next(false),
        r2tSn: task.r2tSn,
        bufferOffset,
        desiredLength: faults.asksTooMuch === true ? rest + 512 : bytes,
      };
      task.r2tSn += 1;
      this.#wire.send(encodeReadyToTransfer(pdu, task.lun ?? 0));
      if (triggers.strikes(faults.repeatsR2t, this.#wire.socket))
        this.#wire.send(encodeReadyToTransfer(pdu, task.lun ?? 0));
    }
  }

  async #run(task: TargetTask): Promise<void> {
    const { faults, triggers, counts, device } = this.#context;
    this.#commandNumber += 1;
    if (faults.delayMs !== undefined) await this.#delay(task, faults.delayMs, this.#commandNumber);
    if (this.#wire.isCongested) await this.#wire.drained();
    if (task.isAborted || this.#wire.isClosed) return;
    const opcode = task.cdb[0];
    if (triggers.strikesOn(faults.dropsBeforeExecution, opcode, this.#wire.socket)) {
      this.#wire.end();
      return;
    }
    let result = this.#insteadOfRunning(task);
    if (result === undefined) {
      counts.commands += 1;
      result = await device.run(task.lun, task.cdb, task.data, this.#nexus);
      if (triggers.strikesOn(faults.executesButDropsStatus, opcode, this.#wire.socket)) this.#wire.end();
    }
    if (task.isAborted || this.#wire.isClosed) return;
    this.#remove(task);
    this.#answers.answer(task, result);
  }

  async #delay(task: TargetTask, wish: NonNullable<WireContext["faults"]["delayMs"]>, number: number): Promise<void> {
    const ms = typeof wish === "number" ? wish : wish(task.cdb, number);
    if (ms <= 0) return;
    // Aborted tasks are not run; that the delay ends early is all the rejection says.
    await delay(ms, undefined, { signal: task.abort.signal }).catch(() => undefined);
  }

  /** How the command ends without being run: a fault, or a unit attention. */
  #insteadOfRunning(task: TargetTask): TaskResult | undefined {
    const { faults, triggers } = this.#context;
    const opcode = task.cdb.readUInt8(0);
    const statuses = faults.statuses === undefined ? [] : [faults.statuses].flat();
    const scripted = statuses.find((status) => triggers.strikesOn(status, opcode, this.#wire.socket));
    if (scripted !== undefined) {
      const { status, response, senseKey, asc = 0, ascq = 0 } = scripted;
      return { status, response, sense: senseKey === undefined ? undefined : encodeFixedSense(senseKey, asc, ascq) };
    }
    if (!REPORTS_NO_ATTENTION.has(opcode)) {
      const attention = this.unitAttentions.shift();
      if (attention !== undefined) {
        const sense = encodeFixedSense(SenseKey.UnitAttention, attention.asc, attention.ascq);
        return { status: ScsiStatus.CheckCondition, sense };
      }
    }
    return faults.keepsDataOnUnmap === true && isUnmap(task.cdb) ? { status: ScsiStatus.Good } : undefined;
  }
}

/** UNMAP, or WRITE SAME with the UNMAP bit (SBC-4 5.54, 5.61). */
function isUnmap(cdb: Buffer): boolean {
  const opcode = cdb[0];
  return opcode === 0x42 || ((opcode === 0x41 || opcode === 0x93) && ((cdb[1] ?? 0) & 0x08) !== 0);
}
