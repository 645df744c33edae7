// Programmable misbehaviour of the test target: each field is one fault, all off by default, all changeable while it runs.
import type { TargetLoginFaults } from "./target-login.ts";

/**
 * When a fault strikes. What counts as an occasion is said at each fault; occasions are counted from the first one after the
 * object was put into `faults`, so a new object starts afresh. All randomness is drawn from `seed`.
 */
export interface FaultTrigger {
  /** Occasions left alone before the first strike. Default 0. */
  readonly after?: number | undefined;
  /** Strikes before the fault is over; `Infinity` for good. Default 1 unless the fault says otherwise. */
  readonly times?: number | undefined;
  /** `"connection"`: `after` and `times` hold for each connection on its own. Default `"target"`: for all together. */
  readonly scope?: "target" | "connection" | undefined;
  /** Share of the occasions that strikes, 0..1. Default 1. */
  readonly chance?: number | undefined;
  /** Default 1. */
  readonly seed?: number | undefined;
}

/** Occasions are SCSI commands; `opcode` narrows them to one SCSI operation code. */
export interface CommandTrigger extends FaultTrigger {
  readonly opcode?: number | undefined;
}

/** Occasions are PDUs; `opcode` narrows them to one iSCSI opcode (RFC 7143 11.2.1.2). */
export interface PduTrigger extends FaultTrigger {
  readonly opcode?: number | undefined;
}

/** Cuts connections by byte count. */
export interface ByteCut {
  /** Bytes that pass, or the range from which each cut draws its own number with `seed`. */
  readonly after: number | { readonly from: number; readonly to: number; readonly seed: number };
  /** Connections cut. Default 1 with scope `"target"`, no end with `"connection"`. */
  readonly times?: number | undefined;
  /** `"target"` (default): bytes of all connections since the fault was set, starting afresh after a cut; `"connection"`: of each on its own. */
  readonly scope?: "target" | "connection" | undefined;
}

/** Ends a command with this status in place of running it. */
export interface ScriptedStatus extends CommandTrigger {
  /** SCSI status: BUSY, TASK SET FULL, RESERVATION CONFLICT, CHECK CONDITION. */
  readonly status: number;
  /** iSCSI response; 1 is "target failure" (RFC 7143 11.4.3). Default 0. */
  readonly response?: number | undefined;
  /** With CHECK CONDITION: sense key 6 is UNIT ATTENTION. Without it no sense is sent. */
  readonly senseKey?: number | undefined;
  readonly asc?: number | undefined;
  readonly ascq?: number | undefined;
}

/** An Asynchronous Message (RFC 7143 11.9). */
export interface TargetAsyncMessage {
  readonly event: number;
  readonly vendorCode?: number | undefined;
  readonly parameter1?: number | undefined;
  /** Time2Wait, seconds. */
  readonly parameter2?: number | undefined;
  /** Seconds in which the initiator is to act. */
  readonly parameter3?: number | undefined;
  /** Sense data of a SCSI event. */
  readonly sense?: Buffer | undefined;
  /** The connection is dropped so long after the message. Default: it is not. */
  readonly dropsAfterMs?: number | undefined;
}

/** A PDU on its way out, before digests are added. */
export interface SentPdu {
  readonly header: Buffer;
  readonly data: Buffer | undefined;
}

/** What is wrong with the Data-In PDUs of a read. */
export type DataInFault =
  | "outOfOrder"
  | "overlapping"
  | "tooMuch"
  | "dataSnGap"
  | "unknownTag"
  | "firstPduMissing"
  | "lastPduMissing";

