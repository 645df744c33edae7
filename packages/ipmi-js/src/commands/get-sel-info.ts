// Get SEL Info (IPMI 2.0, 31.2).
import { NET_FN } from "../wire/message.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { decodeStoreInfo, encodeStoreInfo, type StoreInfo } from "./store-info.ts";

/** The state of the system event log. */
export interface SelInfo extends StoreInfo {
  readonly entryCount: number;
  /** Events were lost as the log was full. */
  readonly hasOverflowed: boolean;
  readonly canDelete: boolean;
}

const HAS_OVERFLOWED = 0x80;
const CAN_DELETE = 0x08;

export const getSelInfo: Command<void, SelInfo> = {
  name: "Get SEL Info",
  netFn: NET_FN.storage,
  code: 0x40,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { 129: "the SEL is being erased" },
  ...NO_REQUEST_DATA,
  encodeResponse({ entryCount, hasOverflowed, canDelete, ...info }) {
    const support = (hasOverflowed ? HAS_OVERFLOWED : 0) | (canDelete ? CAN_DELETE : 0);
    return encodeStoreInfo({ ...info, count: entryCount, support });
  },
  decodeResponse(data) {
    const { count, support, ...info } = decodeStoreInfo(data, "a Get SEL Info response");
    return {
      ...info,
      entryCount: count,
      hasOverflowed: (support & HAS_OVERFLOWED) !== 0,
      canDelete: (support & CAN_DELETE) !== 0,
    };
  },
};
