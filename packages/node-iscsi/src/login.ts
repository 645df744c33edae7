// Login phase of the initiator (RFC 7143 6.3): security stage (None or CHAP), then operational negotiation.
import { answerChapChallenge, type ChapCredentials } from "./chap.ts";
import type { Connection } from "./connection.ts";
import { type ErrorContext, type IscsiError, LoginError, ProtocolError } from "./errors.ts";
import {
  answerKey,
  operationalOffer,
  type ParameterWishes,
  type SessionParameters,
  settleParameters,
} from "./negotiation.ts";
import { Opcode, opcodeName, opcodeOf } from "./pdu/header.ts";
import {
  decodeLoginResponse,
  encodeLoginRequest,
  type LoginResponsePdu,
  LoginStage,
  loginStatusText,
} from "./pdu/login.ts";
import { decodeTextPairs, encodeTextPairs, type TextPairs, textPairsToMap } from "./pdu/text-keys.ts";
import { serialAdd } from "./serial.ts";

/** Exchanges after which a negotiation is going in circles. */
const MAX_EXCHANGES = 32;
/** All text of one answer, continuations included. */
const MAX_TEXT_BYTES = 65_536;
/** Before MaxRecvDataSegmentLength is declared, a login PDU carries at most the default (RFC 7143 13.12). */
const LOGIN_SEGMENT_BYTES = 8192;

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

interface Answer {
  readonly response: LoginResponsePdu;
  readonly keys: Map<string, string>;
}

/** Runs one login on a fresh connection. The caller guards it with a deadline. */
export class LoginExchange {
  readonly #connection: Connection;
  readonly #options: LoginOptions;
  readonly #context: ErrorContext;
  #stage: LoginStage = LoginStage.Security;
  #tsih = 0;
  #expStatSn = 0;
  #exchanges = 0;

  constructor(connection: Connection, options: LoginOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#context = { target: options.targetName, portal: options.portal, operation: "login" };
  }

