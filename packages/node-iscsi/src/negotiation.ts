// Operational text keys (RFC 7143 13): what we offer, what the answers mean, and how the target's side answers. Pure.
import { type ErrorContext, InvalidArgumentError, LoginError, ProtocolError } from "./errors.ts";
import type { TextPairs } from "./pdu/text-keys.ts";
import { MAX_COMMAND_BYTES } from "./transfer-shape.ts";

/** Value offered for a digest, in order of preference (RFC 7143 13.1). Without "None" in it the digest is required. */
export type DigestWish = "None" | "CRC32C" | "CRC32C,None" | "None,CRC32C";

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
  /** True: every header, additional segments included, is followed by its CRC32C. */
  readonly headerDigest: boolean;
  /** True: every data segment that is not empty is followed by the CRC32C of its bytes and padding. */
  readonly dataDigest: boolean;
  /** After the connection failed, wait so long before the next login (RFC 7143 13.15). */
  readonly time2WaitSeconds: number;
  /** The target keeps tasks of a failed connection so long after that (RFC 7143 13.16); at level 0 nobody asks for them. */
  readonly time2RetainSeconds: number;
  readonly targetPortalGroupTag: number | undefined;
  readonly targetAlias: string | undefined;
}

/** What one side would like; the result is the weaker of both. */
export interface ParameterWishes {
  /** Default false. */
  readonly initialR2T: boolean;
  /** Default true. */
  readonly immediateData: boolean;
  /** 512..16777215; default 262144. */
  readonly maxRecvDataSegmentBytes: number;
  /** 512..16777215; default 16776192. */
  readonly maxBurstBytes: number;
  /** 512..maxBurstBytes; default 262144, or maxBurstBytes when that is less. */
  readonly firstBurstBytes: number;
  /** 1..65535; default 16. */
  readonly maxOutstandingR2T: number;
  /** Default "None". */
  readonly headerDigest: DigestWish;
  /** Default "None". */
  readonly dataDigest: DigestWish;
  /** 0..3600; default 0. The target may insist on more. */
  readonly time2WaitSeconds: number;
}

/** Whose part of the negotiation is played: only the initiator's digests and refusals differ from the target's. */
type NegotiationSide = "initiator" | "target";

/** Offer of this initiator: few, large PDUs and no waiting for the first R2T. */
export const DEFAULT_WISHES: ParameterWishes = {
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentBytes: MAX_COMMAND_BYTES,
  maxBurstBytes: 16_776_192,
  firstBurstBytes: 262_144,
  maxOutstandingR2T: 16,
  headerDigest: "None",
  dataDigest: "None",
  time2WaitSeconds: 0,
};

interface NumberRule {
  readonly min: number;
  readonly max: number;
  /** In force when nobody negotiated the key. */
  readonly fallback: number;
}

const SEGMENT = { min: 512, max: 0xffffff } as const;

/** Range and default of each numeric key (RFC 7143 13.2 to 13.24). */
const NUMBERS = {
  MaxConnections: { min: 1, max: 65_535, fallback: 1 },
  TargetPortalGroupTag: { min: 0, max: 65_535, fallback: 0 },
  MaxRecvDataSegmentLength: { ...SEGMENT, fallback: 8192 },
  MaxBurstLength: { ...SEGMENT, fallback: 262_144 },
  FirstBurstLength: { ...SEGMENT, fallback: 65_536 },
  DefaultTime2Wait: { min: 0, max: 3600, fallback: 2 },
  DefaultTime2Retain: { min: 0, max: 3600, fallback: 20 },
  MaxOutstandingR2T: { min: 1, max: 65_535, fallback: 1 },
  ErrorRecoveryLevel: { min: 0, max: 2, fallback: 0 },
  iSCSIProtocolLevel: { min: 0, max: 31, fallback: 1 },
} as const satisfies Record<string, NumberRule>;
type NumberKey = keyof typeof NUMBERS;

/** Default of each boolean key (RFC 7143 13.10, 13.11, 13.18, 13.19): all are Yes. */
const BOOLEANS = ["InitialR2T", "ImmediateData", "DataPDUInOrder", "DataSequenceInOrder"] as const;
type BooleanKey = (typeof BOOLEANS)[number];

/** Fixed at 0: at ErrorRecoveryLevel 0 no task outlives its connection. */
const TIME2RETAIN_WISH = 0;
/** RFC 7143 6.1: the longest value of a key that does not say otherwise. */
const MAX_VALUE_BYTES = 255;
const DIGEST_WISHES: readonly string[] = ["None", "CRC32C", "CRC32C,None", "None,CRC32C"] satisfies DigestWish[];

