// Operational text keys (RFC 7143 13): what we offer, what the answers mean, and how the target's side answers. Pure.
import { ProtocolError } from "./errors.ts";
import type { TextPairs } from "./pdu/text-keys.ts";

/** The values in force after the login. Sizes in bytes. */
export interface SessionParameters {
  /** True: the target must ask (R2T) before any Data-Out beyond immediate data. */
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  /** Longest data segment the peer takes from us (its declaration). */
  readonly maxSendDataSegmentBytes: number;
  /** Longest data segment we take (our declaration). */
  readonly maxRecvDataSegmentBytes: number;
  readonly maxBurstBytes: number;
  readonly firstBurstBytes: number;
  readonly maxOutstandingR2T: number;
  readonly targetPortalGroupTag: number | undefined;
  readonly targetAlias: string | undefined;
}

/** What one side would like; the result is the weaker of both. */
export interface ParameterWishes {
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  readonly maxRecvDataSegmentBytes: number;
  readonly maxBurstBytes: number;
  readonly firstBurstBytes: number;
  readonly maxOutstandingR2T: number;
}

/** Offer of this initiator: few, large PDUs and no waiting for the first R2T. */
export const DEFAULT_WISHES: ParameterWishes = {
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentBytes: 262_144,
  maxBurstBytes: 16_776_192,
  firstBurstBytes: 262_144,
  maxOutstandingR2T: 16,
};

/** RFC 7143 13: defaults that hold for keys nobody negotiated. */
export const RFC_DEFAULTS = {
  initialR2T: true,
  immediateData: true,
  maxRecvDataSegmentBytes: 8192,
  maxBurstBytes: 262_144,
  firstBurstBytes: 65_536,
  maxOutstandingR2T: 1,
} as const;

/** Keys offered in the operational stage; a discovery session moves no SCSI data and offers less. */
export function operationalOffer(wishes: ParameterWishes, isDiscovery: boolean): TextPairs {
  const both: [string, string][] = [
    ["HeaderDigest", "None"],
    ["DataDigest", "None"],
    ["ErrorRecoveryLevel", "0"],
    ["MaxRecvDataSegmentLength", String(wishes.maxRecvDataSegmentBytes)],
    ["DefaultTime2Wait", "2"],
    ["DefaultTime2Retain", "0"],
  ];
  if (isDiscovery) return both;
  return [
    ...both,
    ["InitialR2T", wishes.initialR2T ? "Yes" : "No"],
    ["ImmediateData", wishes.immediateData ? "Yes" : "No"],
    ["MaxBurstLength", String(wishes.maxBurstBytes)],
    ["FirstBurstLength", String(wishes.firstBurstBytes)],
    ["MaxOutstandingR2T", String(wishes.maxOutstandingR2T)],
    ["MaxConnections", "1"],
    ["DataPDUInOrder", "Yes"],
    ["DataSequenceInOrder", "Yes"],
  ];
}

const NO_VALUE = new Set(["Reject", "Irrelevant", "NotUnderstood"]);

/** A number key in its legal range; undefined when the key is missing or was answered with a refusal. */
function numberKey(keys: ReadonlyMap<string, string>, key: string, min: number, max: number): number | undefined {
  const text = keys.get(key);
  if (text === undefined || NO_VALUE.has(text)) return undefined;
  const value = /^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new ProtocolError(`${key}=${text} is not a number in ${min}..${max}`);
  return value;
}

function booleanKey(keys: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const text = keys.get(key);
  if (text === undefined || NO_VALUE.has(text)) return undefined;
  if (text !== "Yes" && text !== "No") throw new ProtocolError(`${key}=${text} is neither Yes nor No`);
  return text === "Yes";
}

const MIN_SEGMENT = 512;
const MAX_SEGMENT = 0xffffff;

/**
 * Values in force after both sides spoke. A key that the peer left out or refused keeps the RFC's default, which is what the peer
 * will go by. Used by both sides: AND, OR and minimum functions are symmetrical (RFC 7143 6.2).
 */
