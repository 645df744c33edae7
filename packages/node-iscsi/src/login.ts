// Login phase of the initiator (RFC 7143 6.3): security stage (None or CHAP), then operational negotiation.
import { type ChapCredentials, ChapInitiator } from "./chap.ts";
import { type ErrorContext, LoginError, ProtocolError } from "./errors.ts";
import { type LoginAnswer, type LoginConnection, LoginDialogue } from "./login-dialogue.ts";
import {
  answerKey,
  operationalOffer,
  type ParameterWishes,
  type SessionParameters,
  settleParameters,
} from "./negotiation.ts";
import { LoginStage } from "./pdu/login.ts";
import type { TextPairs } from "./pdu/text-keys.ts";

export interface LoginOptions {
  readonly initiatorName: string;
  /** Undefined for a discovery session. */
  readonly targetName: string | undefined;
  readonly chap: ChapCredentials | undefined;
  /** Value of CHAP_A. */
  readonly chapAlgorithms: string;
  readonly wishes: ParameterWishes;
  /** 6 bytes. */
  readonly isid: Buffer;
  readonly firstCmdSn: number;
  readonly portal: string;
}

/** What full feature phase starts from. */
export interface LoginResult {
  readonly parameters: SessionParameters;
  readonly tsih: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

/** A login's connection, which waits after the last response until it is told about digests. */
interface LoggingInConnection extends LoginConnection {
  startFullFeaturePhase(digests: { header: boolean; data: boolean }): void;
}

/** Empty requests to a target that keeps the rest of an answer for later. */
const MAX_PARTIAL_ANSWERS = 4;
/** Text of a peer in our messages. */
const MAX_QUOTED_CHARS = 64;
/** Keys of the security stage; they are handled by name and never by {@link answerKey}. */
const SECURITY_KEYS = new Set(["AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"]);
/** Trap: targets in the field repeat these in later responses. The same value again does no harm. */
const REPEATABLE_KEYS = new Set(["TargetPortalGroupTag", "TargetAlias", "TargetAddress", "MaxRecvDataSegmentLength"]);

/** Runs one login on a fresh connection. The caller guards it with a deadline. */
export class LoginExchange {
  readonly #connection: LoggingInConnection;
  readonly #dialogue: LoginDialogue;
  readonly #options: LoginOptions;
  readonly #context: ErrorContext;
  /** All the target said, by key. */
  readonly #received = new Map<string, string>();
  /** Results by key: the target's answer to our offer, our answer to the target's offer, or its declaration. */
  readonly #settled = new Map<string, string>();
  readonly #offered = new Set<string>();
  /** Answers to keys the target offered, for the next request. */
  #owed: [key: string, value: string][] = [];
  #chap: ChapInitiator | undefined;

  constructor(connection: LoggingInConnection, options: LoginOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#context = { target: options.targetName, portal: options.portal, operation: "login" };
    const identity = { isid: options.isid, cmdSn: options.firstCmdSn };
    this.#dialogue = new LoginDialogue(connection, identity, this.#context);
  }

  /** The CHAP algorithm the target chose; undefined when it asked for no proof. */
  get chapAlgorithm(): string | undefined {
    return this.#chap?.algorithm;
  }

  /** @throws LoginError when the target refuses, ProtocolError when it misbehaves, TransportError when the connection ends. */
  async run(): Promise<LoginResult> {
    try {
      let answer = await this.#securityStage();
      if (answer.movedTo === LoginStage.Operational) answer = await this.#operationalStage();
      const result = this.#result(answer);
      const { headerDigest, dataDigest } = result.parameters;
      this.#connection.startFullFeaturePhase({ header: headerDigest, data: dataDigest });
      return result;
    } catch (error) {
      // Codecs know no peer; say here whom we were talking to.
      if (error instanceof ProtocolError && error.portal === undefined)
        throw new ProtocolError(error.reason, this.#context, error);
      throw error;
    }
  }

  /** Ends with the target's move to another stage. */
  async #securityStage(): Promise<LoginAnswer> {
    const { initiatorName, targetName, chap } = this.#options;
    // Without CHAP we are ready to move on at once; with it the target has to choose first.
    let answer = await this.#ask(
      [
        ["InitiatorName", initiatorName],
        ["SessionType", targetName === undefined ? "Discovery" : "Normal"],
        ...(targetName === undefined ? [] : [["TargetName", targetName] as const]),
        ["AuthMethod", authMethods(chap)],
      ],
      chap === undefined ? LoginStage.Operational : undefined,
    );
    if (chap !== undefined) answer = await this.#collect(answer, ["AuthMethod"]);
    const method = this.#received.get("AuthMethod");
    if (chap !== undefined && method === "CHAP") return this.#proveByChap(chap);
    this.#checkUnproved(method);
    while (answer.movedTo === undefined) answer = await this.#ask([], LoginStage.Operational);
    return answer;
  }

