// Public names of node-iscsi: an iSCSI initiator in user space (RFC 7143) and the small target its tests use.
export type { BlockDevice, OperationOptions } from "./block-device.ts";
export { BlockDeviceView } from "./block-device.ts";
export type { ChapCredentials } from "./chap.ts";
export { type ConnectOptions, connect, DEFAULT_INITIATOR_NAME, DEFAULT_PORT, type PortalOptions } from "./connect.ts";
export { type DiscoveredTarget, discover, type Portal } from "./discovery.ts";
export {
  AbortedError,
  type ErrorContext,
  InvalidArgumentError,
  IscsiError,
  type IscsiErrorCode,
  LoginError,
  ProtocolError,
  ScsiError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
export type { ParameterWishes, SessionParameters } from "./negotiation.ts";
export type { AsyncMessagePdu } from "./pdu/async-message.ts";
export type { ScsiCommand } from "./scsi/command.ts";
export { type InquiryData, inquiry, inquiryVpd } from "./scsi/inquiry.ts";
export { read16 } from "./scsi/read-16.ts";
export { type Capacity, readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
export { ScsiStatus, type SenseData, SenseKey } from "./scsi/sense.ts";
export { synchronizeCache10, synchronizeCache16 } from "./scsi/synchronize-cache.ts";
export { testUnitReady } from "./scsi/test-unit-ready.ts";
export { type UnmapRange, unmap } from "./scsi/unmap.ts";
export {
  type BlockLimits,
  type Designator,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  type LogicalBlockProvisioning,
  VpdPage,
} from "./scsi/vpd-pages.ts";
export { write16 } from "./scsi/write-16.ts";
export { writeSame16 } from "./scsi/write-same-16.ts";
export { IscsiSession } from "./session.ts";
export type { ExecuteOptions, SessionHooks } from "./session-options.ts";
export type { Backing, BackingOptions } from "./target/backing.ts";
export type { TargetFaults, TargetLimits } from "./target/faults.ts";
export { IscsiTarget, type IscsiTargetOptions } from "./target/target.ts";
