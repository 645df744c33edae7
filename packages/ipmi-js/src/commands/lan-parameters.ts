// The bytes of the LAN configuration parameters (IPMI 2.0, table 23-4).
import { requireLength, WireError } from "../wire/wire-error.ts";

/** A parameter's selector and its codecs; decoders throw `WireError`. */
export interface LanParameter<Value> {
  readonly selector: number;
  encode(value: Value): Buffer;
  decode(data: Buffer): Value;
}

const SOURCES = ["unspecified", "static", "dhcp", "bios", "other"] as const;
/** Where the BMC has its address from. */
export type IpAddressSource = (typeof SOURCES)[number];

const SET_STATES = ["complete", "in-progress", "commit"] as const;
/** Parameter 0: `in-progress` keeps others from writing, `commit` makes what was written real, `complete` ends it. */
export type SetInProgress = (typeof SET_STATES)[number];

/** Parameter 2: IPMI 1.5 authentication types allowed for each level; bits: 0 none, 1 MD2, 2 MD5, 4 password, 5 OEM. */
export interface AuthenticationTypeEnables {
  readonly callback: number;
  readonly user: number;
  readonly operator: number;
  readonly administrator: number;
  readonly oem: number;
}

/** 802.1q: id 1 to 4094; `isEnabled` false sends untagged frames. */
export interface VlanId {
  readonly isEnabled: boolean;
  readonly id: number;
}

const byte = <Name extends string>(selector: number, names: readonly Name[], other: Name): LanParameter<Name> => ({
  selector,
  encode: (name) => Buffer.from([names.indexOf(name)]),
  decode(data) {
    requireLength(data, 1, `LAN parameter ${selector}`);
    return names[data.readUInt8(0) & 0x0f] ?? other;
  },
});

const address = (selector: number): LanParameter<string> => ({
  selector,
  encode: (text) => fromParts(text.split("."), 4, 10, "an IPv4 address"),
  decode(data) {
    requireLength(data, 4, `LAN parameter ${selector}, an IPv4 address`);
    return [...data.subarray(0, 4)].join(".");
  },
});

const mac = (selector: number): LanParameter<string> => ({
  selector,
  encode: (text) => fromParts(text.split(":"), 6, 16, "a MAC address"),
  decode(data) {
    requireLength(data, 6, `LAN parameter ${selector}, a MAC address`);
    return [...data.subarray(0, 6)].map((part) => part.toString(16).padStart(2, "0")).join(":");
  },
});

/** The parameters we have codecs for. */
export const LAN_PARAMETER = {
  setInProgress: byte<SetInProgress>(0, SET_STATES, "in-progress"),
  authenticationTypeEnables: {
    selector: 2,
    encode: ({ callback, user, operator, administrator, oem }) =>
      Buffer.from([callback, user, operator, administrator, oem]),
    decode(data) {
      requireLength(data, 5, "LAN parameter 2, the authentication type enables");
      const [callback = 0, user = 0, operator = 0, administrator = 0, oem = 0] = data;
      return { callback, user, operator, administrator, oem };
    },
  } satisfies LanParameter<AuthenticationTypeEnables>,
  ipAddress: address(3),
  ipAddressSource: byte<IpAddressSource>(4, SOURCES, "other"),
  macAddress: mac(5),
  subnetMask: address(6),
  defaultGateway: address(12),
  defaultGatewayMac: mac(13),
  backupGateway: address(14),
  vlanId: {
    selector: 20,
    encode: ({ isEnabled, id }) => Buffer.from([id & 0xff, (isEnabled ? 0x80 : 0) | ((id >> 8) & 0x0f)]),
    decode(data) {
      requireLength(data, 2, "LAN parameter 20, the VLAN id");
      const value = data.readUInt16LE(0);
      return { isEnabled: (value & 0x8000) !== 0, id: value & 0x0fff };
    },
  } satisfies LanParameter<VlanId>,
  cipherSuiteCount: {
    selector: 22,
    encode: (count) => Buffer.from([count]),
    decode(data) {
      requireLength(data, 1, "LAN parameter 22, the number of cipher suites");
      return data.readUInt8(0) & 0x1f;
    },
  } satisfies LanParameter<number>,
  /** Up to 16 ids; a BMC fills the rest with zeroes, so the count (parameter 22) says how many there are. */
  cipherSuites: {
    selector: 23,
    encode: (ids) => Buffer.from([0, ...ids, ...Buffer.alloc(16)]).subarray(0, 17),
    decode(data) {
      requireLength(data, 1, "LAN parameter 23, the cipher suites");
      return [...data.subarray(1, 17)];
    },
  } satisfies LanParameter<readonly number[]>,
  /** The highest privilege level of each of the 16 suites, in the order of parameter 23; 0: the suite is not used. */
  cipherSuitePrivileges: {
    selector: 24,
    encode(levels) {
      const bytes = Buffer.alloc(9);
      for (let at = 0; at < 8; at += 1) {
        bytes[1 + at] = ((levels[2 * at] ?? 0) & 0x0f) | (((levels[2 * at + 1] ?? 0) & 0x0f) << 4);
      }
      return bytes;
    },
    decode(data) {
      requireLength(data, 9, "LAN parameter 24, the privileges of the cipher suites");
      return [...data.subarray(1, 9)].flatMap((pair) => [pair & 0x0f, pair >> 4]);
    },
  } satisfies LanParameter<readonly number[]>,
};

/** `WireError` unless `parts` are `count` numbers of a byte. */
function fromParts(parts: readonly string[], count: number, radix: 10 | 16, what: string): Buffer {
  const form = radix === 10 ? /^\d{1,3}$/ : /^[0-9a-f]{2}$/i;
  const numbers = parts.map((part) => (form.test(part) ? Number.parseInt(part, radix) : -1));
  const isValid = numbers.length === count && numbers.every((number) => number >= 0 && number <= 255);
  if (!isValid) throw new WireError(`${what} has ${count} bytes; this is none`);
  return Buffer.from(numbers);
}