/** The wish that each numeric option turns into, for its range. */
const WISH_KEYS = {
  maxRecvDataSegmentBytes: "MaxRecvDataSegmentLength",
  maxBurstBytes: "MaxBurstLength",
  firstBurstBytes: "FirstBurstLength",
  maxOutstandingR2T: "MaxOutstandingR2T",
  time2WaitSeconds: "DefaultTime2Wait",
} as const satisfies Partial<Record<keyof ParameterWishes, NumberKey>>;

/**
 * A caller's wishes over the defaults; keys that are undefined count as left out.
 * @throws InvalidArgumentError that names the range, for a value the key cannot carry; nothing was sent then.
 */
export function completeWishes(
  partial: { readonly [K in keyof ParameterWishes]?: ParameterWishes[K] | undefined } = {},
): ParameterWishes {
  const refuse = (reason: string) => new InvalidArgumentError(reason, { operation: "checking wishes" });
  const given = Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined));
  const wishes: ParameterWishes = { ...DEFAULT_WISHES, ...given };
  for (const [option, key] of Object.entries(WISH_KEYS) as [keyof typeof WISH_KEYS, NumberKey][]) {
    const { min, max } = NUMBERS[key];
    const value = wishes[option];
    if (!Number.isInteger(value) || value < min || value > max)
      throw refuse(`${option} is ${value}; ${key} takes whole numbers in ${min}..${max}`);
  }
  for (const option of ["headerDigest", "dataDigest"] as const)
    if (!DIGEST_WISHES.includes(wishes[option]))
      throw refuse(`${option} is ${wishes[option]}; it takes one of ${DIGEST_WISHES.join(" | ")}`);
  if (wishes.firstBurstBytes <= wishes.maxBurstBytes) return wishes;
  // RFC 7143 13.14: FirstBurstLength must not exceed MaxBurstLength.
  if (given["firstBurstBytes"] !== undefined)
    throw refuse(`firstBurstBytes is ${wishes.firstBurstBytes}; it takes 512..${wishes.maxBurstBytes} (maxBurstBytes)`);
  return { ...wishes, firstBurstBytes: wishes.maxBurstBytes };
}

/** Keys offered in the operational stage; a discovery session moves no SCSI data and offers less. */
export function operationalOffer(wishes: ParameterWishes, isDiscovery: boolean): TextPairs {
  const both: [string, string][] = [
    ["HeaderDigest", wishes.headerDigest],
    ["DataDigest", wishes.dataDigest],
    ["ErrorRecoveryLevel", "0"],
    ["MaxRecvDataSegmentLength", String(wishes.maxRecvDataSegmentBytes)],
    ["DefaultTime2Wait", String(wishes.time2WaitSeconds)],
    ["DefaultTime2Retain", String(TIME2RETAIN_WISH)],
  ];
  if (isDiscovery) return both;
  return [
    ...both,
    ["InitialR2T", yesOrNo(wishes.initialR2T)],
    ["ImmediateData", yesOrNo(wishes.immediateData)],
    ["MaxBurstLength", String(wishes.maxBurstBytes)],
    ["FirstBurstLength", String(wishes.firstBurstBytes)],
    ["MaxOutstandingR2T", String(wishes.maxOutstandingR2T)],
    ["MaxConnections", "1"],
    ["DataPDUInOrder", "Yes"],
    ["DataSequenceInOrder", "Yes"],
  ];
}

const yesOrNo = (value: boolean) => (value ? "Yes" : "No");
const NO_VALUE = new Set(["Reject", "Irrelevant", "NotUnderstood"]);

/**
 * The keys one peer sent, read by rule. A value that its key does not allow breaks the protocol when it is an answer to us; as
 * an offer it gets the answer Reject (RFC 7143 6.2) and therefore counts as not negotiated.
 */
class ReceivedKeys {
  readonly #keys: ReadonlyMap<string, string>;
  readonly #side: NegotiationSide;

  constructor(keys: ReadonlyMap<string, string>, side: NegotiationSide) {
    this.#keys = keys;
    this.#side = side;
  }

  /** Undefined when the key is missing or was answered with a refusal: the value in force stays (RFC 7143 6.2). */
  text(key: string): string | undefined {
    const text = this.#keys.get(key);
    if (text === undefined || NO_VALUE.has(text)) return undefined;
    if (Buffer.byteLength(text) > MAX_VALUE_BYTES)
      return this.#illegal(`${key} has a value of ${text.length} characters`);
    return text;
  }

