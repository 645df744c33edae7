// The event log of a simulated BMC: records, reservation, clock (IPMI 2.0, 31).
import {
  FIRST_RECORD,
  type GetRecordRequest,
  type GetRecordResponse,
  LAST_RECORD,
  NOT_PRESENT,
  WHOLE_RECORD,
} from "../commands/get-record.ts";
import type { SelInfo } from "../commands/get-sel-info.ts";
import { RESERVATION_LOST } from "../commands/reservation.ts";
import { NO_TIME, SEL_RECORD_BYTES } from "../records/sel-record.ts";
import type { Outcome } from "./outcome.ts";

const CAPACITY = 512;
const OUT_OF_SPACE = 0xc4;
const PARAMETER_OUT_OF_RANGE = 0xc9;
const FIRST_OEM_WITHOUT_TIME = 0xe0;

/** A reservation: what was reserved has not changed as long as its id is the last one given out and still good. */
export class Reservations {
  #last = 0;
  #isGood = false;

  reserve(): number {
    this.#last = (this.#last % 0xffff) + 1;
    this.#isGood = true;
    return this.#last;
  }

  cancel(): void {
    this.#isGood = false;
  }

  isGood(id: number): boolean {
    return this.#isGood && id === this.#last;
  }
}

/** The piece of `record` that was asked for; a piece that does not begin at its start needs the reservation. */
export function pieceOf(
  record: Buffer,
  nextRecordId: number,
  request: GetRecordRequest,
  reservations: Reservations,
): Outcome<GetRecordResponse> {
  const { offset, byteCount, reservationId } = request;
  if (offset !== 0 && !reservations.isGood(reservationId)) return { refusal: RESERVATION_LOST };
  if (offset >= record.length) return { refusal: PARAMETER_OUT_OF_RANGE };
  const end = byteCount === WHOLE_RECORD ? record.length : offset + byteCount;
  return { response: { nextRecordId, data: record.subarray(offset, end) } };
}

/** At most 512 records; ids count up from 1. */
export class SimulatedSel {
  readonly reservations = new Reservations();
  #records: Buffer[] = [];
  #nextId = 1;
  #lastAddition = NO_TIME;
  #lastErase = NO_TIME;
  #hasOverflowed = false;
  /** What Set SEL Time put between the host's clock and ours. */
  #clockOffset = 0;

  get seconds(): number {
    return (Math.floor(Date.now() / 1000) + this.#clockOffset) >>> 0;
  }

  set seconds(seconds: number) {
    this.#clockOffset = seconds - Math.floor(Date.now() / 1000);
  }

  get info(): SelInfo {
    return {
      version: "1.5",
      entryCount: this.#records.length,
      freeBytes: (CAPACITY - this.#records.length) * SEL_RECORD_BYTES,
      lastAdditionSeconds: this.#lastAddition,
      lastEraseSeconds: this.#lastErase,
      hasOverflowed: this.#hasOverflowed,
      canDelete: false,
      canReserve: true,
    };
  }

  /** Adds 16 bytes, with our record id and time but for those that have their own time. */
  add(record: Buffer, hasOwnTime = false): Outcome<{ recordId: number }> {
    if (this.#records.length >= CAPACITY) {
      this.#hasOverflowed = true;
      return { refusal: OUT_OF_SPACE };
    }
    const kept = Buffer.from(record);
    const recordId = this.#nextId;
    this.#nextId = (this.#nextId % (LAST_RECORD - 1)) + 1;
    kept.writeUInt16LE(recordId, 0);
    if (!hasOwnTime && kept.readUInt8(2) < FIRST_OEM_WITHOUT_TIME) kept.writeUInt32LE(this.seconds, 3);
    this.#records.push(kept);
    this.#lastAddition = this.seconds;
    // An event that came since the reservation must not be erased unseen (31.4).
    this.reservations.cancel();
    return { response: { recordId } };
  }

  get(request: GetRecordRequest): Outcome<GetRecordResponse> {
    const at = this.#indexOf(request.recordId);
    const record = this.#records[at];
    if (record === undefined) return { refusal: NOT_PRESENT };
    return pieceOf(record, this.#records[at + 1]?.readUInt16LE(0) ?? LAST_RECORD, request, this.reservations);
  }

  /** Erases at once. Returns a completion code. */
  clear(reservationId: number): number {
    if (!this.reservations.isGood(reservationId)) return RESERVATION_LOST;
    this.reservations.cancel();
    this.#records = [];
    this.#hasOverflowed = false;
    this.#lastErase = this.seconds;
    return 0;
  }

  #indexOf(recordId: number): number {
    if (recordId === FIRST_RECORD) return 0;
    if (recordId === LAST_RECORD) return this.#records.length - 1;
    return this.#records.findIndex((record) => record.readUInt16LE(0) === recordId);
  }
}