  /** @throws LoginError when the target refuses, ProtocolError when it misbehaves, TransportError when the connection ends. */
  async run(): Promise<LoginResult> {
    try {
      const early = await this.#securityStage();
      return await this.#operationalStage(early);
    } catch (error) {
      // Codecs know no peer; say here whom we were talking to.
      if (error instanceof ProtocolError && error.portal === undefined)
        throw new ProtocolError(error.reason, this.#context, error);
      throw error;
    }
  }

  /** Ends with the connection in the operational stage; returns operational keys the target declared on the way. */
  async #securityStage(): Promise<Map<string, string>> {
    const { initiatorName, targetName, chap } = this.#options;
    const names: TextPairs = [
      ["InitiatorName", initiatorName],
      ["SessionType", targetName === undefined ? "Discovery" : "Normal"],
      ...(targetName === undefined ? [] : [["TargetName", targetName] as const]),
      ["AuthMethod", chap === undefined ? "None" : "CHAP,None"],
    ];
    const collected = new Map<string, string>();
    // Without CHAP we are ready to move on at once; with it the target has to choose first.
    let answer = await this.#exchange(names, chap === undefined ? LoginStage.Operational : undefined);
    for (const [key, value] of answer.keys) collected.set(key, value);
    const method = answer.keys.get("AuthMethod");
    if (chap !== undefined && method === "CHAP") {
      answer = await this.#exchange([["CHAP_A", this.#options.chapAlgorithms]], undefined);
      answer = await this.#exchange(answerChapChallenge(answer.keys, chap), LoginStage.Operational);
    } else if (method !== undefined && method !== "None") {
      throw new LoginError(`the target asks for AuthMethod=${method}; give it CHAP credentials`, this.#context);
    }
    while (!answer.response.transit) answer = await this.#exchange([], LoginStage.Operational);
    this.#advance(answer.response);
    return collected;
  }

  async #operationalStage(early: Map<string, string>): Promise<LoginResult> {
    const isDiscovery = this.#options.targetName === undefined;
    const offer = operationalOffer(this.#options.wishes, isDiscovery);
    const offered = new Set(offer.map(([key]) => key));
    const keys = new Map(early);
    let pairs: TextPairs = offer;
    for (;;) {
      const { response, keys: received } = await this.#exchange(pairs, LoginStage.FullFeature);
      for (const [key, value] of received) keys.set(key, value);
      if (response.transit) {
        this.#advance(response);
        return this.#result(response, keys);
      }
      pairs = this.#answersTo(received, offered);
    }
  }

  /** Answers keys that the target offered on its own; answers to our offer need none. */
  #answersTo(received: ReadonlyMap<string, string>, offered: Set<string>): TextPairs {
    const pairs: [string, string][] = [];
    for (const [key, value] of received) {
      if (offered.has(key)) continue;
      const answer = answerKey(key, value, this.#options.wishes);
      offered.add(key);
      if (answer !== undefined) pairs.push([key, answer]);
    }
    return pairs;
  }

  #result(response: LoginResponsePdu, keys: Map<string, string>): LoginResult {
    if (response.tsih === 0)
      throw new ProtocolError("the target ended the login without a session handle", this.#context);
    return {
      parameters: settleParameters(keys, this.#options.wishes),
      tsih: response.tsih,
      cmdSn: this.#options.firstCmdSn,
      expStatSn: this.#expStatSn,
      expCmdSn: response.expCmdSn,
      maxCmdSn: response.maxCmdSn,
    };
  }

  #advance(response: LoginResponsePdu): void {
    if (response.nextStage <= this.#stage)
      throw new ProtocolError(
        `the target moved from login stage ${this.#stage} to ${response.nextStage}`,
        this.#context,
      );
    this.#stage = response.nextStage as LoginStage;
  }

  /** Sends keys (split over PDUs if they are many), then collects one answer over its continuations. */
  async #exchange(pairs: TextPairs, nextStage: LoginStage | undefined): Promise<Answer> {
    const text = encodeTextPairs(pairs);
    let at = 0;
    while (text.length - at > LOGIN_SEGMENT_BYTES) {
      this.#sendRequest(text.subarray(at, at + LOGIN_SEGMENT_BYTES), undefined, true);
      at += LOGIN_SEGMENT_BYTES;
      await this.#receiveResponse();
    }
    this.#sendRequest(text.subarray(at), nextStage, false);
    const parts: Buffer[] = [];
    let total = 0;
    for (;;) {
      const { response, data } = await this.#receiveResponse();
      parts.push(data);
      total += data.length;
      if (total > MAX_TEXT_BYTES) throw new ProtocolError("the target's login text has no end", this.#context);
      const text = parts.length === 1 ? data : undefined;
      if (response.continues) {
        if (response.transit) throw new ProtocolError("a login response has both T and C set", this.#context);
        this.#sendRequest(Buffer.alloc(0), undefined, false);
        continue;
      }
      if (response.transit && nextStage === undefined)
        throw new ProtocolError("the target left a login stage unasked", this.#context);
      return { response, keys: textPairsToMap(decodeTextPairs(text ?? Buffer.concat(parts))) };
    }
  }

  #sendRequest(data: Buffer, nextStage: LoginStage | undefined, continues: boolean): void {
    if (++this.#exchanges > MAX_EXCHANGES)
      throw new ProtocolError(`no agreement after ${MAX_EXCHANGES} login requests`, this.#context);
    const header = encodeLoginRequest(
      {
        transit: nextStage !== undefined,
        continues,
        currentStage: this.#stage,
        nextStage: nextStage ?? 0,
        isid: this.#options.isid,
        tsih: this.#tsih,
        initiatorTaskTag: 0,
        connectionId: 0,
        cmdSn: this.#options.firstCmdSn,
        expStatSn: this.#expStatSn,
      },
      data.length,
    );
    this.#connection.send(header, data);
  }

  async #receiveResponse(): Promise<{ response: LoginResponsePdu; data: Buffer }> {
    const { header, data } = await this.#connection.receive();
    if (opcodeOf(header) !== Opcode.LoginResponse)
      throw new ProtocolError(`the target answered a login with ${opcodeName(opcodeOf(header))}`, this.#context);
    const response = decodeLoginResponse(header);
    if (response.statusClass !== 0) throw this.#refusal(response, data);
    if (response.initiatorTaskTag !== 0 || response.currentStage !== this.#stage)
      throw new ProtocolError("a login response does not match the request", this.#context);
    this.#expStatSn = serialAdd(response.statSn, 1);
    return { response, data };
  }

  #refusal(response: LoginResponsePdu, data: Buffer): IscsiError {
    const { statusClass, statusDetail } = response;
    const redirectTo =
      statusClass === 1 ? decodeTextPairs(data).find(([key]) => key === "TargetAddress")?.[1] : undefined;
    const text = loginStatusText(statusClass, statusDetail);
    return new LoginError(redirectTo === undefined ? text : `${text} to ${redirectTo}`, this.#context, {
      statusClass,
      statusDetail,
      redirectTo,
    });
  }
}
