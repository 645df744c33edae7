// Get Device GUID and Get System GUID (IPMI 2.0, 20.8, 22.14), and the ways to write their 16 bytes.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, NO_REQUEST_DATA, PRIVILEGE_LEVEL } from "./command.ts";

const GUID_BYTES = 16;

function guidCommand(name: string, code: number, privilege: number): Command<void, Buffer> {
  return {
    name,
    netFn: NET_FN.application,
    code,
    privilege,
    ...NO_REQUEST_DATA,
    encodeResponse: (guid) => guid,
    decodeResponse(data) {
      requireLength(data, GUID_BYTES, `a ${name} response`);
      return data.subarray(0, GUID_BYTES);
    },
  };
}

/** The GUID of the management controller; many BMCs do not have the command. */
export const getDeviceGuid = guidCommand("Get Device GUID", 0x08, PRIVILEGE_LEVEL.user);

/** The GUID of the system; the one a session's `guid` holds. */
export const getSystemGuid = guidCommand("Get System GUID", 0x37, PRIVILEGE_LEVEL.user);

/**
 * `ipmi`: as the specification orders the bytes, the least significant first; `smbios`: as the system's firmware says it
 * (dmidecode), the first three fields turned; `rfc4122`: in the order of the wire. BMCs do all three, and do not say which.
 */
export type GuidEncoding = "ipmi" | "smbios" | "rfc4122";

/** 8-4-4-4-12 hex digits. `RangeError` if `guid` is not 16 bytes. */
export function formatGuid(guid: Buffer, encoding: GuidEncoding): string {
  if (guid.length !== GUID_BYTES) throw new RangeError(`a GUID has ${GUID_BYTES} bytes, not ${guid.length}`);
  const bytes = Buffer.from(guid);
  if (encoding === "ipmi") bytes.reverse();
  if (encoding === "smbios") {
    bytes.subarray(0, 4).reverse();
    bytes.subarray(4, 6).reverse();
    bytes.subarray(6, 8).reverse();
  }
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