  number(key: NumberKey): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const { min, max } = NUMBERS[key];
    const value = /^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max
      ? value
      : this.#illegal(`${key}=${text} is not a number in ${min}..${max}`, key === "MaxRecvDataSegmentLength");
  }

  boolean(key: BooleanKey): boolean | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    return text === "Yes" || text === "No" ? text === "Yes" : this.#illegal(`${key}=${text} is neither Yes nor No`);
  }

  /** The digest both sides can do, or undefined: the first of the offerer's list that the acceptor is willing to use (RFC 7143 6.2.1). */
  digest(key: "HeaderDigest" | "DataDigest", wish: DigestWish): string | undefined {
    const values = this.text(key)?.split(",");
    if (values === undefined) return undefined;
    if (this.#side === "target") return values.find((value) => wish.split(",").includes(value));
    // Trap: tgtd answers None to an offer of CRC32C alone. That is a refusal; whoever requires the digest leaves, but says so.
    const isKnown = values[0] === "None" || wish.split(",").includes(values[0] ?? "");
    if (values.length === 1 && isKnown) return values[0];
    return this.#illegal(`${key}=${values.join(",")} was not offered; the offer was ${wish}`);
  }

  #illegal(reason: string, isDeclaration = false): undefined {
    // A declaration has no answer, so nothing can tell the peer that its value does not hold.
    if (this.#side === "initiator" || isDeclaration) throw new ProtocolError(reason);
    return undefined;
  }
}

/**
 * Values in force after both sides spoke. A key that the peer left out or refused keeps the RFC's default, which is what the peer
 * will go by. AND, OR, minimum and maximum are symmetrical (RFC 7143 6.2), so only digests and illegal values depend on `side`.
 * @param keys what the peer sent: answers on the initiator's side, offers on the target's
 * @throws ProtocolError for a value out of range or not offered; LoginError when a digest that `wishes` require is refused.
 */
export function settleParameters(
  keys: ReadonlyMap<string, string>,
  wishes: ParameterWishes,
  side: NegotiationSide = "initiator",
  context: ErrorContext = { operation: "login" },
): SessionParameters {
  const received = new ReceivedKeys(keys, side);
  const minimum = (key: NumberKey, wish: number) => {
    const value = received.number(key);
    return value === undefined ? NUMBERS[key].fallback : Math.min(value, wish);
  };
  const digest = (key: "HeaderDigest" | "DataDigest", wish: DigestWish) => {
    // RFC 7143 6.2: a refused key keeps its default, None; who cannot live with that ends the login.
    const result = received.digest(key, wish) ?? "None";
    if (!wish.split(",").includes(result)) throw new LoginError(`${key}=${wish} is required and was refused`, context);
    return result === "CRC32C";
  };
  if (side === "initiator") checkFixedKeys(received);
  const initialR2T = received.boolean("InitialR2T");
  const immediateData = received.boolean("ImmediateData");
  const time2Wait = received.number("DefaultTime2Wait");
  const maxBurstBytes = minimum("MaxBurstLength", wishes.maxBurstBytes);
  return {
    initialR2T: initialR2T === undefined ? true : initialR2T || wishes.initialR2T,
    immediateData: immediateData === undefined ? true : immediateData && wishes.immediateData,
    maxSendDataSegmentBytes: received.number("MaxRecvDataSegmentLength") ?? NUMBERS.MaxRecvDataSegmentLength.fallback,
    maxRecvDataSegmentBytes: wishes.maxRecvDataSegmentBytes,
    maxBurstBytes,
    firstBurstBytes: Math.min(minimum("FirstBurstLength", wishes.firstBurstBytes), maxBurstBytes),
    maxOutstandingR2T: minimum("MaxOutstandingR2T", wishes.maxOutstandingR2T),
    headerDigest: digest("HeaderDigest", wishes.headerDigest),
    dataDigest: digest("DataDigest", wishes.dataDigest),
    time2WaitSeconds:
      time2Wait === undefined ? NUMBERS.DefaultTime2Wait.fallback : Math.max(time2Wait, wishes.time2WaitSeconds),
    time2RetainSeconds: minimum("DefaultTime2Retain", TIME2RETAIN_WISH),
    targetPortalGroupTag: received.number("TargetPortalGroupTag"),
    targetAlias: received.text("TargetAlias"),
  };
}

/** Keys we offer with the only value we can work with; their functions (OR, minimum) leave the target no other answer. */
function checkFixedKeys(received: ReceivedKeys): void {
  for (const key of ["DataPDUInOrder", "DataSequenceInOrder"] as const)
    if (received.boolean(key) === false) throw new ProtocolError(`${key}=No in answer to Yes`);
  const level = received.number("ErrorRecoveryLevel") ?? 0;
  if (level !== 0) throw new ProtocolError(`ErrorRecoveryLevel=${level} in answer to 0`);
  const connections = received.number("MaxConnections") ?? 1;
  if (connections !== 1) throw new ProtocolError(`MaxConnections=${connections} in answer to 1`);
}