/** Faults of the byte stream and of the PDUs sent. */
interface WireFaults {
  /** Connections are reset after so many received bytes, login included; a number holds for each connection from its start. */
  dropAfterBytes?: number | ByteCut | undefined;
  /** Connections are ended after exactly so many sent bytes. */
  dropAfterBytesSent?: number | ByteCut | undefined;
  /** Occasions: PDUs sent. The connection ends inside this PDU, after `atByte` bytes of it (default 24: half a header). */
  dropsInsidePdu?: (PduTrigger & { readonly atByte?: number | undefined }) | undefined;
  /** Occasions: PDUs sent. In its place come `bytes`, or 96 random ones. */
  garbage?: (PduTrigger & { readonly bytes?: Buffer | undefined }) | undefined;
  /** Occasions: PDUs sent. It is not sent, though its numbers are used up. */
  losesPdu?: PduTrigger | undefined;
  /** Occasions: PDUs sent. It is sent twice. */
  repeatsPdu?: PduTrigger | undefined;
  /** Occasions: PDUs sent with a header digest; the digest is wrong. */
  headerDigestError?: PduTrigger | undefined;
  /** Occasions: PDUs sent with a data digest; the digest is wrong. */
  dataDigestError?: PduTrigger | undefined;
  /** Occasions: PDUs sent. `by` is added to StatSN: -1 repeats the number before, 1 skips one. The count itself goes on unharmed. */
  wrongStatSn?: (PduTrigger & { readonly by: number }) | undefined;
  wrongExpCmdSn?: (PduTrigger & { readonly by: number }) | undefined;
  /** Negative numbers let the window go backwards; ExpCmdSN - 1 is a closed one. */
  wrongMaxCmdSn?: (PduTrigger & { readonly by: number }) | undefined;
  /** Last word on each PDU sent, after all other faults but those of bytes and digests: what goes out instead, or nothing. */
  alterSent?: ((pdu: SentPdu) => SentPdu | undefined) | undefined;
}

/** Faults of login, logout and of the session as a whole. */
interface SessionFaults {
  /** Accepts the TCP connection but never answers the login. Occasions: connections; `true` is every one. */
  neverLogsIn?: boolean | FaultTrigger | undefined;
  /** Refuses logins. Occasions: connections; default without end. `redirectTo` is the TargetAddress sent with class 1. */
  refuseLogin?:
    | (FaultTrigger & {
        readonly statusClass: number;
        readonly statusDetail: number;
        readonly redirectTo?: string | undefined;
      })
    | undefined;
  /** Misbehaviour within the login, of connections made from now on. */
  login?: TargetLoginFaults | undefined;
  /** Accepts logins but never answers a SCSI command, a ping or an abort. */
  neverAnswers?: boolean | undefined;
  /**
   * Occasions: SCSI commands received. From the striking one on its connection is silent for good, TCP stays open. `times` is the
   * number of connections this befalls. `stopsReading`: the socket is not read any more either, so that TCP pushes back.
   */
  stalls?: (CommandTrigger & { readonly stopsReading?: boolean | undefined }) | undefined;
  logoutDelayMs?: number | undefined;
  neverLogsOut?: boolean | undefined;
  /** Occasions: SCSI commands received. MaxCmdSN stands still for `forMs`; then a NOP-In announces the window. */
  closesWindow?: (CommandTrigger & { readonly forMs: number }) | undefined;
  /** Status PDUs skip a StatSN, and the count with them. */
  skipsStatSn?: boolean | undefined;
  /** Occasions: SCSI commands received, before they are answered. */
  asyncMessage?: (CommandTrigger & TargetAsyncMessage) | undefined;
  /** Occasions: SCSI commands received. A NOP-In that wants an answer is sent first. */
  pings?: CommandTrigger | undefined;
  /** Task management functions are never answered (and have no effect). */
  ignoresTaskManagement?: boolean | undefined;
  /** Task management functions have no effect and get this response: 255 is "function rejected", 5 "not supported". */
  taskManagementResponse?: number | undefined;
  /** So many commands per session are answered with UNIT ATTENTION, power on or reset. */
  unitAttentionCount?: number | undefined;
  /** A session that replaces another starts with UNIT ATTENTION, I_T nexus loss occurred (29h/07h). */
  reportsNexusLoss?: boolean | undefined;
}

