// Get Device ID (IPMI 2.0, 20.1).
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";
import { decodeVersion, encodeVersion } from "./version.ts";

export interface DeviceId {
  readonly deviceId: number;
  readonly deviceRevision: number;
  readonly hasSdrs: boolean;
  /** False while the firmware is updated or starts. */
  readonly isAvailable: boolean;
  /** `major.minor`; minor is two digits, BCD on the wire. */
  readonly firmwareRevision: string;
  /** `2.0` or `1.5`. */
  readonly ipmiVersion: string;
  /** Bits: 7 chassis, 6 bridge, 5 event generator, 4 event receiver, 3 FRU, 2 SEL, 1 SDR repository, 0 sensors. */
  readonly additionalSupport: number;
  /** IANA enterprise number of the vendor. */
  readonly manufacturerId: number;
  readonly productId: number;
}

export const getDeviceId: Command<void, DeviceId> = {
  name: "Get Device ID",
  netFn: NET_FN.application,
  code: 0x01,
  privilege: PRIVILEGE_LEVEL.user,
  ...NO_REQUEST_DATA,
  encodeResponse(response) {
    const bytes = Buffer.alloc(15);
    const [major = "0", minor = "0"] = response.firmwareRevision.split(".");
    bytes[0] = response.deviceId;
    bytes[1] = (response.hasSdrs ? 0x80 : 0) | (response.deviceRevision & 0x0f);
    bytes[2] = (response.isAvailable ? 0 : 0x80) | (Number(major) & 0x7f);
    bytes[3] = Number.parseInt(minor, 16);
    bytes[4] = encodeVersion(response.ipmiVersion);
    bytes[5] = response.additionalSupport;
    bytes.writeUIntLE(response.manufacturerId & 0x0fffff, 6, 3);
    bytes.writeUInt16LE(response.productId, 9);
    return bytes;
  },
  decodeResponse(data) {
    requireLength(data, 11, "a Get Device ID response");
    // Trap: some vendors count on in binary after 09h; as hexadecimal each byte has a text of its own.
    const minor = data.readUInt8(3).toString(16).padStart(2, "0");
    return {
      deviceId: data.readUInt8(0),
      deviceRevision: data.readUInt8(1) & 0x0f,
      hasSdrs: (data.readUInt8(1) & 0x80) !== 0,
      isAvailable: (data.readUInt8(2) & 0x80) === 0,
      firmwareRevision: `${data.readUInt8(2) & 0x7f}.${minor}`,
      ipmiVersion: decodeVersion(data.readUInt8(4)),
      additionalSupport: data.readUInt8(5),
      manufacturerId: data.readUIntLE(6, 3) & 0x0fffff,
      productId: data.readUInt16LE(9),
    };
  },
};
