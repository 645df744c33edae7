// Reading and clearing the system event log (IPMI 2.0, 31).
import type { OperationOptions } from "./budget.ts";
import { clearSel as clearSelCommand } from "./commands/clear-sel.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import {
  FIRST_RECORD,
  type GetRecordResponse,
  getSelEntry,
  LAST_RECORD,
  NOT_PRESENT,
  WHOLE_RECORD,
} from "./commands/get-record.ts";
import { getSelInfo, type SelInfo } from "./commands/get-sel-info.ts";
import { RESERVATION_LOST, reserveSel } from "./commands/reservation.ts";
import { decodeSelRecord, SEL_RECORD_BYTES, type SelRecord } from "./records/sel-record.ts";
import { isRefusal, requireNewRecord, Walk } from "./walk.ts";
import { requireLength } from "./wire/wire-error.ts";

/** Options of {@link readSel}. */
export interface ReadSelOptions extends OperationOptions {
  /** The oldest so many records, and no more. Default: all; a log holds 65534 at most. */
  readonly maxRecords?: number;
}

const ERASE_POLL_MS = 100;
/** Other programs that reserve the log in the middle of our clearing. */
const CLEAR_ATTEMPTS = 5;

/** Entries, free space, times and abilities of the log. */
export function readSelInfo(runner: CommandRunner, options: OperationOptions = {}): Promise<SelInfo> {
  return new Walk(runner, "read the SEL info", options).run(getSelInfo, undefined);
}

/**
 * The records of the log, the oldest first. `options.deadlineMs` (default 60000) is for all of it. A log that is cleared
 * meanwhile ends where it was. `Protocol` if the BMC's records lead in a circle.
 */
export async function readSel(runner: CommandRunner, options: ReadSelOptions = {}): Promise<SelRecord[]> {
  const walk = new Walk(runner, "read the SEL", options);
  const maxRecords = options.maxRecords ?? LAST_RECORD;
  const records: SelRecord[] = [];
  const asked = new Set<number>();
  for (let recordId = FIRST_RECORD; recordId !== LAST_RECORD && records.length < maxRecords; ) {
    asked.add(recordId);
    const request = { reservationId: 0, recordId, offset: 0, byteCount: WHOLE_RECORD };
    let entry: GetRecordResponse;
    try {
      entry = await walk.run(getSelEntry, request, (response) => {
        requireLength(response.data, SEL_RECORD_BYTES, "a SEL record");
        requireNewRecord(response, asked);
      });
    } catch (error) {
      // An empty log, and one that was cleared since the last record.
      if (isRefusal(error, NOT_PRESENT)) break;
      throw error;
    }
    records.push(decodeSelRecord(entry.data));
    recordId = entry.nextRecordId;
  }
  return records;
}

/**
 * Erases the log and waits until the BMC says it is done. Records that come between the reservation and the erasure are
 * not lost unseen: the BMC then refuses, and the clearing begins again, five times at most.
 */
export async function clearSel(runner: CommandRunner, options: OperationOptions = {}): Promise<void> {
  const walk = new Walk(runner, "clear the SEL", options);
  for (let attempt = 1; ; attempt += 1) {
    const { reservationId } = await walk.run(reserveSel, undefined);
    try {
      let { isErased } = await walk.run(clearSelCommand, { reservationId, action: "initiate-erase" });
      while (!isErased) {
        await walk.pause(ERASE_POLL_MS);
        ({ isErased } = await walk.run(clearSelCommand, { reservationId, action: "get-status" }));
      }
      return;
    } catch (error) {
      if (attempt === CLEAR_ATTEMPTS || !isRefusal(error, RESERVATION_LOST)) throw error;
    }
  }
}
