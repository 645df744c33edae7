// Clear SEL (IPMI 2.0, 31.9): starts an erasure, or asks how far it is.
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface ClearSelRequest {
  readonly reservationId: number;
  readonly action: "initiate-erase" | "get-status";
}

export interface ClearSelResponse {
  /** False: the erasure goes on. */
  readonly isErased: boolean;
}

const MAGIC = Buffer.from("CLR", "latin1");
const INITIATE_ERASE = 0xaa;
const GET_STATUS = 0x00;

export const clearSel: Command<ClearSelRequest, ClearSelResponse> = {
  name: "Clear SEL",
  netFn: NET_FN.storage,
  code: 0x47,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest({ reservationId, action }) {
    const bytes = Buffer.alloc(6);
    bytes.writeUInt16LE(reservationId);
    MAGIC.copy(bytes, 2);
    bytes[5] = action === "initiate-erase" ? INITIATE_ERASE : GET_STATUS;
    return bytes;
  },
  decodeRequest(data) {
    requireLength(data, 6, "a Clear SEL request");
    const action = data.readUInt8(5);
    if (!data.subarray(2, 5).equals(MAGIC)) throw new WireError("a Clear SEL request does not say CLR");
    if (action !== INITIATE_ERASE && action !== GET_STATUS) throw new WireError(`Clear SEL has no action ${action}`);
    return {
      reservationId: data.readUInt16LE(0),
      action: action === INITIATE_ERASE ? "initiate-erase" : "get-status",
    };
  },
  encodeResponse: ({ isErased }) => Buffer.from([isErased ? 1 : 0]),
  decodeResponse(data) {
    requireLength(data, 1, "a Clear SEL response");
    return { isErased: (data.readUInt8(0) & 0x0f) === 1 };
  },
};
