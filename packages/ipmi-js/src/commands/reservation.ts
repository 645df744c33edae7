// Reserve SEL and Reserve SDR Repository (IPMI 2.0, 31.4, 33.11): the same bytes under two numbers.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

/** What shows that nobody changed the log or repository between two commands. */
export interface Reservation {
  readonly reservationId: number;
}

/** Completion code: the reservation is gone, as another party reserved or changed what it was for. */
export const RESERVATION_LOST = 0xc5;

export const reserveSel: Command<void, Reservation> = reserveCommand("Reserve SEL", 0x42);
export const reserveSdrRepository: Command<void, Reservation> = reserveCommand("Reserve SDR Repository", 0x22);

function reserveCommand(name: string, code: number): Command<void, Reservation> {
  return {
    name,
    netFn: NET_FN.storage,
    code,
    privilege: PRIVILEGE_LEVEL.user,
    ...NO_REQUEST_DATA,
    encodeResponse({ reservationId }) {
      const bytes = Buffer.alloc(2);
      bytes.writeUInt16LE(reservationId);
      return bytes;
    },
    decodeResponse(data) {
      requireLength(data, 2, `a ${name} response`);
      return { reservationId: data.readUInt16LE(0) };
    },
  };
}
