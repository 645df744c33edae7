// One login request and its whole answer at a time (RFC 7143 6.2, 6.3, 11.12, 11.13): splitting by the C bit, stages, sequence rules.
import type { ReceivedPdu } from "./connection.ts";
import { type ErrorContext, type IscsiError, LoginError, ProtocolError } from "./errors.ts";
import { decodeReject, rejectReasonText } from "./pdu/async-message.ts";
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

/** Requests after which a negotiation is going in circles. */
const MAX_REQUESTS = 32;
/** All text of one answer, continuations included. */
const MAX_TEXT_BYTES = 65_536;
/** Before MaxRecvDataSegmentLength is declared, a login PDU carries at most the default (RFC 7143 13.12). */
const LOGIN_SEGMENT_BYTES = 8192;

/** What a login needs of its connection. */
export interface LoginConnection {
  send(header: Buffer, data?: Buffer): void;
  receive(): Promise<ReceivedPdu>;
}

/** What stays the same in every request of one login. */
export interface LoginIdentity {
  /** 6 bytes. */
  readonly isid: Buffer;
  readonly cmdSn: number;
}

/** A complete answer, continuations joined. */
export interface LoginAnswer {
  /** Last PDU of the answer. */
  readonly response: LoginResponsePdu;
  readonly keys: ReadonlyMap<string, string>;
  /** Where the target moved to; undefined while it stays in the stage. */
  readonly movedTo: LoginStage | undefined;
}

/** Asks in order; each `ask` waits for its whole answer. The caller guards the connection with a deadline. */
export class LoginDialogue {
  readonly #connection: LoginConnection;
  readonly #identity: LoginIdentity;
  readonly #context: ErrorContext;
  #stage: LoginStage = LoginStage.Security;
  #statSn: number | undefined;
  #requests = 0;

  constructor(connection: LoginConnection, identity: LoginIdentity, context: ErrorContext) {
    this.#connection = connection;
    this.#identity = identity;
    this.#context = context;
  }

  /** ExpStatSN of whatever comes next. */
  get expStatSn(): number {
    return this.#statSn === undefined ? 0 : serialAdd(this.#statSn, 1);
  }

  /**
   * Sends keys, split over PDUs if they are many, and collects the answer.
   * @param nextStage the stage we are ready to move on to with this request; undefined: stay
   * @throws LoginError when the target refuses, ProtocolError when it breaks the rules
   */
  async ask(pairs: TextPairs, nextStage: LoginStage | undefined): Promise<LoginAnswer> {
    await this.#sendText(encodeTextPairs(pairs), nextStage);
    const parts: Buffer[] = [];
    for (let total = 0; ; ) {
      const { response, data } = await this.#receive();
      parts.push(data);
      total += data.length;
      if (total > MAX_TEXT_BYTES) throw this.#violation("the target's login text has no end");
      if (response.transit && response.continues) throw this.#violation("a login response has both T and C set");
      if (!response.continues) {
        const keys = textPairsToMap(decodeTextPairs(Buffer.concat(parts)));
        return { response, keys, movedTo: this.#move(response, nextStage) };
      }
      // RFC 7143 6.2: the rest is asked for with an empty request; T waits until the whole answer is known.
      this.#request(Buffer.alloc(0), undefined, false);
    }
  }

  async #sendText(text: Buffer, nextStage: LoginStage | undefined): Promise<void> {
    let at = 0;
    while (text.length - at > LOGIN_SEGMENT_BYTES) {
      this.#request(text.subarray(at, at + LOGIN_SEGMENT_BYTES), undefined, true);
      at += LOGIN_SEGMENT_BYTES;
      const { response, data } = await this.#receive();
      if (data.length > 0 || response.transit || response.continues)
        throw this.#violation("the target answered a login request before it was complete");
    }
    this.#request(text.subarray(at), nextStage, false);
  }

