// SEL, SDR repository, sensor and FRU commands of a simulated BMC (IPMI 2.0, 31, 33 to 35).
import { addSelEntry } from "../commands/add-sel-entry.ts";
import { clearSel } from "../commands/clear-sel.ts";
import { getFruInventoryAreaInfo, readFruData, writeFruData } from "../commands/fru-inventory.ts";
import {
  FIRST_RECORD,
  type GetRecordRequest,
  type GetRecordResponse,
  getSdr,
  getSelEntry,
  LAST_RECORD,
  NOT_PRESENT,
} from "../commands/get-record.ts";
import { getSdrRepositoryInfo } from "../commands/get-sdr-repository-info.ts";
import { getSelInfo } from "../commands/get-sel-info.ts";
import { getSensorReading } from "../commands/get-sensor-reading.ts";
import { getSensorThresholds } from "../commands/get-sensor-thresholds.ts";
import { reserveSdrRepository, reserveSel } from "../commands/reservation.ts";
import { getSelTime, setSelTime } from "../commands/sel-time.ts";
import type { AddCommand } from "./command-table.ts";
import { type Outcome, ofCode, orRefusal } from "./outcome.ts";
import type { SimulatedRecords } from "./records.ts";
import { pieceOf, Reservations } from "./sel.ts";

const PARAMETER_OUT_OF_RANGE = 0xc9;
const CANNOT_RETURN_SO_MANY = 0xca;
const ILLEGAL_FOR_SENSOR = 0xcd;
/** As many data bytes as real BMCs have room for in a message. */
const MOST_FRU_BYTES = 128;

/** Registers the commands that act on the records. */
export function addRecordsCommands(add: AddCommand, records: SimulatedRecords): void {
  addSelCommands(add, records);
  addSdrCommands(add, records);
  addFruCommands(add, records);
}

function addSelCommands(add: AddCommand, { sel }: SimulatedRecords): void {
  add(getSelInfo, false, () => ({ response: sel.info }));
  add(reserveSel, false, () => ({ response: { reservationId: sel.reservations.reserve() } }));
  add(getSelEntry, false, (request) => sel.get(request));
  add(addSelEntry, false, ({ record }) => sel.add(record));
  add(clearSel, false, ({ reservationId, action }) => {
    // The erasure is done at once, so that its status is always the same.
    const code = action === "initiate-erase" ? sel.clear(reservationId) : 0;
    return code === 0 ? { response: { isErased: true } } : { refusal: code };
  });
  add(getSelTime, false, () => ({ response: { seconds: sel.seconds } }));
  add(setSelTime, false, ({ seconds }) => {
    sel.seconds = seconds;
    return ofCode(0);
  });
}

function addSdrCommands(add: AddCommand, records: SimulatedRecords): void {
  const { sdrs } = records;
  const reservations = new Reservations();
  add(getSdrRepositoryInfo, false, () => ({
    response: {
      version: "1.5",
      recordCount: sdrs.length,
      freeBytes: 0,
      lastAdditionSeconds: 0,
      lastEraseSeconds: 0,
      canReserve: true,
    },
  }));
  add(reserveSdrRepository, false, () => ({ response: { reservationId: reservations.reserve() } }));
  add(getSdr, false, (request) => sdrPiece(sdrs, request, reservations));
  add(getSensorReading, false, ({ sensorNumber }) => orRefusal(records.reading(sensorNumber), NOT_PRESENT));
  add(getSensorThresholds, false, ({ sensorNumber }) => {
    const thresholds = records.thresholds(sensorNumber);
    if (thresholds !== undefined) return { response: thresholds };
    return { refusal: records.reading(sensorNumber) === undefined ? NOT_PRESENT : ILLEGAL_FOR_SENSOR };
  });
}

/** Record ids are the places in the repository, from 1. */
function sdrPiece(
  sdrs: readonly Buffer[],
  request: GetRecordRequest,
  reservations: Reservations,
): Outcome<GetRecordResponse> {
  const { recordId } = request;
  const id = recordId === FIRST_RECORD ? 1 : recordId === LAST_RECORD ? sdrs.length : recordId;
  const record = sdrs[id - 1];
  if (record === undefined) return { refusal: NOT_PRESENT };
  return pieceOf(record, id < sdrs.length ? id + 1 : LAST_RECORD, request, reservations);
}

function addFruCommands(add: AddCommand, { frus }: SimulatedRecords): void {
  add(getFruInventoryAreaInfo, false, ({ fruDeviceId }) => {
    const bytes = frus.get(fruDeviceId);
    if (bytes === undefined) return { refusal: NOT_PRESENT };
    return { response: { sizeBytes: bytes.length, isAccessedByWords: false } };
  });
  add(readFruData, false, ({ fruDeviceId, offset, count }) => {
    const bytes = frus.get(fruDeviceId);
    if (bytes === undefined) return { refusal: NOT_PRESENT };
    if (offset >= bytes.length) return { refusal: PARAMETER_OUT_OF_RANGE };
    if (count > MOST_FRU_BYTES) return { refusal: CANNOT_RETURN_SO_MANY };
    return { response: { data: bytes.subarray(offset, offset + count) } };
  });
  add(writeFruData, false, ({ fruDeviceId, offset, data }) => {
    const bytes = frus.get(fruDeviceId);
    if (bytes === undefined) return { refusal: NOT_PRESENT };
    if (offset + data.length > bytes.length) return { refusal: PARAMETER_OUT_OF_RANGE };
    data.copy(bytes, offset);
    return { response: { count: data.length } };
  });
}