export function settleParameters(keys: ReadonlyMap<string, string>, wishes: ParameterWishes): SessionParameters {
  const minimum = (key: string, wish: number, fallback: number, min: number) => {
    const value = numberKey(keys, key, min, key === "MaxOutstandingR2T" ? 65_535 : MAX_SEGMENT);
    return value === undefined ? fallback : Math.min(value, wish);
  };
  for (const key of ["HeaderDigest", "DataDigest"]) {
    const value = keys.get(key);
    if (value !== undefined && !NO_VALUE.has(value) && !value.split(",").includes("None"))
      throw new ProtocolError(`${key}=${value} was not offered; this package speaks without digests only`);
  }
  const initialR2T = booleanKey(keys, "InitialR2T");
  const immediateData = booleanKey(keys, "ImmediateData");
  const maxBurstBytes = minimum("MaxBurstLength", wishes.maxBurstBytes, RFC_DEFAULTS.maxBurstBytes, MIN_SEGMENT);
  const firstBurst = minimum("FirstBurstLength", wishes.firstBurstBytes, RFC_DEFAULTS.firstBurstBytes, MIN_SEGMENT);
  return {
    initialR2T: initialR2T === undefined ? RFC_DEFAULTS.initialR2T : initialR2T || wishes.initialR2T,
    immediateData: immediateData === undefined ? RFC_DEFAULTS.immediateData : immediateData && wishes.immediateData,
    maxSendDataSegmentBytes:
      numberKey(keys, "MaxRecvDataSegmentLength", MIN_SEGMENT, MAX_SEGMENT) ?? RFC_DEFAULTS.maxRecvDataSegmentBytes,
    maxRecvDataSegmentBytes: wishes.maxRecvDataSegmentBytes,
    maxBurstBytes,
    // RFC 7143 13.14: FirstBurstLength must not exceed MaxBurstLength.
    firstBurstBytes: Math.min(firstBurst, maxBurstBytes),
    maxOutstandingR2T: minimum("MaxOutstandingR2T", wishes.maxOutstandingR2T, RFC_DEFAULTS.maxOutstandingR2T, 1),
    targetPortalGroupTag: numberKey(keys, "TargetPortalGroupTag", 0, 65_535),
    targetAlias: keys.get("TargetAlias"),
  };
}

/** Keys that only declare something and are never answered (RFC 7143 13, "declarative"). */
const DECLARATIVE = new Set([
  "InitiatorName",
  "InitiatorAlias",
  "TargetName",
  "TargetAlias",
  "TargetAddress",
  "TargetPortalGroupTag",
  "SessionType",
  "MaxRecvDataSegmentLength",
]);

const EXACT_ANSWERS = new Map([
  ["ErrorRecoveryLevel", "0"],
  ["MaxConnections", "1"],
  ["DataPDUInOrder", "Yes"],
  ["DataSequenceInOrder", "Yes"],
  ["DefaultTime2Retain", "0"],
]);

/** The answer to one key the peer offered; undefined when it needs none. `keys` are the peer's, `wishes` ours. */
export function answerKey(key: string, value: string, wishes: ParameterWishes): string | undefined {
  if (DECLARATIVE.has(key)) return undefined;
  if (key === "HeaderDigest" || key === "DataDigest") return value.split(",").includes("None") ? "None" : "Reject";
  const exact = EXACT_ANSWERS.get(key);
  if (exact !== undefined) return exact;
  const settled = () => settleParameters(new Map([[key, value]]), wishes);
  switch (key) {
    case "InitialR2T":
      return settled().initialR2T ? "Yes" : "No";
    case "ImmediateData":
      return settled().immediateData ? "Yes" : "No";
    case "MaxBurstLength":
      return String(settled().maxBurstBytes);
    case "FirstBurstLength":
      return String(
        Math.min(numberKey(new Map([[key, value]]), key, MIN_SEGMENT, MAX_SEGMENT) ?? 0, wishes.firstBurstBytes),
      );
    case "MaxOutstandingR2T":
      return String(settled().maxOutstandingR2T);
    case "DefaultTime2Wait":
      return String(Math.max(2, Number(value) || 0));
    default:
      return "NotUnderstood";
  }
}