/** Faults of commands and their data. */
interface CommandFaults {
  /** Each SCSI command waits so long before it is run; `number` counts the session's commands from 1. */
  delayMs?: number | ((cdb: Buffer, number: number) => number) | undefined;
  /** Ended in place of being run; the first of a list that strikes. Occasions: commands ready to be run. */
  statuses?: ScriptedStatus | readonly ScriptedStatus[] | undefined;
  /** Occasions: commands ready to be run, all their data received. The connection is reset and the command never run. */
  dropsBeforeExecution?: CommandTrigger | undefined;
  /** Occasions: commands that were run. The connection is reset before their data and status are sent. */
  executesButDropsStatus?: CommandTrigger | undefined;
  /** Occasions: SCSI commands received. Answered with a Reject (RFC 7143 11.17.1) and not run. */
  rejects?: (CommandTrigger & { readonly reason: number }) | undefined;
  /** Occasions: PDUs received that carry data. Answered with Reject "data digest error" and thrown away (RFC 7143 7.8). */
  claimsDataDigestError?: PduTrigger | undefined;
  /** Occasions: statuses sent. The residual is this, whatever was transferred. */
  residual?: (CommandTrigger & { readonly kind: "underflow" | "overflow"; readonly bytes: number }) | undefined;
  /** Occasions: reads answered. So many bytes fewer than asked for are sent, with an honest underflow. */
  shortRead?: (CommandTrigger & { readonly bytes: number }) | undefined;
  /** Occasions: reads answered. */
  dataIn?: (CommandTrigger & { readonly fault: DataInFault }) | undefined;
  /** The status of a read comes in its own PDU instead of with the last data. */
  separateReadStatus?: boolean | undefined;
  /** Sense data comes without its 2-byte length (RFC 7143 11.4.7). */
  senseWithoutLength?: boolean | undefined;
  /** Sense data ends after so many bytes, its own length fields unchanged. */
  senseEndsAfterBytes?: number | undefined;
  /** R2Ts ask for at most so many bytes: many tiny ones. */
  r2tBytes?: number | undefined;
  /** So many more R2Ts are outstanding than MaxOutstandingR2T allows. */
  extraR2ts?: number | undefined;
  /** Occasions: R2Ts sent. It is sent twice, with the same R2TSN. */
  repeatsR2t?: FaultTrigger | undefined;
  /** Occasions: writes answered. An R2T for the finished task follows its status. */
  r2tAfterStatus?: FaultTrigger | undefined;
  /** R2Ts ask for data beyond the end of the write. */
  asksTooMuch?: boolean | undefined;
}

/** Faults of the logical unit. */
interface UnitFaults {
  /** So many medium-access commands are answered with BUSY. */
  busyCount?: number | undefined;
  /** So many medium-access commands are answered with TASK SET FULL. */
  taskSetFullCount?: number | undefined;
  /** So many writes end in MEDIUM ERROR, write error. */
  writeErrorCount?: number | undefined;
  /** The medium refuses every change with DATA PROTECT, and MODE SENSE says so. */
  isWriteProtected?: boolean | undefined;
  /** No UNMAP, no UNMAP bit, no pages B0h and B2h. */
  noUnmap?: boolean | undefined;
  /** WRITE SAME is an unknown command. */
  noWriteSame?: boolean | undefined;
  /** The UNMAP bit is promised in VPD B2h but refused. */
  liesAboutUnmap?: boolean | undefined;
  /** LBPRZ promises zeros after UNMAP, but UNMAP and WRITE SAME with the UNMAP bit leave the old data where it is. */
  keepsDataOnUnmap?: boolean | undefined;
}

/** Everything that can be made to go wrong. Counters count down as they strike. */
export interface TargetFaults extends WireFaults, SessionFaults, CommandFaults, UnitFaults {}

/** Negotiation limits of the target, to force an initiator through every path. Sizes in bytes. */
export interface TargetLimits {
  maxRecvDataSegmentBytes?: number;
  maxBurstBytes?: number;
  firstBurstBytes?: number;
  initialR2T?: boolean;
  immediateData?: boolean;
  maxOutstandingR2T?: number;
  /** Digests the target would like, in order of preference. Default `"None,CRC32C"`: those that the initiator prefers. */
  headerDigest?: "None" | "CRC32C" | "CRC32C,None" | "None,CRC32C";
  dataDigest?: "None" | "CRC32C" | "CRC32C,None" | "None,CRC32C";
  /** DefaultTime2Wait. Default 0. */
  time2WaitSeconds?: number;
  /** Commands the initiator may have in flight. Default 128. */
  commandWindow?: number;
  /** VPD B0h, in blocks; 0 is no limit. */
  maximumTransferBlocks?: number;
  maximumWriteSameBlocks?: number;
  optimalUnmapGranularityBlocks?: number;
}

/** Uses up one strike of a counter. */
export function strikes(faults: TargetFaults, counter: "busyCount" | "taskSetFullCount" | "writeErrorCount"): boolean {
  const left = faults[counter] ?? 0;
  if (left <= 0) return false;
  faults[counter] = left - 1;
  return true;
}
