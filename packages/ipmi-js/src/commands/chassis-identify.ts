// Chassis Identify (IPMI 2.0, 28.5).
import { NET_FN } from "../wire/message.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Command, NO_RESPONSE_DATA, PRIVILEGE_LEVEL } from "./command.ts";

/** How the chassis shall show itself, by a lamp mostly. */
export interface ChassisIdentifyRequest {
  /** How long, 1 to 255 seconds; 0 puts it out. Default: the BMC's own, 15 seconds by the specification. */
  readonly intervalSeconds?: number;
  /** Until it is put out. Not every BMC can. Default false. */
  readonly forceOn?: boolean;
}

export const chassisIdentify: Command<ChassisIdentifyRequest, void> = {
  name: "Chassis Identify",
  netFn: NET_FN.chassis,
  code: 0x04,
  privilege: PRIVILEGE_LEVEL.operator,
  encodeRequest({ intervalSeconds, forceOn = false }) {
    // Trap: older BMCs refuse the second byte, so it is sent only when it says something.
    if (forceOn) return Buffer.from([intervalSeconds ?? 0, 0x01]);
    return intervalSeconds === undefined ? Buffer.alloc(0) : Buffer.from([intervalSeconds]);
  },
  decodeRequest(data) {
    if (data.length > 2) throw new WireError("a Chassis Identify request has 2 bytes at most");
    const forceOn = ((data[1] ?? 0) & 0x01) !== 0;
    return data.length === 0 ? { forceOn } : { intervalSeconds: data.readUInt8(0), forceOn };
  },
  ...NO_RESPONSE_DATA,
};
