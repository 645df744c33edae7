// Add SEL Entry (IPMI 2.0, 31.6).
import { SEL_RECORD_BYTES } from "../records/sel-record.ts";
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface AddSelEntryRequest {
  /** 16 bytes; the BMC sets record id and timestamp. */
  readonly record: Buffer;
}

export interface AddSelEntryResponse {
  readonly recordId: number;
}

export const addSelEntry: Command<AddSelEntryRequest, AddSelEntryResponse> = {
  name: "Add SEL Entry",
  netFn: NET_FN.storage,
  code: 0x44,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { 128: "the BMC does not take this record type", 129: "the SEL is being erased" },
  encodeRequest: ({ record }) => record.subarray(0, SEL_RECORD_BYTES),
  decodeRequest(data) {
    requireLength(data, SEL_RECORD_BYTES, "an Add SEL Entry request");
    return { record: data.subarray(0, SEL_RECORD_BYTES) };
  },
  encodeResponse({ recordId }) {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(recordId);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 2, "an Add SEL Entry response");
    return { recordId: data.readUInt16LE(0) };
  },
};
