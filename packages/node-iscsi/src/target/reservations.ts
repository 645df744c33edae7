// Persistent reservations of the test target (SPC-4 5.13): registrations per I_T nexus, the reservation, and what it forbids.
import { PersistentReserveOutAction as Action, ReservationType as Type } from "../scsi/persistent-reservation.ts";
import { SenseKey } from "../scsi/sense.ts";
import {
  type CommandResult,
  checkCondition,
  GOOD,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  parameterListLengthError,
  RESERVATION_CONFLICT,
} from "./command-result.ts";
import type { CommandEntry } from "./command-table.ts";

const PARAMETER_BYTES = 24;
const TYPES: ReadonlySet<number> = new Set(Object.values(Type));
const REGISTRANTS_ONLY: ReadonlySet<number> = new Set([
  Type.WriteExclusiveRegistrantsOnly,
  Type.ExclusiveAccessRegistrantsOnly,
]);
const ALL_REGISTRANTS: ReadonlySet<number> = new Set([
  Type.WriteExclusiveAllRegistrants,
  Type.ExclusiveAccessAllRegistrants,
]);
const WRITE_EXCLUSIVE: ReadonlySet<number> = new Set([
  Type.WriteExclusive,
  Type.WriteExclusiveRegistrantsOnly,
  Type.WriteExclusiveAllRegistrants,
]);

/** UNIT ATTENTION qualifiers of ASC 2Ah. */
const RESERVATIONS_PREEMPTED = 0x03;
const RESERVATIONS_RELEASED = 0x04;
const REGISTRATIONS_PREEMPTED = 0x05;

/** Told about other initiators. */
export interface ReservationEvents {
  /** UNIT ATTENTION, ASC 2Ah, for the next command of this nexus. */
  attention(nexus: string, ascq: number): void;
  /** PREEMPT AND ABORT took this nexus's registration. */
  abortTasks(nexus: string): Promise<void>;
}

interface OutRequest {
  readonly nexus: string;
  readonly type: number;
  readonly key: bigint;
  readonly actionKey: bigint;
}

/** State lives as long as the target, connections or not: that is what APTPL means here. */
export class Reservations {
  readonly #events: ReservationEvents;
  /** Key by nexus, in the order of registration. */
  readonly #registrations = new Map<string, bigint>();
  #reservation: { readonly type: number; readonly holder: string } | undefined;
  #generation = 0;
  #persistsThroughPowerLoss = false;

  constructor(events: ReservationEvents) {
    this.#events = events;
  }

  get generation(): number {
    return this.#generation;
  }

  get persistsThroughPowerLoss(): boolean {
    return this.#persistsThroughPowerLoss;
  }