  #request(data: Buffer, nextStage: LoginStage | undefined, continues: boolean): void {
    this.#requests += 1;
    if (this.#requests > MAX_REQUESTS) throw this.#violation(`no agreement after ${MAX_REQUESTS} login requests`);
    const request = {
      transit: nextStage !== undefined,
      continues,
      currentStage: this.#stage,
      nextStage: nextStage ?? 0,
      isid: this.#identity.isid,
      // 0 asks for a new session, which takes the place of one with the same ISID (RFC 7143 6.3.5).
      tsih: 0,
      initiatorTaskTag: 0,
      connectionId: 0,
      cmdSn: this.#identity.cmdSn,
      expStatSn: this.expStatSn,
    };
    this.#connection.send(encodeLoginRequest(request, data.length), data);
  }

  async #receive(): Promise<{ response: LoginResponsePdu; data: Buffer }> {
    const { header, data } = await this.#connection.receive();
    const opcode = opcodeOf(header);
    if (opcode === Opcode.Reject)
      throw this.#violation(`the target rejected a login request: ${rejectReasonText(decodeReject(header).reason)}`);
    if (opcode !== Opcode.LoginResponse)
      throw this.#violation(`the target answered a login with ${opcodeName(opcode)}`);
    const response = decodeLoginResponse(header);
    if (response.statusClass !== 0) throw this.#refusal(response, data);
    this.#check(response);
    this.#statSn = response.statSn;
    return { response, data };
  }

  /** RFC 7143 11.13: fields that repeat the request, and those that follow from the response before. */
  #check(response: LoginResponsePdu): void {
    if (response.versionActive !== 0)
      throw this.#violation(`the target speaks iSCSI version ${response.versionActive}; there is only version 0`);
    if (response.initiatorTaskTag !== 0 || response.currentStage !== this.#stage)
      throw this.#violation("a login response does not match the request (task tag or stage)");
    if (!response.isid.equals(this.#identity.isid))
      throw this.#violation("a login response carries the ISID of another session");
    const isLast = response.transit && response.nextStage === LoginStage.FullFeature;
    if (isLast && response.tsih === 0)
      throw this.#violation("the target ended the login without a session handle (TSIH)");
    if (!isLast && response.tsih !== 0)
      throw this.#violation("the target gave out a session handle (TSIH) before the login was over");
    if (this.#statSn !== undefined && response.statSn !== this.expStatSn)
      throw this.#violation(`login response with StatSN ${response.statSn}, expected ${this.expStatSn}`);
  }

  #move(response: LoginResponsePdu, asked: LoginStage | undefined): LoginStage | undefined {
    if (!response.transit) return undefined;
    if (asked === undefined) throw this.#violation("the target left a login stage unasked");
    const next = response.nextStage;
    // Trap: a target with nothing to negotiate may answer "to the operational stage" with "to full feature phase". The defaults hold then.
    if ((next !== LoginStage.Operational && next !== LoginStage.FullFeature) || next <= this.#stage)
      throw this.#violation(`the target moved from login stage ${this.#stage} to ${next}`);
    this.#stage = next;
    return next;
  }

  #refusal(response: LoginResponsePdu, data: Buffer): IscsiError {
    const { statusClass, statusDetail } = response;
    const redirectTo = statusClass === 1 ? redirectAddress(data) : undefined;
    const text = loginStatusText(statusClass, statusDetail);
    return new LoginError(redirectTo === undefined ? text : `${text} to ${redirectTo}`, this.#context, {
      statusClass,
      statusDetail,
      redirectTo,
    });
  }

  #violation(reason: string): ProtocolError {
    return new ProtocolError(reason, this.#context);
  }
}

/** The first TargetAddress of a redirect; undefined when there is none or the text cannot be read. */
function redirectAddress(data: Buffer): string | undefined {
  try {
    return decodeTextPairs(data).find(([key]) => key === "TargetAddress")?.[1];
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
