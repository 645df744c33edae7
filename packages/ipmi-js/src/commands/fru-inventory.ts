// Get FRU Inventory Area Info, Read and Write FRU Data (IPMI 2.0, 34.1 to 34.3).
import { NET_FN } from "../wire/message.ts";
import { requireLength, WireError } from "../wire/wire-error.ts";
import { type Command, PRIVILEGE_LEVEL } from "./command.ts";

export interface GetFruInventoryAreaInfoRequest {
  readonly fruDeviceId: number;
}

export interface FruInventoryAreaInfo {
  readonly sizeBytes: number;
  /** Offsets and counts of Read FRU Data are in words of two bytes. */
  readonly isAccessedByWords: boolean;
}

export interface ReadFruDataRequest {
  readonly fruDeviceId: number;
  /** In bytes, or words for a device accessed by words. */
  readonly offset: number;
  readonly count: number;
}

export interface ReadFruDataResponse {
  readonly data: Buffer;
}

export interface WriteFruDataRequest {
  readonly fruDeviceId: number;
  readonly offset: number;
  readonly data: Buffer;
}

export interface WriteFruDataResponse {
  /** Bytes written, or words. */
  readonly count: number;
}

/** Completion code: the device behind the BMC is busy; ask again. */
export const FRU_DEVICE_BUSY = 0x81;

export const getFruInventoryAreaInfo: Command<GetFruInventoryAreaInfoRequest, FruInventoryAreaInfo> = {
  name: "Get FRU Inventory Area Info",
  netFn: NET_FN.storage,
  code: 0x10,
  privilege: PRIVILEGE_LEVEL.user,
  encodeRequest: ({ fruDeviceId }) => Buffer.from([fruDeviceId]),
  decodeRequest(data) {
    requireLength(data, 1, "a Get FRU Inventory Area Info request");
    return { fruDeviceId: data.readUInt8(0) };
  },
  encodeResponse({ sizeBytes, isAccessedByWords }) {
    return Buffer.from([sizeBytes & 0xff, sizeBytes >> 8, isAccessedByWords ? 1 : 0]);
  },
  decodeResponse(data) {
    requireLength(data, 3, "a Get FRU Inventory Area Info response");
    return { sizeBytes: data.readUInt16LE(0), isAccessedByWords: (data.readUInt8(2) & 1) !== 0 };
  },
};

export const readFruData: Command<ReadFruDataRequest, ReadFruDataResponse> = {
  name: "Read FRU Data",
  netFn: NET_FN.storage,
  code: 0x11,
  privilege: PRIVILEGE_LEVEL.user,
  completionCodes: { [FRU_DEVICE_BUSY]: "the FRU device is busy" },
  encodeRequest({ fruDeviceId, offset, count }) {
    const bytes = Buffer.from([fruDeviceId, 0, 0, count]);
    bytes.writeUInt16LE(offset, 1);
    return bytes;
  },
  decodeRequest(data) {
    requireLength(data, 4, "a Read FRU Data request");
    return { fruDeviceId: data.readUInt8(0), offset: data.readUInt16LE(1), count: data.readUInt8(3) };
  },
  encodeResponse: ({ data }) => Buffer.concat([Buffer.from([data.length]), data]),
  decodeResponse(data) {
    requireLength(data, 1, "a Read FRU Data response");
    // The count is in words for a device accessed by words, so it cannot be compared with what came without knowing that.
    if (data.readUInt8(0) > 0 && data.length === 1) throw new WireError("a Read FRU Data response lacks its data");
    return { data: data.subarray(1) };
  },
};

export const writeFruData: Command<WriteFruDataRequest, WriteFruDataResponse> = {
  name: "Write FRU Data",
  netFn: NET_FN.storage,
  code: 0x12,
  privilege: PRIVILEGE_LEVEL.operator,
  completionCodes: { 128: "this part of the FRU is write-protected", [FRU_DEVICE_BUSY]: "the FRU device is busy" },
  encodeRequest({ fruDeviceId, offset, data }) {
    const head = Buffer.from([fruDeviceId, 0, 0]);
    head.writeUInt16LE(offset, 1);
    return Buffer.concat([head, data]);
  },
  decodeRequest(data) {
    requireLength(data, 4, "a Write FRU Data request");
    return { fruDeviceId: data.readUInt8(0), offset: data.readUInt16LE(1), data: data.subarray(3) };
  },
  encodeResponse: ({ count }) => Buffer.from([count]),
  decodeResponse(data) {
    requireLength(data, 1, "a Write FRU Data response");
    return { count: data.readUInt8(0) };
  },
};
