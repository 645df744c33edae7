// The BMC's own network settings: read as a whole, written in the order BMCs expect (IPMI 2.0, 23.1, 23.2).
import type { OperationOptions } from "./budget.ts";
import { PRESENT_CHANNEL } from "./commands/command.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import {
  getLanConfigurationParameters,
  LAN_PARAMETER_NOT_SUPPORTED,
  LAN_SET_IN_PROGRESS,
  setLanConfigurationParameters,
} from "./commands/lan-configuration-parameters.ts";
import {
  type AuthenticationTypeEnables,
  type IpAddressSource,
  LAN_PARAMETER,
  type LanParameter,
  type SetInProgress,
  type VlanId,
} from "./commands/lan-parameters.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { isRefusal, unlessRefused, Walk } from "./walk.ts";
import { WireError } from "./wire/wire-error.ts";

/** A cipher suite of the channel and the highest privilege level it may be used for; 0: it may not be used. */
export interface LanCipherSuite {
  readonly id: number;
  readonly privilegeLimit: number;
}

/** The settings of a LAN channel. Undefined: the BMC does not have the parameter. Addresses as text. */
export interface LanConfiguration {
  readonly ipAddressSource: IpAddressSource | undefined;
  readonly ipAddress: string | undefined;
  readonly subnetMask: string | undefined;
  readonly defaultGateway: string | undefined;
  readonly defaultGatewayMac: string | undefined;
  readonly backupGateway: string | undefined;
  readonly macAddress: string | undefined;
  readonly vlan: VlanId | undefined;
  readonly authenticationTypeEnables: AuthenticationTypeEnables | undefined;
  readonly cipherSuites: readonly LanCipherSuite[] | undefined;
}

/** What {@link writeLanConfiguration} changes; what is left out stays. */
export interface LanConfigurationChanges {
  readonly ipAddressSource?: IpAddressSource;
  readonly ipAddress?: string;
  readonly subnetMask?: string;
  readonly defaultGateway?: string;
  readonly backupGateway?: string;
  readonly vlan?: VlanId;
  /** 16 levels, in the order of the channel's cipher suites. */
  readonly cipherSuitePrivileges?: readonly number[];
}

interface Write {
  readonly parameter: number;
  readonly data: Buffer;
}

/** The caller's time may be over, and a BMC that does not answer shall not keep him. */
const END_SET_DEADLINE_MS = 1000;

/** Reads what a LAN channel is set to. `channel` defaults to the one the session is on. */
export async function readLanConfiguration(
  runner: CommandRunner,
  channel: number = PRESENT_CHANNEL,
  options: OperationOptions = {},
): Promise<LanConfiguration> {
  const walk = new Walk(runner, "read the LAN configuration", options);
  const read = <Value>(parameter: LanParameter<Value>) => readParameter(walk, channel, parameter);
  return {
    ipAddressSource: await read(LAN_PARAMETER.ipAddressSource),
    ipAddress: await read(LAN_PARAMETER.ipAddress),
    subnetMask: await read(LAN_PARAMETER.subnetMask),
    defaultGateway: await read(LAN_PARAMETER.defaultGateway),
    defaultGatewayMac: await read(LAN_PARAMETER.defaultGatewayMac),
    backupGateway: await read(LAN_PARAMETER.backupGateway),
    macAddress: await read(LAN_PARAMETER.macAddress),
    vlan: await read(LAN_PARAMETER.vlanId),
    authenticationTypeEnables: await read(LAN_PARAMETER.authenticationTypeEnables),
    cipherSuites: cipherSuites(
      await read(LAN_PARAMETER.cipherSuiteCount),
      await read(LAN_PARAMETER.cipherSuites),
      await read(LAN_PARAMETER.cipherSuitePrivileges),
    ),
  };
}

/**
 * Writes settings of a LAN channel: set in progress, the source before the addresses (BMCs refuse those while DHCP gives
 * them), commit, set complete; the last after failures too, for up to a second more. Changing the address the session uses
 * ends in `Timeout`, though it worked. `InvalidArgument` before anything is sent for an address that is none;
 * `CompletionCode` 81h if another party is writing.
 */