/** Keys that only declare something and are never answered (RFC 7143 6.2 and 13, "declarative"). */
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

/** RFC 7143 13.25: markers are obsolete; NotUnderstood is forbidden here, Reject is what it asks for. SendTargets: 13.3, text only. */
const ALWAYS_REJECTED = new Set(["IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt", "SendTargets"]);

/** Keys of RFC 7143 13 marked "Irrelevant when: SessionType=Discovery". */
const IRRELEVANT_IN_DISCOVERY = new Set([
  "MaxConnections",
  "InitialR2T",
  "ImmediateData",
  "MaxBurstLength",
  "FirstBurstLength",
  "MaxOutstandingR2T",
  "DataPDUInOrder",
  "DataSequenceInOrder",
  "TaskReporting",
  "iSCSIProtocolLevel",
]);

const NO_KEYS: ReadonlyMap<string, string> = new Map();

/**
 * The answer to one key the peer offered; undefined when it needs none. Reject for a value its key does not allow, NotUnderstood
 * for a key we do not know (RFC 7143 6.2; X- keys included).
 * @param wishes ours
 * @param known all keys of the peer up to now; SessionType, InitialR2T and ImmediateData make other keys Irrelevant
 */
export function answerKey(
  key: string,
  value: string,
  wishes: ParameterWishes,
  known: ReadonlyMap<string, string> = NO_KEYS,
): string | undefined {
  // A refusal is an answer to us, whatever the key, and needs none.
  if (DECLARATIVE.has(key) || NO_VALUE.has(value)) return undefined;
  if (ALWAYS_REJECTED.has(key)) return "Reject";
  if (known.get("SessionType") === "Discovery" && IRRELEVANT_IN_DISCOVERY.has(key)) return "Irrelevant";
  const received = new ReceivedKeys(new Map([...known, [key, value]]), "target");
  return answerNumber(key, received, wishes) ?? answerChoice(key, received, wishes);
}

/** Minimum of both sides' values, maximum for DefaultTime2Wait; undefined when `key` is not a number. */
function answerNumber(key: string, received: ReceivedKeys, wishes: ParameterWishes): string | undefined {
  const ours = new Map<string, number>([
    ["MaxBurstLength", wishes.maxBurstBytes],
    ["FirstBurstLength", wishes.firstBurstBytes],
    ["MaxOutstandingR2T", wishes.maxOutstandingR2T],
    ["DefaultTime2Wait", wishes.time2WaitSeconds],
    ["DefaultTime2Retain", TIME2RETAIN_WISH],
    ["MaxConnections", 1],
    ["ErrorRecoveryLevel", 0],
    ["iSCSIProtocolLevel", 1],
  ]).get(key);
  if (ours === undefined) return undefined;
  const theirs = received.number(key as NumberKey);
  if (theirs === undefined) return "Reject";
  if (key === "DefaultTime2Wait") return String(Math.max(theirs, ours));
  if (key === "FirstBurstLength" && hasNoUnsolicitedData(received, wishes)) return "Irrelevant";
  return String(Math.min(theirs, ours));
}

/** RFC 7143 13.14: with InitialR2T=Yes and ImmediateData=No there is no first burst. */
function hasNoUnsolicitedData(received: ReceivedKeys, wishes: ParameterWishes): boolean {
  const initialR2T = received.boolean("InitialR2T");
  const immediateData = received.boolean("ImmediateData") ?? true;
  return (initialR2T === undefined || initialR2T || wishes.initialR2T) && !(immediateData && wishes.immediateData);
}

function answerChoice(key: string, received: ReceivedKeys, wishes: ParameterWishes): string {
  const boolean = (result: (value: boolean) => boolean) => {
    const value = received.boolean(key as BooleanKey);
    return value === undefined ? "Reject" : yesOrNo(result(value));
  };
  switch (key) {
    case "HeaderDigest":
      return received.digest(key, wishes.headerDigest) ?? "Reject";
    case "DataDigest":
      return received.digest(key, wishes.dataDigest) ?? "Reject";
    case "InitialR2T":
      return boolean((value) => value || wishes.initialR2T);
    case "ImmediateData":
      return boolean((value) => value && wishes.immediateData);
    case "DataPDUInOrder":
    case "DataSequenceInOrder":
      return boolean(() => true);
    case "TaskReporting":
      // RFC 7143 13.23: RFC3720 is the default and the only one level 0 of recovery needs.
      return (received.text(key)?.split(",") ?? []).includes("RFC3720") ? "RFC3720" : "Reject";
    default:
      return "NotUnderstood";
  }
}
