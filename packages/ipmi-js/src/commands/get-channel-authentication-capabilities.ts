// Get Channel Authentication Capabilities (IPMI 2.0, 22.13). Sent outside a session, in the IPMI 1.5 wrapper.
import { NET_FN } from "../wire/message.ts";
import { requireLength } from "../wire/wire-error.ts";
import { type Command, PRESENT_CHANNEL } from "./command.ts";

export interface GetChannelAuthenticationCapabilitiesRequest {
  /** The privilege level the console means to ask for. */
  readonly privilege: number;
  /** Asks the way IPMI 1.5 did, for BMCs that refuse the other. */
  readonly isV15Form?: boolean;
}

export interface ChannelAuthenticationCapabilities {
  readonly channel: number;
  /** Whether the channel takes IPMI 2.0 (RMCP+) and IPMI 1.5 sessions. */
  readonly supportsV20: boolean;
  readonly supportsV15: boolean;
  /** IPMI 1.5 authentication types: bit 0 none, 1 MD2, 2 MD5, 4 password, 5 OEM. */
  readonly v15AuthenticationTypes: number;
  /** The BMC has a K_g that is not all zeroes: sessions need it. */
  readonly needsKg: boolean;
  readonly hasNamedUsers: boolean;
  readonly hasNullUsers: boolean;
  readonly hasAnonymousLogin: boolean;
}

export const getChannelAuthenticationCapabilities: Command<
  GetChannelAuthenticationCapabilitiesRequest,
  ChannelAuthenticationCapabilities
> = {
  name: "Get Channel Authentication Capabilities",
  netFn: NET_FN.application,
  code: 0x38,
  privilege: 0,
  // Bit 7 of the channel asks for the 2.0 form of the answer.
  encodeRequest: ({ privilege, isV15Form }) => Buffer.from([(isV15Form ? 0 : 0x80) | PRESENT_CHANNEL, privilege]),
  decodeRequest(data) {
    requireLength(data, 2, "a Get Channel Authentication Capabilities request");
    return { privilege: data.readUInt8(1) & 0x0f };
  },
  encodeResponse(response) {
    const status =
      (response.needsKg ? 0x20 : 0) |
      (response.hasNamedUsers ? 0x04 : 0) |
      (response.hasNullUsers ? 0x02 : 0) |
      (response.hasAnonymousLogin ? 0x01 : 0);
    const versions = (response.supportsV20 ? 0x02 : 0) | (response.supportsV15 ? 0x01 : 0);
    const types = 0x80 | (response.v15AuthenticationTypes & 0x3f);
    return Buffer.from([response.channel, types, status, versions, 0, 0, 0, 0]);
  },
  decodeResponse(data) {
    requireLength(data, 4, "a Get Channel Authentication Capabilities response");
    const [channel = 0, types = 0, status = 0, versions = 0] = data;
    const isExtended = (types & 0x80) !== 0;
    return {
      channel: channel & 0x0f,
      supportsV20: isExtended && (versions & 0x02) !== 0,
      supportsV15: !isExtended || (versions & 0x01) !== 0,
      v15AuthenticationTypes: types & 0x3f,
      needsKg: (status & 0x20) !== 0,
      hasNamedUsers: (status & 0x04) !== 0,
      hasNullUsers: (status & 0x02) !== 0,
      hasAnonymousLogin: (status & 0x01) !== 0,
    };
  },
};
