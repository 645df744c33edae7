// Walking the repository of sensor data records (IPMI 2.0, 33.12).
import type { OperationOptions } from "./budget.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import { FIRST_RECORD, type GetRecordResponse, getSdr, LAST_RECORD, NOT_PRESENT } from "./commands/get-record.ts";
import { RESERVATION_LOST, reserveSdrRepository } from "./commands/reservation.ts";
import { PieceSize, requireData } from "./partial-read.ts";
import { SDR_HEADER_BYTES } from "./records/sdr-header.ts";
import { decodeSdr, type SdrRecord } from "./records/sdr-record.ts";
import { isRefusal, requireNewRecord, Walk } from "./walk.ts";
import { requireLength } from "./wire/wire-error.ts";

/** Fits the message buffers of all BMCs we know of; most can do more, few can do a whole record. */
const FIRST_PIECE_BYTES = 32;
/** The offset in a record has one byte. */
const LARGEST_BODY_BYTES = 0xff - SDR_HEADER_BYTES;
/** Other parties that change or reserve the repository in the middle of our walk. */
const WALK_ATTEMPTS = 5;
const RETRY_PAUSE_MS = 100;

/**
 * All records of the repository, in its order. `options.deadlineMs` (default 60000) is for all of it. When the BMC takes
 * the reservation back the walk begins again, five times at most. `Protocol` if the records lead in a circle.
 */
export async function walkSdr(runner: CommandRunner, options: OperationOptions = {}): Promise<SdrRecord[]> {
  return walkSdrWithin(new Walk(runner, "walk the SDR repository", options));
}

/** {@link walkSdr} as part of a longer operation. */
export async function walkSdrWithin(walk: Walk): Promise<SdrRecord[]> {
  const piece = new PieceSize(FIRST_PIECE_BYTES);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await walkOnce(walk, piece);
    } catch (error) {
      if (attempt === WALK_ATTEMPTS || !isRefusal(error, RESERVATION_LOST)) throw error;
      // Two consoles that walk at the same time take the reservation from each other, until one of them waits longer.
      await walk.pause(attempt * RETRY_PAUSE_MS * Math.random());
    }
  }
}

async function walkOnce(walk: Walk, piece: PieceSize): Promise<SdrRecord[]> {
  const { reservationId } = await walk.run(reserveSdrRepository, undefined);
  const records: SdrRecord[] = [];
  const asked = new Set<number>();
  for (let recordId = FIRST_RECORD; recordId !== LAST_RECORD; ) {
    asked.add(recordId);
    const head = await readHead(walk, { reservationId, recordId, offset: 0, byteCount: SDR_HEADER_BYTES }, asked);
    if (head === undefined) break;
    const header = head.data.subarray(0, SDR_HEADER_BYTES);
    const bodyBytes = Math.min(header.readUInt8(4), LARGEST_BODY_BYTES);
    const body = await piece.read(SDR_HEADER_BYTES, bodyBytes, async (offset, byteCount) => {
      const request = { reservationId, recordId, offset, byteCount };
      return (await walk.run(getSdr, request, requireData)).data;
    });
    records.push(decodeSdr(Buffer.concat([header, body])));
    recordId = head.nextRecordId;
  }
  return records;
}

/** Header and next id of a record; undefined if there is none, as in an empty repository. */
async function readHead(
  walk: Walk,
  request: { reservationId: number; recordId: number; offset: number; byteCount: number },
  asked: ReadonlySet<number>,
): Promise<GetRecordResponse | undefined> {
  try {
    return await walk.run(getSdr, request, (response) => {
      requireLength(response.data, SDR_HEADER_BYTES, "the header of a sensor data record");
      requireNewRecord(response, asked);
    });
  } catch (error) {
    if (isRefusal(error, NOT_PRESENT) && request.recordId === FIRST_RECORD) return undefined;
    throw error;
  }
}