  /** The target wants no proof, or one that we cannot give. A target that does not answer the key at all counts as None. */
  #checkUnproved(method: string | undefined): void {
    const { chap } = this.#options;
    const fix =
      chap === undefined ? "give it CHAP credentials" : "set it up for CHAP, the only method this package has";
    if (method === "Reject" || method === "NotUnderstood" || method === "Irrelevant")
      throw new LoginError(`the target rejects AuthMethod=${authMethods(chap)}; ${fix}`, this.#context);
    if (method !== undefined && method !== "None")
      throw new LoginError(
        `the target asks for AuthMethod=${method.slice(0, MAX_QUOTED_CHARS)}; ${fix}`,
        this.#context,
      );
    if (chap?.target !== undefined)
      throw new LoginError(
        "the target wants no authentication although it has to prove itself; configure mutual CHAP on it, or leave out the target's credentials",
        this.#context,
      );
  }

  async #proveByChap(credentials: ChapCredentials): Promise<LoginAnswer> {
    const { chapAlgorithms } = this.#options;
    const chap = new ChapInitiator(credentials, chapAlgorithms, this.#context);
    this.#chap = chap;
    const offer = await this.#ask([["CHAP_A", chapAlgorithms]], undefined);
    if (this.#received.get("CHAP_A") === "Reject")
      throw new LoginError(`the target knows none of the CHAP algorithms ${chapAlgorithms}`, this.#context);
    await this.#collect(offer, ["CHAP_A", "CHAP_I", "CHAP_C"]);
    let answer = await this.#ask(chap.answer(this.#received), LoginStage.Operational);
    const isAnswered = () => answer.movedTo !== undefined || this.#received.has("CHAP_R");
    while (!isAnswered()) answer = await this.#ask([], LoginStage.Operational);
    chap.verifyTarget(this.#received);
    while (answer.movedTo === undefined) answer = await this.#ask([], LoginStage.Operational);
    return answer;
  }

  async #operationalStage(): Promise<LoginAnswer> {
    const isDiscovery = this.#options.targetName === undefined;
    const offer = operationalOffer(this.#options.wishes, isDiscovery).filter(([key]) => !this.#offered.has(key));
    let answer = await this.#ask(offer, LoginStage.FullFeature);
    while (answer.movedTo === undefined) answer = await this.#ask([], LoginStage.FullFeature);
    return answer;
  }

  /** One exchange: what we owe the target goes along, what it says is taken in. */
  async #ask(pairs: TextPairs, nextStage: LoginStage | undefined): Promise<LoginAnswer> {
    for (const [key] of pairs) this.#offered.add(key);
    const owed = this.#owed;
    this.#owed = [];
    const answer = await this.#dialogue.ask([...owed, ...pairs], nextStage);
    for (const [key, value] of answer.keys) this.#take(key, value);
    return answer;
  }

  /** RFC 7143 6.2: a target may answer in several steps; empty requests fetch the rest. */
  async #collect(first: LoginAnswer, wanted: readonly string[]): Promise<LoginAnswer> {
    let answer = first;
    const isComplete = () => wanted.every((key) => this.#received.has(key));
    for (let attempt = 0; attempt < MAX_PARTIAL_ANSWERS && !isComplete(); attempt += 1)
      answer = await this.#ask([], undefined);
    return answer;
  }

  #take(key: string, value: string): void {
    const before = this.#received.get(key);
    if (before !== undefined && !(before === value && REPEATABLE_KEYS.has(key)))
      // RFC 7143 6.3: an attempt to renegotiate ends the connection.
      throw new ProtocolError(`the target negotiates ${key.slice(0, MAX_QUOTED_CHARS)} a second time`, this.#context);
    this.#received.set(key, value);
    if (SECURITY_KEYS.has(key)) return;
    if (this.#offered.has(key)) {
      this.#settled.set(key, value);
      return;
    }
    const answer = answerKey(key, value, this.#options.wishes, this.#received);
    if (answer === undefined) {
      this.#settled.set(key, value);
      return;
    }
    this.#offered.add(key);
    this.#owed.push([key, answer]);
    this.#settled.set(key, answer);
  }

  #result({ response }: LoginAnswer): LoginResult {
    // An offer in the very last response can no longer be answered: the two sides have no agreement about it.
    for (const [key] of this.#owed) this.#settled.delete(key);
    return {
      // RFC 7143 13.9 wants a TargetPortalGroupTag from the target; nothing here depends on it, so that a target without one will do.
      parameters: settleParameters(this.#settled, this.#options.wishes, "initiator", this.#context),
      tsih: response.tsih,
      cmdSn: this.#options.firstCmdSn,
      expStatSn: this.#dialogue.expStatSn,
      expCmdSn: response.expCmdSn,
      maxCmdSn: response.maxCmdSn,
    };
  }
}

/** Value of AuthMethod. With mutual CHAP None is not on offer: a target that proves nothing is not the one that was meant. */
function authMethods(chap: ChapCredentials | undefined): string {
  if (chap === undefined) return "None";
  return chap.target === undefined ? "CHAP,None" : "CHAP";
}
