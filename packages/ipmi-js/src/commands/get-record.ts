// Get SEL Entry and Get SDR (IPMI 2.0, 31.5, 33.12): a record, or a piece of it, and the id of the next.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

/** Asks for the first record; as the next record's id, that there is none. */
export const FIRST_RECORD = 0x0000;
export const LAST_RECORD = 0xffff;
/** Completion code: there is no such record, or no such sensor or data. */
export const NOT_PRESENT = 0xcb;
/** As `byteCount`: all of the record. */
export const WHOLE_RECORD = 0xff;

export interface GetRecordRequest {
  /** 0 is allowed where a record is read from its start. */
  readonly reservationId: number;
  readonly recordId: number;
  /** Where in the record to begin, and how many bytes to read. */
  readonly offset: number;
  readonly byteCount: number;
}

export interface GetRecordResponse {
  /** `LAST_RECORD` after the last one. */
  readonly nextRecordId: number;
  readonly data: Buffer;
}

export const getSelEntry = getRecordCommand("Get SEL Entry", 0x43, { 129: "the SEL is being erased" });
export const getSdr = getRecordCommand("Get SDR", 0x23, {});

function getRecordCommand(
  name: string,
  code: number,
  completionCodes: Readonly<Record<number, string>>,
): Command<GetRecordRequest, GetRecordResponse> {
  return {
    name,
    netFn: NET_FN.storage,
    code,
    privilege: PRIVILEGE_LEVEL.user,
    completionCodes,
    encodeRequest({ reservationId, recordId, offset, byteCount }) {
      const bytes = Buffer.alloc(6);
      bytes.writeUInt16LE(reservationId, 0);
      bytes.writeUInt16LE(recordId, 2);
      bytes[4] = offset;
      bytes[5] = byteCount;
      return bytes;
    },
    decodeRequest(data) {
      requireLength(data, 6, `a ${name} request`);
      return {
        reservationId: data.readUInt16LE(0),
        recordId: data.readUInt16LE(2),
        offset: data.readUInt8(4),
        byteCount: data.readUInt8(5),
      };
    },
    encodeResponse({ nextRecordId, data }) {
      const bytes = Buffer.alloc(2 + data.length);
      bytes.writeUInt16LE(nextRecordId);
      data.copy(bytes, 2);
      return bytes;
    },
    decodeResponse(data) {
      requireLength(data, 2, `a ${name} response`);
      return { nextRecordId: data.readUInt16LE(0), data: data.subarray(2) };
    },
  };
}
