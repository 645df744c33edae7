// One connection of the test target: its login (RFC 7143 6.3), until a session takes over.
import type { Socket } from "node:net";
import { LoginError, ProtocolError } from "../errors.ts";
import type { SessionParameters } from "../negotiation.ts";
import { Opcode, opcodeName, opcodeOf } from "../pdu/header.ts";
import { decodeLoginRequest, encodeLoginResponse, type LoginRequestPdu, LoginStage } from "../pdu/login.ts";
import { TargetWire } from "./target-connection-wire.ts";
import { type LoginStep, loginResponse, TargetLogin, type TargetLoginOptions } from "./target-login.ts";
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

export class TargetConnection {
  readonly #context: TargetContext;
  readonly #wire: TargetWire;
  readonly #numbers: TargetSequenceNumbers;
  readonly #login: TargetLogin;
  readonly #loginTimer: NodeJS.Timeout;
  #loginPdus = 0;
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
    // Silent means for as long as the initiator likes.
    if (this.#isSilent) clearTimeout(this.#loginTimer);
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
    const step = (this.#loginPdus === 1 ? this.#refusalByFault() : undefined) ?? this.#login.step(request, data);
    const nextStage = step.nextStage ?? request.nextStage;
    if (step.statusClass !== 0 || !step.transit || nextStage !== LoginStage.FullFeature) {
      this.#answer(request, step, request.tsih);
      return;
    }
    const identity = this.#identityOf(request);
    const refusal = this.#context.registry.refusalOf(identity);
    if (refusal !== undefined) this.#refuse(request, refusal);
    else void this.#enter(request, step, identity).catch((error) => this.#wire.fail(error));
  }

  /** The last step of a login that succeeds: the session exists from here on. */
  async #enter(request: LoginRequestPdu, step: LoginStep, identity: SessionIdentity): Promise<void> {
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
    this.#answer(request, step, tsih);
    this.#wire.resume({ header: parameters.headerDigest, data: parameters.dataDigest });
  }

  /** The negotiated values; undefined when there is no agreement, and the initiator was told so. */
  #parameters(request: LoginRequestPdu): SessionParameters | undefined {
    try {
      return this.#login.parameters();
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      this.#refuse(request, { statusClass: 2, statusDetail: 0 });
      return undefined;
    }
  }

  #refuse(request: LoginRequestPdu, status: { statusClass: number; statusDetail: number }): void {
    this.#answer(request, { ...status, transit: false, pairs: [] }, request.tsih);
  }

  #answer(request: LoginRequestPdu, step: LoginStep, tsih: number): void {
    const { pdu, text } = loginResponse(request, step, this.#numbers.next(true), tsih);
    this.#wire.send(encodeLoginResponse(pdu, text.length), text);
    if (step.statusClass === 0) return;
    this.#context.counts.refusals += 1;
    this.#wire.end();
  }

  #refusalByFault(): LoginStep | undefined {
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

  #identityOf({ isid, tsih, connectionId }: LoginRequestPdu): SessionIdentity {
    const { initiatorName, isDiscovery } = this.#login;
    return { initiatorName, isid, tsih, connectionId, isDiscovery };
  }
}
