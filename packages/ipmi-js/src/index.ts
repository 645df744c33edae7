// Public surface of the package: the client of one BMC, a bare session, sessionless questions, the simulator.
export { Bmc, type BmcOptions } from "./bmc.ts";
export type { OperationOptions } from "./budget.ts";
export type { BootDevice, BootDeviceSetting, BootFlags } from "./commands/boot-flags.ts";
export type { ChassisControlAction } from "./commands/chassis-control.ts";
export type { Command, PrivilegeLevel } from "./commands/command.ts";
export type { ChannelAuthenticationCapabilities } from "./commands/get-channel-authentication-capabilities.ts";
export type { CipherSuiteRecord } from "./commands/get-channel-cipher-suites.ts";
export type { ChassisStatus } from "./commands/get-chassis-status.ts";
export type { DeviceId } from "./commands/get-device-id.ts";
export { COMPLETION_CODES, IpmiError, type IpmiErrorCode, isIpmiError, RAKP_STATUS } from "./errors.ts";
export { type OpenSessionOptions, openSession } from "./open-session.ts";
export type { SessionOptions } from "./options.ts";
export type { CommandOptions, IpmiSession } from "./session.ts";
export {
  getChannelAuthenticationCapabilities,
  getChannelCipherSuites,
  ping,
  type SessionlessOptions,
} from "./sessionless.ts";
export type { SimulatedBootDevice, SimulatorHandlers } from "./simulator/chassis.ts";
export type { SimulatorFaults } from "./simulator/faults.ts";
export { BmcSimulator, type BmcSimulatorOptions, type SimulatorCounters } from "./simulator/simulator.ts";
