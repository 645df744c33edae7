// Login phase of the test target (RFC 7143 6.3): answers one request at a time; AuthMethod None, one-way or mutual CHAP; misbehaves on request.
import {
  type ChapChallenge,
  type ChapCredentials,
  challengePairs,
  chapResponsePairs,
  chooseChapAlgorithm,
  newChapChallenge,
  readChapChallenge,
  verifyChapResponse,
} from "../chap.ts";
import { ProtocolError } from "../errors.ts";
import { answerKey, type ParameterWishes, type SessionParameters, settleParameters } from "../negotiation.ts";
import type { TargetSequence } from "../pdu/header.ts";
import { type LoginRequestPdu, type LoginResponsePdu, LoginStage } from "../pdu/login.ts";
import { decodeTextPairs, encodeTextPairs, textPairsToMap } from "../pdu/text-keys.ts";

type Pairs = [key: string, value: string][];

/** What to answer to one login request. */
export interface LoginStep {
  readonly statusClass: number;
  readonly statusDetail: number;
  readonly transit: boolean;
  readonly pairs: Pairs;
  /** Where `transit` leads. Default: where the request wanted to go. */
  readonly nextStage?: number | undefined;
  /** C bit: the text goes on in the next answer. Default false. */
  readonly continues?: boolean | undefined;
  /** The data segment, when it is not `pairs` as they are: a part of a split answer. */
  readonly text?: Buffer | undefined;
}

/** Misbehaviour of the login; everything is off by default. */
export interface TargetLoginFaults {
  /** Keys answered with Reject. */
  readonly rejectedKeys?: readonly string[] | undefined;
  /** Pairs sent with the first answer, in the security stage. */
  readonly earlyPairs?: Pairs | undefined;
  /** Pairs sent with the first answer of the operational stage, which T=0 keeps open for the initiator's replies. */
  readonly unsolicitedPairs?: Pairs | undefined;
  /** Text longer than this goes out in pieces with the C bit. */
  readonly splitsTextAtBytes?: number | undefined;
  /** The security stage is left straight for full feature phase. */
  readonly skipsOperationalStage?: boolean | undefined;
  /** So many answers are empty and keep the stage before the target says anything. */
  readonly emptyAnswers?: number | undefined;
  /** AuthMethod=None although credentials are set. */
  readonly choosesNone?: boolean | undefined;
  /** Value of AuthMethod, whatever was offered. */
  readonly authMethod?: string | undefined;
  /** Changes the pairs of the CHAP challenge (CHAP_A, CHAP_I, CHAP_C) or, when mutual, of the target's proof (CHAP_N, CHAP_R). */
  readonly alterChap?: ((pairs: Pairs) => Pairs) | undefined;
}

/** Policy of the target. */
export interface TargetLoginOptions {
  readonly targetName: string;
  /** What initiators must know; with `target` inside, who asks for the target's proof gets it. */
  readonly chap: ChapCredentials | undefined;
  readonly wishes: ParameterWishes;
  /** `redirectTo` is the TargetAddress sent with status class 1. */
  readonly refuseLogin:
    | { readonly statusClass: number; readonly statusDetail: number; readonly redirectTo?: string | undefined }
    | undefined;
  readonly faults?: TargetLoginFaults | undefined;
}

/** Login state of one connection. */
export class TargetLogin {
  readonly #options: TargetLoginOptions;
  readonly #faults: TargetLoginFaults;
  readonly #keys = new Map<string, string>();
  #challenge: ChapChallenge | undefined;
  #isAuthenticated: boolean;
  #pendingText: Buffer[] = [];
  #emptyAnswersLeft: number;
  #hasSpoken = false;
  #hasDeclared = false;
  #hasOffered = false;
  /** Rest of a split answer, and the step it ends with. */
  #unsent: { text: Buffer; step: LoginStep } | undefined;

  constructor(options: TargetLoginOptions) {
    this.#options = options;
    this.#faults = options.faults ?? {};
    this.#isAuthenticated = options.chap === undefined;
    this.#emptyAnswersLeft = this.#faults.emptyAnswers ?? 0;
  }

  get isDiscovery(): boolean {
    return this.#keys.get("SessionType") === "Discovery";
  }

