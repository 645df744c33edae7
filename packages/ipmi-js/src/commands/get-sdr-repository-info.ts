// Get SDR Repository Info (IPMI 2.0, 33.9).
import { NET_FN } from "../wire/message.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { decodeStoreInfo, encodeStoreInfo, type StoreInfo } from "./store-info.ts";

/** The state of the repository of sensor data records. */
export interface SdrRepositoryInfo extends StoreInfo {
  readonly recordCount: number;
}

export const getSdrRepositoryInfo: Command<void, SdrRepositoryInfo> = {
  name: "Get SDR Repository Info",
  netFn: NET_FN.storage,
  code: 0x20,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse: ({ recordCount, ...info }) => encodeStoreInfo({ ...info, count: recordCount, support: 0 }),
  decodeResponse(data) {
    const { count, support: _, ...info } = decodeStoreInfo(data, "a Get SDR Repository Info response");
    return { ...info, recordCount: count };
  },
};
