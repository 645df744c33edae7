// Public names of node-iscsi: an iSCSI initiator in user space (RFC 7143). The small target for tests is `node-iscsi/target`.
export type { BlockDevice, OperationOptions } from "./block-device.ts";
export { BlockDeviceView } from "./block-device.ts";
export type { ChapCredentials } from "./chap.ts";
export { type ConnectOptions, connect, DEFAULT_INITIATOR_NAME, DEFAULT_PORT, type PortalOptions } from "./connect.ts";
export { crc32c } from "./crc32c.ts";
export { type DiscoveredTarget, type DiscoverOptions, discover, type Portal } from "./discovery.ts";
export {
  AbortedError,
  type ByteRange,
  CacheLossError,
  type CommandEffect,
  type DiskState,
  type ErrorContext,
  InvalidArgumentError,
  IscsiError,
  type IscsiErrorCode,
  LoginError,
  ProtocolError,
  RecoveryError,
  ScsiError,
  SequenceError,
  TimeoutError,
  TransportError,
} from "./errors.ts";
export type { DigestWish, ParameterWishes, SessionParameters } from "./negotiation.ts";
export type { AsyncMessagePdu } from "./pdu/async-message.ts";
export { createReadStream, type ReadStreamOptions } from "./read-stream.ts";
export type { ScsiCommand } from "./scsi/command.ts";
export { compareAndWrite } from "./scsi/compare-and-write.ts";
export type { CacheControl } from "./scsi/fields.ts";
export { formatDesignator } from "./scsi/format-designator.ts";
export { type FormatUnitOptions, formatUnit } from "./scsi/format-unit.ts";
export { getLbaStatus, type LbaStatus } from "./scsi/get-lba-status.ts";
export { type InquiryData, inquiry, inquiryVpd } from "./scsi/inquiry.ts";
export { ModePage, type ModeSenseData, modeSense6, modeSense10, PageControl } from "./scsi/mode-sense.ts";
export { ReservationType, type ReservationTypeCode } from "./scsi/persistent-reservation.ts";
export {
  readFullReservationStatus,
  readReservation,
  readReservationKeys,
  reportReservationCapabilities,
} from "./scsi/persistent-reserve-in.ts";
export {
  reservationClear,
  reservationPreempt,
  reservationRegister,
  reservationRegisterAndIgnoreExistingKey,
  reservationRelease,
  reservationReserve,
} from "./scsi/persistent-reserve-out.ts";
export { read10 } from "./scsi/read-10.ts";
export { read16 } from "./scsi/read-16.ts";
export { type Capacity, readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
export { type LunEntry, type LunList, reportLuns } from "./scsi/report-luns.ts";
export { type CommandSupport, reportSupportedOperationCode } from "./scsi/report-supported-operation-codes.ts";
export { requestSense } from "./scsi/request-sense.ts";
export {
  sanitizeBlockErase,
  sanitizeCryptographicErase,
  sanitizeExitFailureMode,
  sanitizeOverwrite,
} from "./scsi/sanitize.ts";
export { ScsiStatus, type SenseData, SenseKey } from "./scsi/sense.ts";
export { PowerCondition, startStopUnit } from "./scsi/start-stop-unit.ts";
export { synchronizeCache10, synchronizeCache16 } from "./scsi/synchronize-cache.ts";
export { testUnitReady } from "./scsi/test-unit-ready.ts";
export { type UnmapRange, unmap } from "./scsi/unmap.ts";
export { type VerifyAgainst, verify10, verify16 } from "./scsi/verify.ts";
export {
  type BlockDeviceCharacteristics,
  type BlockLimits,
  type Designator,
  decodeBlockDeviceCharacteristics,
  decodeBlockLimits,
  decodeDeviceIdentification,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  decodeUnitSerialNumber,
  type LogicalBlockProvisioning,
  VpdPage,
} from "./scsi/vpd-pages.ts";
export { write10 } from "./scsi/write-10.ts";
export { write16 } from "./scsi/write-16.ts";
export { writeSame10 } from "./scsi/write-same-10.ts";
export { writeSame16 } from "./scsi/write-same-16.ts";
export { IscsiSession } from "./session.ts";
export type { CommandReport, ExecuteOptions, RecoveryOptions, SessionHooks } from "./session-options.ts";
export { parseTargetUrl, type TargetUrl } from "./target-url.ts";
export { allocateTransferBuffer } from "./transfer-buffer.ts";
export {
  type BlockWriteStream,
  createWriteStream,
  type WriteStreamFailure,
  type WriteStreamOptions,
} from "./write-stream.ts";