  /** Empty until the initiator said it. */
  get initiatorName(): string {
    return this.#keys.get("InitiatorName") ?? "";
  }

  /** The negotiated values, once the login is over. */
  parameters(): SessionParameters {
    return settleParameters(this.#keys, this.#options.wishes, "target");
  }

  /** Decides about one request. @throws ProtocolError on text that cannot be read. */
  step(request: LoginRequestPdu, data: Buffer): LoginStep {
    if (this.#unsent !== undefined) return this.#split(this.#unsent.text, this.#unsent.step);
    this.#pendingText.push(data);
    if (request.continues) return this.#go(false, []);
    const received = textPairsToMap(decodeTextPairs(Buffer.concat(this.#pendingText)));
    this.#pendingText = [];
    for (const [key, value] of received) this.#keys.set(key, value);
    if (this.#emptyAnswersLeft > 0) {
      this.#emptyAnswersLeft -= 1;
      // What was asked is answered later, all together.
      this.#pendingText.push(encodeTextPairs([...received]));
      return this.#go(false, []);
    }
    const step = this.#decide(request, received);
    return this.#split(step.text ?? encodeTextPairs(step.pairs), step);
  }

  #decide(request: LoginRequestPdu, received: Map<string, string>): LoginStep {
    const { refuseLogin, targetName } = this.#options;
    if (refuseLogin !== undefined) return this.#refuse(refuseLogin);
    if (!this.#keys.has("InitiatorName")) return this.#refuse({ statusClass: 2, statusDetail: 7 });
    if (!this.isDiscovery && this.#keys.get("TargetName") !== targetName)
      return this.#refuse({ statusClass: 2, statusDetail: this.#keys.has("TargetName") ? 3 : 7 });
    if (request.currentStage === LoginStage.Security) return this.#withEarlyPairs(this.#security(request, received));
    if (!this.#isAuthenticated) return this.#refuseAuthentication();
    const pairs = this.#answers(received);
    const { unsolicitedPairs } = this.#faults;
    if (unsolicitedPairs === undefined || this.#hasOffered) return this.#go(request.transit, pairs);
    this.#hasOffered = true;
    return this.#go(false, [...pairs, ...unsolicitedPairs]);
  }

  #withEarlyPairs(step: LoginStep): LoginStep {
    const { earlyPairs = [], skipsOperationalStage } = this.#faults;
    const pairs = this.#hasSpoken ? step.pairs : [...step.pairs, ...earlyPairs];
    this.#hasSpoken = true;
    const nextStage = skipsOperationalStage === true ? LoginStage.FullFeature : undefined;
    return { ...step, pairs, nextStage };
  }

  #security(request: LoginRequestPdu, received: Map<string, string>): LoginStep {
    const { chap } = this.#options;
    const offered = received.get("AuthMethod");
    if (offered !== undefined && this.#faults.authMethod !== undefined)
      return this.#go(false, [["AuthMethod", this.#faults.authMethod], ...this.#groupTag()]);
    if (chap === undefined || this.#faults.choosesNone === true) {
      this.#isAuthenticated = true;
      if (offered === undefined) return this.#go(request.transit, []);
      if (chap === undefined && !offered.split(",").includes("None")) return this.#refuseAuthentication();
      return this.#go(request.transit, [["AuthMethod", "None"], ...this.#groupTag()]);
    }
    const algorithms = received.get("CHAP_A");
    if (algorithms !== undefined) return this.#sendChallenge(algorithms);
    if (received.has("CHAP_R")) return this.#checkProof(request, received, chap);
    if (this.#isAuthenticated) return this.#go(request.transit, []);
    if (!(offered ?? "").split(",").includes("CHAP")) return this.#refuseAuthentication();
    return this.#go(false, [["AuthMethod", "CHAP"], ...this.#groupTag()]);
  }

  #sendChallenge(algorithms: string): LoginStep {
    const algorithm = chooseChapAlgorithm(algorithms);
    if (algorithm === undefined) return this.#refuseAuthentication();
    this.#challenge = newChapChallenge(algorithm);
    return this.#go(false, this.#altered([["CHAP_A", algorithm], ...challengePairs(this.#challenge)]));
  }

  #checkProof(request: LoginRequestPdu, received: Map<string, string>, chap: ChapCredentials): LoginStep {
    const expected = this.#challenge;
    // A challenge is good for one response only.
    this.#challenge = undefined;
    if (expected === undefined || !verifyChapResponse(received, { ...expected, credentials: chap }))
      return this.#refuseAuthentication();
    this.#isAuthenticated = true;
    if (!received.has("CHAP_C") || chap.target === undefined) return this.#go(request.transit, []);
    const theirs = readChapChallenge(received, expected.algorithm);
    // RFC 7143 12.1.3: responders check for their own challenge and close the connection.
    if (theirs.challenge.equals(expected.challenge)) throw new ProtocolError("the initiator sent our challenge back");
    return this.#go(request.transit, this.#altered(chapResponsePairs(theirs, chap.target)));
  }

  #altered(pairs: Pairs): Pairs {
    return this.#faults.alterChap?.(pairs) ?? pairs;
  }

  /** RFC 7143 13.9: the first answer of a normal session says which portal group this is. */
  #groupTag(): Pairs {
    return this.isDiscovery ? [] : [["TargetPortalGroupTag", "1"]];
  }

  #answers(received: Map<string, string>): Pairs {
    const pairs: Pairs = [];
    for (const [key, value] of received) {
      // A reply to an offer of ours needs none.
      if (this.#isOurOffer(key)) continue;
      const isRejected = this.#faults.rejectedKeys?.includes(key) === true;
      const answer = isRejected ? "Reject" : answerKey(key, value, this.#options.wishes, this.#keys);
      if (answer !== undefined) pairs.push([key, answer]);
    }
    // Declared once: RFC 7143 6.3 forbids saying it again.
    if (!this.#hasDeclared)
      pairs.push(["MaxRecvDataSegmentLength", String(this.#options.wishes.maxRecvDataSegmentBytes)]);
    this.#hasDeclared = true;
    return pairs;
  }

  #isOurOffer(key: string): boolean {
    const { earlyPairs = [], unsolicitedPairs = [] } = this.#faults;
    return (
      this.#hasSpoken && [...earlyPairs, ...(this.#hasOffered ? unsolicitedPairs : [])].some(([ours]) => ours === key)
    );
  }

  /** The next piece of an answer. T waits for the last one, and for a request that allows it. */
  #split(text: Buffer, step: LoginStep): LoginStep {
    const limit = this.#faults.splitsTextAtBytes ?? Number.POSITIVE_INFINITY;
    if (text.length <= limit) {
      const isLater = this.#unsent !== undefined;
      this.#unsent = undefined;
      return isLater ? { ...step, text, transit: false } : step;
    }
    this.#unsent = { text: text.subarray(limit), step };
    return { ...step, text: text.subarray(0, limit), transit: false, continues: true };
  }

  #go(transit: boolean, pairs: Pairs): LoginStep {
    return { statusClass: 0, statusDetail: 0, transit, pairs };
  }

  #refuseAuthentication(): LoginStep {
    return this.#refuse({ statusClass: 2, statusDetail: 1 });
  }

  #refuse({ statusClass, statusDetail, redirectTo }: NonNullable<TargetLoginOptions["refuseLogin"]>): LoginStep {
    const pairs: Pairs = redirectTo === undefined ? [] : [["TargetAddress", redirectTo]];
    return { statusClass, statusDetail, transit: false, pairs };
  }
}

/** The PDU and its data for a step; `tsih` is what a new session is to be known by. */
export function loginResponse(
  request: LoginRequestPdu,
  step: LoginStep,
  sequence: TargetSequence,
  tsih: number,
): { pdu: LoginResponsePdu; text: Buffer; isDone: boolean } {
  const nextStage = step.nextStage ?? request.nextStage;
  const isDone = step.statusClass === 0 && step.transit && nextStage === LoginStage.FullFeature;
  const pdu = {
    transit: step.transit,
    continues: step.continues === true,
    currentStage: request.currentStage,
    nextStage,
    isid: request.isid,
    tsih: isDone ? tsih : request.tsih,
    initiatorTaskTag: request.initiatorTaskTag,
    ...sequence,
    versionActive: 0,
    statusClass: step.statusClass,
    statusDetail: step.statusDetail,
  };
  return { pdu, text: step.text ?? encodeTextPairs(step.pairs), isDone };
}