  /** Nexus and key of each registration. */
  get registrations(): readonly (readonly [nexus: string, key: bigint])[] {
    return [...this.#registrations];
  }

  /** Type and key; the key is 0 when all registrants hold it. */
  get reservation(): { readonly type: number; readonly key: bigint } | undefined {
    if (this.#reservation === undefined) return undefined;
    const { type, holder } = this.#reservation;
    return { type, key: ALL_REGISTRANTS.has(type) ? 0n : (this.#registrations.get(holder) ?? 0n) };
  }

  isHolder(nexus: string): boolean {
    if (this.#reservation === undefined) return false;
    const { type, holder } = this.#reservation;
    return ALL_REGISTRANTS.has(type) ? this.#registrations.has(nexus) : holder === nexus;
  }

  /** True when the command ends in RESERVATION CONFLICT. START STOP UNIT may start the unit, but nothing else. */
  forbids(nexus: string, cdb: Buffer, { opcode, access }: CommandEntry): boolean {
    if (this.#reservation === undefined || this.isHolder(nexus)) return false;
    const { type } = this.#reservation;
    if (REGISTRANTS_ONLY.has(type) && this.#registrations.has(nexus)) return false;
    if (opcode === 0x1b) return (cdb.readUInt8(4) & 0xf1) !== 0x01;
    if (access === "always") return false;
    return !(access === "read" && WRITE_EXCLUSIVE.has(type));
  }

  /** PERSISTENT RESERVE OUT (SPC-4 6.16). */
  async out(nexus: string, cdb: Buffer, data: Buffer): Promise<CommandResult> {
    const action = cdb.readUInt8(1) & 0x1f;
    if (cdb.readUInt32BE(5) !== PARAMETER_BYTES || data.length < PARAMETER_BYTES) return parameterListLengthError();
    const flags = data.readUInt8(20);
    // SPEC_I_PT and ALL_TG_PT, which REPORT CAPABILITIES does not offer.
    if ((flags & 0x0c) !== 0) return invalidFieldInParameterList(20, (flags & 0x08) !== 0 ? 3 : 2);
    const { type, scope } = { type: cdb.readUInt8(2) & 0x0f, scope: cdb.readUInt8(2) >> 4 };
    const request = { nexus, type, key: data.readBigUInt64BE(0), actionKey: data.readBigUInt64BE(8) };
    const isRegister = action === Action.Register || action === Action.RegisterAndIgnoreExistingKey;
    if (isRegister) return this.#register(request, action !== Action.Register, (flags & 0x01) !== 0);
    if (action !== Action.Clear && scope !== 0) return invalidFieldInCdb(2, 7);
    if (this.#registrations.get(nexus) !== request.key) return RESERVATION_CONFLICT;
    switch (action) {
      case Action.Reserve:
        return this.#reserve(request);
      case Action.Release:
        return this.#release(request);
      case Action.Clear:
        return this.#clear(request);
      default:
        return this.#preempt(request, action === Action.PreemptAndAbort);
    }
  }

  #register({ nexus, key, actionKey }: OutRequest, ignoresKey: boolean, persists: boolean): CommandResult {
    const current = this.#registrations.get(nexus);
    if (!ignoresKey && key !== (current ?? 0n)) return RESERVATION_CONFLICT;
    if (current === undefined && actionKey === 0n) return GOOD;
    if (actionKey === 0n) this.#unregister(nexus);
    else this.#registrations.set(nexus, actionKey);
    this.#persistsThroughPowerLoss = persists;
    this.#generation = (this.#generation + 1) >>> 0;
    return GOOD;
  }

  /** The reservation goes with its holder; when all registrants hold it, with the last of them. */
  #unregister(nexus: string): void {
    const wasHolder = this.isHolder(nexus);
    this.#registrations.delete(nexus);
    if (!wasHolder || this.#reservation === undefined) return;
    const { type } = this.#reservation;
    if (ALL_REGISTRANTS.has(type) && this.#registrations.size > 0) return;
    this.#reservation = undefined;
    if (REGISTRANTS_ONLY.has(type)) this.#tellOthers(nexus, RESERVATIONS_RELEASED);
  }

  #reserve({ nexus, type }: OutRequest): CommandResult {
    if (!TYPES.has(type)) return invalidFieldInCdb(2, 3);
    if (this.#reservation === undefined) this.#reservation = { type, holder: nexus };
    else if (!this.isHolder(nexus) || this.#reservation.type !== type) return RESERVATION_CONFLICT;
    return GOOD;
  }

  #release({ nexus, type }: OutRequest): CommandResult {
    if (this.#reservation === undefined || !this.isHolder(nexus)) return GOOD;
    if (this.#reservation.type !== type) return checkCondition(SenseKey.IllegalRequest, 0x26, 0x04);
    this.#reservation = undefined;
    if (REGISTRANTS_ONLY.has(type) || ALL_REGISTRANTS.has(type)) this.#tellOthers(nexus, RESERVATIONS_RELEASED);
    return GOOD;
  }

  #clear({ nexus }: OutRequest): CommandResult {
    this.#tellOthers(nexus, RESERVATIONS_PREEMPTED);
    this.#reservation = undefined;
    this.#registrations.clear();
    this.#generation = (this.#generation + 1) >>> 0;
    return GOOD;
  }

  async #preempt({ nexus, type, actionKey }: OutRequest, aborts: boolean): Promise<CommandResult> {
    const held = this.#reservation;
    const isAll = held !== undefined && ALL_REGISTRANTS.has(held.type);
    const takesOver = held !== undefined && (isAll ? actionKey === 0n : actionKey === this.reservation?.key);
    if (!takesOver && actionKey === 0n) return invalidFieldInParameterList(8);
    if (takesOver && !TYPES.has(type)) return invalidFieldInCdb(2, 3);
    const hasKey = (key: bigint) => (isAll && actionKey === 0n) || key === actionKey;
    const matching = this.registrations.filter(([, key]) => hasKey(key)).map(([other]) => other);
    if (matching.length === 0) return RESERVATION_CONFLICT;
    // An initiator that preempts its own key keeps its registration when it takes the reservation over.
    const victims = takesOver ? matching.filter((other) => other !== nexus) : matching;
    for (const victim of victims) this.#registrations.delete(victim);
    for (const victim of victims) if (victim !== nexus) this.#events.attention(victim, REGISTRATIONS_PREEMPTED);
    if (takesOver) {
      if (held.type !== type) this.#tellOthers(nexus, RESERVATIONS_RELEASED);
      this.#reservation = { type, holder: nexus };
    } else if (isAll && this.#registrations.size === 0) this.#reservation = undefined;
    this.#generation = (this.#generation + 1) >>> 0;
    if (aborts) for (const victim of victims) if (victim !== nexus) await this.#events.abortTasks(victim);
    return GOOD;
  }

  #tellOthers(nexus: string, ascq: number): void {
    for (const other of this.#registrations.keys()) if (other !== nexus) this.#events.attention(other, ascq);
  }
}
