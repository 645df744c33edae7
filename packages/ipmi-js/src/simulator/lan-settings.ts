// The LAN configuration parameters of a simulated BMC, with set in progress, commit and rollback (IPMI 2.0, 23.1, 23.2).
import { isIPv4 } from "node:net";
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  LAN_PARAMETER_NOT_SUPPORTED,
  LAN_PARAMETER_READ_ONLY,
  LAN_SET_IN_PROGRESS,
} from "../commands/lan-configuration-parameters.ts";
import { LAN_PARAMETER } from "../commands/lan-parameters.ts";

/** What a simulator says of its own network. */
export interface LanIdentity {
  readonly address: string;
  readonly guid: Buffer;
  readonly cipherSuites: readonly number[];
}

const REQUEST_LENGTH_INVALID = 0xc7;
const INVALID_DATA_FIELD = 0xcc;
/** Selectors that have no codec of ours, as nothing is done with them. */
const AUTHENTICATION_TYPE_SUPPORT = 1;
const IPV4_HEADER = 7;
const PRIMARY_RMCP_PORT = 8;
const BACKUP_GATEWAY_MAC = 15;
const COMMUNITY_STRING = 16;
const VLAN_PRIORITY = 21;

const READ_ONLY: readonly number[] = [
  AUTHENTICATION_TYPE_SUPPORT,
  LAN_PARAMETER.macAddress.selector,
  LAN_PARAMETER.cipherSuiteCount.selector,
  LAN_PARAMETER.cipherSuites.selector,
];
const GIVEN_BY_DHCP: readonly number[] = [
  LAN_PARAMETER.ipAddress.selector,
  LAN_PARAMETER.subnetMask.selector,
  LAN_PARAMETER.defaultGateway.selector,
];

/** Keeps the parameters; answers with completion codes. */
export class SimulatedLan {
  readonly #kept: Map<number, Buffer>;
  /** What was written since the set is in progress; undefined while it is complete. */
  #staged: Map<number, Buffer> | undefined;

  constructor(identity: LanIdentity) {
    this.#kept = factorySettings(identity);
  }

  get(parameter: number): Buffer | undefined {
    const { setInProgress } = LAN_PARAMETER;
    if (parameter !== setInProgress.selector) return this.#staged?.get(parameter) ?? this.#kept.get(parameter);
    return setInProgress.encode(this.#staged === undefined ? "complete" : "in-progress");
  }

  set(parameter: number, data: Buffer): number {
    if (parameter === LAN_PARAMETER.setInProgress.selector) return this.#setState(data);
    const present = this.get(parameter);
    if (present === undefined) return LAN_PARAMETER_NOT_SUPPORTED;
    if (READ_ONLY.includes(parameter)) return LAN_PARAMETER_READ_ONLY;
    if (data.length !== present.length) return REQUEST_LENGTH_INVALID;
    if (GIVEN_BY_DHCP.includes(parameter) && this.#isByDhcp()) return INVALID_DATA_FIELD;
    (this.#staged ?? this.#kept).set(parameter, Buffer.from(data));
    return 0;
  }

  /** Forgets what was not committed. */
  rollBack(): void {
    this.#staged = undefined;
  }

  #setState(data: Buffer): number {
    const state = LAN_PARAMETER.setInProgress.decode(data);
    if (state === "in-progress") {
      if (this.#staged !== undefined) return LAN_SET_IN_PROGRESS;
      this.#staged = new Map();
    } else if (state === "commit") {
      for (const [parameter, value] of this.#staged ?? []) this.#kept.set(parameter, value);
      this.#staged?.clear();
    } else {
      this.rollBack();
    }
    return 0;
  }

  #isByDhcp(): boolean {
    const source = this.get(LAN_PARAMETER.ipAddressSource.selector);
    return source !== undefined && LAN_PARAMETER.ipAddressSource.decode(source) === "dhcp";
  }
}

function factorySettings({ address, guid, cipherSuites }: LanIdentity): Map<number, Buffer> {
  const macAddress = Buffer.concat([Buffer.from([0x02]), guid.subarray(0, 5)]);
  const { administrator } = PRIVILEGE_LEVEL;
  return new Map([
    [AUTHENTICATION_TYPE_SUPPORT, Buffer.alloc(1)],
    [LAN_PARAMETER.authenticationTypeEnables.selector, Buffer.alloc(5)],
    [LAN_PARAMETER.ipAddress.selector, LAN_PARAMETER.ipAddress.encode(isIPv4(address) ? address : "0.0.0.0")],
    [LAN_PARAMETER.ipAddressSource.selector, LAN_PARAMETER.ipAddressSource.encode("static")],
    [LAN_PARAMETER.macAddress.selector, macAddress],
    [LAN_PARAMETER.subnetMask.selector, LAN_PARAMETER.subnetMask.encode("255.0.0.0")],
    [IPV4_HEADER, Buffer.from([0x40, 0x40, 0x10])],
    [PRIMARY_RMCP_PORT, Buffer.from([0x6f, 0x02])],
    [LAN_PARAMETER.defaultGateway.selector, Buffer.alloc(4)],
    [LAN_PARAMETER.defaultGatewayMac.selector, Buffer.alloc(6)],
    [LAN_PARAMETER.backupGateway.selector, Buffer.alloc(4)],
    [BACKUP_GATEWAY_MAC, Buffer.alloc(6)],
    [COMMUNITY_STRING, Buffer.concat([Buffer.from("public"), Buffer.alloc(12)])],
    [LAN_PARAMETER.vlanId.selector, Buffer.alloc(2)],
    [VLAN_PRIORITY, Buffer.alloc(1)],
    [LAN_PARAMETER.cipherSuiteCount.selector, LAN_PARAMETER.cipherSuiteCount.encode(cipherSuites.length)],
    [LAN_PARAMETER.cipherSuites.selector, LAN_PARAMETER.cipherSuites.encode(cipherSuites)],
    [
      LAN_PARAMETER.cipherSuitePrivileges.selector,
      LAN_PARAMETER.cipherSuitePrivileges.encode(cipherSuites.map(() => administrator)),
    ],
  ]);
}