export async function writeLanConfiguration(
  runner: CommandRunner,
  changes: LanConfigurationChanges,
  channel: number = PRESENT_CHANNEL,
  options: OperationOptions = {},
): Promise<void> {
  const writes = encodeChanges(runner, changes);
  const walk = new Walk(runner, "write the LAN configuration", options);
  const write = (one: Write): Promise<void> => walk.run(setLanConfigurationParameters, { channel, ...one });
  const state = (value: SetInProgress): Promise<void> => write(encoded(LAN_PARAMETER.setInProgress, value));
  const before = await readSetState(walk, channel);
  try {
    await state("in-progress");
  } catch (error) {
    // Trap: a `Bmc` whose answer was lost asks again, and is turned down because of the set that it began itself.
    const isOurs = before === "complete" && isRefusal(error, LAN_SET_IN_PROGRESS);
    if (!isOurs && !isRefusal(error, LAN_PARAMETER_NOT_SUPPORTED)) {
      // Without an answer the BMC may have begun; a set that somebody else began is not ours to end.
      if (!isRefusal(error) && before !== "in-progress") await endSet(runner, channel);
      throw error;
    }
  }
  try {
    for (const one of writes) await write(one);
    // Trap: BMCs with rollback (ipmi_sim) forget all that was written when the set is completed without a commit.
    await unlessRefused(state("commit"));
    await unlessRefused(state("complete"));
  } catch (error) {
    // Complete without commit is how a BMC that can take writes back is told to.
    await endSet(runner, channel);
    throw error;
  }
}

/** Undefined: the BMC does not have the parameter. */
async function readParameter<Value>(
  walk: Walk,
  channel: number,
  parameter: LanParameter<Value>,
): Promise<Value | undefined> {
  const request = { channel, parameter: parameter.selector };
  try {
    const check = ({ data }: { data: Buffer }): unknown => parameter.decode(data);
    return parameter.decode((await walk.run(getLanConfigurationParameters, request, check)).data);
  } catch (error) {
    if (isRefusal(error, LAN_PARAMETER_NOT_SUPPORTED)) return undefined;
    throw error;
  }
}

/** Undefined: the BMC does not say, which keeps nobody from writing. */
async function readSetState(walk: Walk, channel: number): Promise<SetInProgress | undefined> {
  try {
    return await readParameter(walk, channel, LAN_PARAMETER.setInProgress);
  } catch (error) {
    if (!isIpmiError(error, "CompletionCode", "Protocol")) throw error;
    return undefined;
  }
}

/** Lets others write again, as well as it can: the caller is told of the failure before it, and its signal may have fired. */
async function endSet(runner: CommandRunner, channel: number): Promise<void> {
  const request = { channel, ...encoded(LAN_PARAMETER.setInProgress, "complete") };
  await runner.execute(setLanConfigurationParameters, request, { deadlineMs: END_SET_DEADLINE_MS }).catch(() => {});
}

function encodeChanges(runner: CommandRunner, changes: LanConfigurationChanges): Write[] {
  const writes: Write[] = [];
  const add = <Value>(parameter: LanParameter<Value>, value: Value | undefined): void => {
    if (value !== undefined) writes.push(encoded(parameter, value));
  };
  try {
    add(LAN_PARAMETER.ipAddressSource, changes.ipAddressSource);
    add(LAN_PARAMETER.ipAddress, changes.ipAddress);
    add(LAN_PARAMETER.subnetMask, changes.subnetMask);
    add(LAN_PARAMETER.defaultGateway, changes.defaultGateway);
    add(LAN_PARAMETER.backupGateway, changes.backupGateway);
    add(LAN_PARAMETER.cipherSuitePrivileges, changes.cipherSuitePrivileges);
    add(LAN_PARAMETER.vlanId, changes.vlan);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    const { address } = runner;
    throw new IpmiError("InvalidArgument", cause.message, { address, operation: "write the LAN configuration", cause });
  }
  return writes;
}

function encoded<Value>(parameter: LanParameter<Value>, value: Value): Write {
  return { parameter: parameter.selector, data: parameter.encode(value) };
}

function cipherSuites(
  count: number | undefined,
  ids: readonly number[] | undefined,
  privileges: readonly number[] | undefined,
): LanCipherSuite[] | undefined {
  if (count === undefined || ids === undefined) return undefined;
  return ids.slice(0, count).map((id, at) => ({ id, privilegeLimit: privileges?.[at] ?? 0 }));
}
