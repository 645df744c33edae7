// A satellite controller behind a simulated BMC, on its IPMB: what a bridged request reaches (IPMI 2.0, 6.13).
import { getDeviceId } from "../commands/get-device-id.ts";
import { getSelfTestResults } from "../commands/get-self-test-results.ts";
import { type IpmiMessage, responseTo } from "../wire/message.ts";

/** Where it is: the primary IPMB, and the address management engines have. */
const CHANNEL = 0;
const ADDRESS = 0x2c;

const INVALID_COMMAND = 0xc1;
const DEVICE_ID = {
  deviceId: 0x42,
  deviceRevision: 1,
  hasSdrs: false,
  isAvailable: true,
  firmwareRevision: "2.05",
  ipmiVersion: "2.0",
  additionalSupport: 0x01,
  manufacturerId: 0,
  productId: 2,
};

/** The controller's response to `request`; undefined if nobody is at that address. */
export function askSatellite(channel: number, request: IpmiMessage): IpmiMessage | undefined {
  if (channel !== CHANNEL || request.targetAddress !== ADDRESS) return undefined;
  const isAsked = ({ netFn, code }: { netFn: number; code: number }): boolean =>
    request.netFn === netFn && request.command === code;
  if (isAsked(getDeviceId)) return responseTo(request, 0, getDeviceId.encodeResponse(DEVICE_ID));
  if (isAsked(getSelfTestResults)) return responseTo(request, 0, Buffer.from([0x55, 0]));
  return responseTo(request, INVALID_COMMAND, Buffer.alloc(0));
}
