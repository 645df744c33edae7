// Public surface of the package: the client of one BMC, a bare session, sessionless questions, the simulator.
export { Bmc, type BmcOptions } from "./bmc.ts";
export { bridge } from "./bridge.ts";
export type { OperationOptions } from "./budget.ts";
export type { CircuitBreakerOptions } from "./circuit-breaker.ts";
export { type AcpiPowerState, getAcpiPowerState, setAcpiPowerState } from "./commands/acpi-power-state.ts";
export { addSelEntry } from "./commands/add-sel-entry.ts";
export { coldReset, warmReset } from "./commands/bmc-reset.ts";
export type { BootDevice, BootDeviceSetting, BootFlags, KeepValid } from "./commands/boot-flags.ts";
export { type ChannelAccess, getChannelAccess, setChannelAccess } from "./commands/channel-access.ts";
export type { ChassisControlAction } from "./commands/chassis-control.ts";
export { type ChassisIdentifyRequest, chassisIdentify } from "./commands/chassis-identify.ts";
export type { Command, PrivilegeLevel } from "./commands/command.ts";
export type { CommandRunner, RunOptions } from "./commands/command-runner.ts";
export { getDcmiCapabilitiesInfo, getPowerReading, type PowerReading } from "./commands/dcmi.ts";
export { writeFruData } from "./commands/fru-inventory.ts";
export type { ChannelAuthenticationCapabilities } from "./commands/get-channel-authentication-capabilities.ts";
export type { CipherSuiteRecord } from "./commands/get-channel-cipher-suites.ts";
export { type ChannelInfo, getChannelInfo } from "./commands/get-channel-info.ts";
export type { ChassisStatus } from "./commands/get-chassis-status.ts";
export type { DeviceId } from "./commands/get-device-id.ts";
export { formatGuid, type GuidEncoding, getDeviceGuid, getSystemGuid } from "./commands/get-guid.ts";
export { getPohCounter, type PohCounter } from "./commands/get-poh-counter.ts";
export type { SelInfo } from "./commands/get-sel-info.ts";
export { getSelfTestResults, type SelfTestResults } from "./commands/get-self-test-results.ts";
export type { ThresholdName, Thresholds } from "./commands/get-sensor-thresholds.ts";
export { getSessionInfo, type SessionInfo } from "./commands/get-session-info.ts";
export { getSystemRestartCause, type SystemRestartCause } from "./commands/get-system-restart-cause.ts";
export { getSelTime, setSelTime } from "./commands/sel-time.ts";
export type { BridgeTarget } from "./commands/send-message.ts";
export {
  type SetPowerRestorePolicyRequest,
  type SupportedPowerRestorePolicies,
  setPowerRestorePolicy,
} from "./commands/set-power-restore-policy.ts";
export {
  getWatchdogTimer,
  resetWatchdogTimer,
  type SetWatchdogTimerRequest,
  setWatchdogTimer,
  type WatchdogTimer,
} from "./commands/watchdog-timer.ts";
export { COMPLETION_CODES, IpmiError, type IpmiErrorCode, isIpmiError, RAKP_STATUS } from "./errors.ts";
export {
  type LanConfiguration,
  type LanConfigurationChanges,
  readLanConfiguration,
  writeLanConfiguration,
} from "./lan-configuration.ts";
export { type OpenSessionOptions, openSession } from "./open-session.ts";
export type { SessionOptions, SessionProtocol } from "./options.ts";
export { QUIRKS, type Quirk, type Workaround } from "./quirks.ts";
export { type RawResponse, raw } from "./raw.ts";
export { type FruInventory, type ReadFruOptions, readFru } from "./read-fru.ts";
export { clearSel, type ReadSelOptions, readSel, readSelInfo } from "./read-sel.ts";
export { readSensors, type SensorHealth, type SensorState } from "./read-sensors.ts";
export type { FruBoard, FruChassis, FruProduct } from "./records/fru-areas.ts";
export type { FruDeviceLocator, McDeviceLocator, OtherSdr, SdrRecord } from "./records/sdr-record.ts";
export type { SensorRecord } from "./records/sdr-sensor-record.ts";
export type { OemSelRecord, SelRecord, SelTimestamp, SystemEventRecord } from "./records/sel-record.ts";
export type { CommandOptions, IpmiSession } from "./session.ts";
export {
  getChannelAuthenticationCapabilities,
  getChannelCipherSuites,
  ping,
  type SessionlessOptions,
} from "./sessionless.ts";
export { listUsers, setUser, type User, type UserSettings } from "./set-user.ts";
export { SharedSockets, type SharedSocketsOptions } from "./shared-sockets.ts";
export type { SimulatedBootDevice, SimulatorHandlers } from "./simulator/chassis.ts";
export type { FruContent, SelEventContent, SensorContent, SimulatorContent } from "./simulator/content.ts";
export type { SimulatorFaults } from "./simulator/faults.ts";
export type { SimulatedRecords } from "./simulator/records.ts";
export { BmcSimulator, type BmcSimulatorOptions, type SimulatorCounters } from "./simulator/simulator.ts";
export type { SimulatedSerial } from "./simulator/sol.ts";
export {
  openSerialConsole,
  type SerialConsole,
  type SerialConsoleEvent,
  type SerialConsoleOptions,
  type SerialConsoleReconnect,
} from "./sol/serial-console.ts";
export { walkSdr } from "./walk-sdr.ts";
export type { AuthenticationTypeName } from "./wire/session-v15.ts";
