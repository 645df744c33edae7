// One connection of the test target: its login (RFC 7143 6.3), until a session takes over.
import type { Socket } from "node:net";
import { LoginError, ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import { Opcode, opcodeName, opcodeOf } from "../pdu/header.ts";
import { decodeLoginRequest, encodeLoginResponse, type LoginRequestPdu, LoginStage } from "../pdu/login.ts";
import { decodeTextPairs, encodeTextPairs } from "../pdu/text-keys.ts";
import { TargetWire } from "./target-connection-wire.ts";
import { TargetLogin, type TargetLoginOptions } from "./target-login.ts";
import { TargetSession, type TargetSessionContext } from "./target-session.ts";
import type { SessionIdentity, TargetSessionRegistry } from "./target-session-registry.ts";
import { TargetSequenceNumbers } from "./target-session-sequence.ts";

/** What a connection needs of its target. */
export interface TargetContext extends TargetSessionContext {
  readonly login: () => TargetLoginOptions;
  readonly registry: TargetSessionRegistry<TargetSession>;
}

/** A login of more PDUs than this is none. */
const MAX_LOGIN_PDUS = 64;
/** A connection that has not logged in by then is closed. */
const LOGIN_DEADLINE_MS = 30_000;

interface Answer {
  readonly statusClass: number;
  readonly statusDetail: number;
  readonly transit: boolean;
  readonly pairs: readonly (readonly [key: string, value: string])[];
}

export class TargetConnection {
  readonly #context: TargetContext;
  readonly #wire: TargetWire;
  readonly #numbers: TargetSequenceNumbers;
  readonly #login: TargetLogin;
  readonly #loginTimer: NodeJS.Timeout;
  #loginPdus = 0;
  /** Text of the first requests, until it says who the initiator is. */
  #text = Buffer.alloc(0);
  #initiatorName: string | undefined;
  #isSilent = false;
  #session: TargetSession | undefined;

  constructor(socket: Socket, context: TargetContext) {
    this.#context = context;
    const options = context.login();
    this.#login = new TargetLogin(options);
    this.#numbers = new TargetSequenceNumbers(context.commandWindow, context.faults);
    this.#wire = new TargetWire(
      socket,
      context,
      {
        placeData: (header, bytes) => this.#session?.placeData(header, bytes),
        onPdu: (header, data) => this.#onPdu(header, data),
        onDamagedPdu: (header) => this.#session?.onDamagedPdu(header),
      },
      options.wishes.maxRecvDataSegmentBytes,
    );
    this.#loginTimer = setTimeout(() => this.#wire.reset(), LOGIN_DEADLINE_MS);
    socket.once("close", () => clearTimeout(this.#loginTimer));
    const { faults, triggers } = context;
    const { neverLogsIn } = faults;
    this.#isSilent = typeof neverLogsIn === "object" ? triggers.strikes(neverLogsIn, socket) : neverLogsIn === true;
  }

  destroy(): void {
    this.#wire.socket.destroy();
  }

  #onPdu(header: Buffer, data: Buffer): void {
    if (this.#session !== undefined) this.#session.onPdu(header, data);
    else if (opcodeOf(header) !== Opcode.LoginRequest)
      throw new ProtocolError(`${opcodeName(opcodeOf(header))} before the login was over`);
    else if (!this.#isSilent) this.#onLogin(header, data);
  }

  #onLogin(header: Buffer, data: Buffer): void {
    const request = decodeLoginRequest(header);
    this.#loginPdus += 1;
    if (this.#loginPdus > MAX_LOGIN_PDUS) throw new ProtocolError(`login of more than ${MAX_LOGIN_PDUS} PDUs`);
    if (this.#loginPdus === 1) this.#numbers.start(request.cmdSn);
    this.#noteInitiatorName(request, data);
    const refusal = this.#loginPdus === 1 ? this.#refusalByFault() : undefined;
    const answer = refusal ?? this.#login.step(request, data);
    const identity = this.#identityOf(request);
    const isDone = answer.statusClass === 0 && answer.transit && request.nextStage === LoginStage.FullFeature;
    if (!isDone || identity === undefined) {
      this.#answer(request, answer, request.tsih);
      return;
    }
    const noSession = this.#context.registry.refusalOf(identity);
    if (noSession !== undefined) this.#answer(request, { ...noSession, transit: false, pairs: [] }, request.tsih);
    else void this.#enter(request, answer, identity).catch((error) => this.#wire.fail(error));
  }

  /** The last step of a login that succeeds: the session exists from here on. */
  async #enter(request: LoginRequestPdu, answer: Answer, identity: SessionIdentity): Promise<void> {
    const { registry, counts, faults } = this.#context;
    const parameters = this.#parameters(request);
    if (parameters === undefined) return;
    const tsih = registry.assignTsih(identity);
    const session = new TargetSession(this.#context, this.#wire, this.#numbers, { identity, tsih, parameters });
    this.#wire.pause();
    clearTimeout(this.#loginTimer);
    const hasReplaced = await registry.admit(session);
    if (this.#wire.isClosed) return;
    this.#session = session;
    counts.logins += 1;
    if (hasReplaced) counts.reinstatements += 1;
    if (hasReplaced && faults.reportsNexusLoss === true) session.tasks.unitAttentions.push({ asc: 0x29, ascq: 0x07 });
    this.#answer(request, answer, tsih);
    this.#wire.resume({ header: parameters.headerDigest, data: parameters.dataDigest });
  }

  /** The negotiated values; undefined when there is no agreement, and the initiator was told so. */
  #parameters(request: LoginRequestPdu): SessionParameters | undefined {
    try {
      return this.#login.parameters();
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      this.#answer(request, { statusClass: 2, statusDetail: 0, transit: false, pairs: [] }, request.tsih);
      return undefined;
    }
  }

  #answer(request: LoginRequestPdu, answer: Answer, tsih: number): void {
    const text = encodeTextPairs(answer.pairs);
    const response = {
      transit: answer.transit,
      continues: false,
      currentStage: request.currentStage,
      nextStage: request.nextStage,
      isid: request.isid,
      tsih,
      initiatorTaskTag: request.initiatorTaskTag,
      ...this.#numbers.next(true),
      versionActive: 0,
      statusClass: answer.statusClass,
      statusDetail: answer.statusDetail,
    };
    this.#wire.send(encodeLoginResponse(response, text.length), text);
    if (answer.statusClass === 0) return;
    this.#context.counts.refusals += 1;
    this.#wire.end();
  }

  #refusalByFault(): Answer | undefined {
    const { faults, triggers } = this.#context;
    const fault = faults.refuseLogin;
    if (fault === undefined || !triggers.strikes(fault, this.#wire.socket, Number.POSITIVE_INFINITY)) return undefined;
    const { statusClass, statusDetail, redirectTo } = fault;
    return {
      statusClass,
      statusDetail,
      transit: false,
      pairs: redirectTo === undefined ? [] : [["TargetAddress", redirectTo]],
    };
  }

  /** The name comes in the first request, which may be of several PDUs (RFC 7143 6.2, 11.12.2). */
  #noteInitiatorName(request: LoginRequestPdu, data: Buffer): void {
    if (this.#initiatorName !== undefined) return;
    this.#text = Buffer.concat([this.#text, data]);
    if (request.continues) return;
    this.#initiatorName = decodeTextPairs(this.#text).find(([key]) => key === "InitiatorName")?.[1];
    this.#text = Buffer.alloc(0);
  }

  #identityOf({ isid, tsih, connectionId }: LoginRequestPdu): SessionIdentity | undefined {
    const initiatorName = this.#initiatorName;
    if (initiatorName === undefined) return undefined;
    return { initiatorName, isid, tsih, connectionId, isDiscovery: this.#login.isDiscovery };
  }
}
