// Programmable misbehaviour of the test target: each field is one fault, all off by default, all changeable while it runs.

/** Faults; counters count down as they strike. */
export interface TargetFaults {
  /** Each connection is reset after it has received so many bytes (login included). */
  dropAfterBytes?: number | undefined;
  /** Each SCSI command waits so long before it is run. */
  delayMs?: number | undefined;
  /** So many medium-access commands are answered with BUSY. */
  busyCount?: number | undefined;
  /** So many medium-access commands are answered with TASK SET FULL. */
  taskSetFullCount?: number | undefined;
  /** So many commands per session are answered with UNIT ATTENTION, power on or reset. */
  unitAttentionCount?: number | undefined;
  /** Accepts logins but never answers a SCSI command, a ping or an abort. */
  neverAnswers?: boolean | undefined;
  /** Accepts the TCP connection but never answers the login. */
  neverLogsIn?: boolean | undefined;
  /** Refuses every login with this status. */
  refuseLogin?: { statusClass: number; statusDetail: number } | undefined;
  /** No UNMAP, no UNMAP bit, no pages B0h and B2h. */
  noUnmap?: boolean | undefined;
  /** WRITE SAME is an unknown command. */
  noWriteSame?: boolean | undefined;
  /** The UNMAP bit is promised in VPD B2h but refused. */
  liesAboutUnmap?: boolean | undefined;
  /** So many writes end in MEDIUM ERROR, write error. */
  writeErrorCount?: number | undefined;
  /** The status of a read comes in its own PDU instead of with the last data. */
  separateReadStatus?: boolean | undefined;
  /** Status PDUs skip a StatSN. */
  skipsStatSn?: boolean | undefined;
  /** R2Ts ask for data beyond the end of the write. */
  asksTooMuch?: boolean | undefined;
}

/** Negotiation limits of the target, to force an initiator through every path. Sizes in bytes. */
export interface TargetLimits {
  maxRecvDataSegmentBytes?: number;
  maxBurstBytes?: number;
  firstBurstBytes?: number;
  initialR2T?: boolean;
  immediateData?: boolean;
  maxOutstandingR2T?: number;
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
