// What Get SEL Info and Get SDR Repository Info answer alike (IPMI 2.0, 31.2, 33.9).
import { requireLength } from "../wire/wire-error.ts";
import { decodeVersion, encodeVersion } from "./version.ts";

/** The state of the event log or of the repository. Times are seconds since 1970 by the BMC's clock, FFFFFFFFh: never. */
export interface StoreInfo {
  /** Of its commands: `1.5` in IPMI 1.5 and 2.0. */
  readonly version: string;
  /** 65535: more than can be said. */
  readonly freeBytes: number;
  readonly lastAdditionSeconds: number;
  readonly lastEraseSeconds: number;
  readonly canReserve: boolean;
}

/** What the stores have bits for besides. */
interface StoreFields extends StoreInfo {
  readonly count: number;
  /** The operation support byte; the store's own bits are beside the one of `canReserve`. */
  readonly support: number;
}

const CAN_RESERVE = 0x02;

export function encodeStoreInfo(info: StoreFields): Buffer {
  const bytes = Buffer.alloc(14);
  bytes[0] = encodeVersion(info.version);
  bytes.writeUInt16LE(info.count, 1);
  bytes.writeUInt16LE(info.freeBytes, 3);
  bytes.writeUInt32LE(info.lastAdditionSeconds, 5);
  bytes.writeUInt32LE(info.lastEraseSeconds, 9);
  bytes[13] = info.support | (info.canReserve ? CAN_RESERVE : 0);
  return bytes;
}

export function decodeStoreInfo(data: Buffer, what: string): StoreFields {
  requireLength(data, 14, what);
  const support = data.readUInt8(13);
  return {
    version: decodeVersion(data.readUInt8(0)),
    count: data.readUInt16LE(1),
    freeBytes: data.readUInt16LE(3),
    lastAdditionSeconds: data.readUInt32LE(5),
    lastEraseSeconds: data.readUInt32LE(9),
    canReserve: (support & CAN_RESERVE) !== 0,
    support,
  };
}
