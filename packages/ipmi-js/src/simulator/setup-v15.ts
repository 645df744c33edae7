// The BMC's side of IPMI 1.5 session setup: Get Session Challenge, Activate Session (IPMI 2.0, 22.16, 22.17).
import { randomBytes, randomInt } from "node:crypto";
import {
  ACTIVATE_SESSION_CODE,
  type ActivateSessionRequest,
  type ActivateSessionResponse,
  activateSession,
} from "../commands/activate-session.ts";
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  type GetSessionChallengeRequest,
  type GetSessionChallengeResponse,
  INVALID_USER_NAME,
} from "../commands/get-session-challenge.ts";
import { CIPHER_SUITES, type CipherSuite, isEqualInConstantTime } from "../crypto.ts";
import { PacketsV15 } from "../session-packets.ts";
import { decodeMessage, encodeMessage, responseTo } from "../wire/message.ts";
import { AUTHENTICATION_TYPE, checkPacketV15, encodePacketV15, type ReceivedPacketV15 } from "../wire/session-v15.ts";
import { WireError } from "../wire/wire-error.ts";
import type { SimulatorFaults } from "./faults.ts";
import type { Outcome } from "./outcome.ts";
import type { SessionTable } from "./session-table.ts";
import type { SimulatedUsers } from "./users.ts";

interface Challenge {
  readonly authenticationType: number;
  readonly challenge: Buffer;
  /** The Activate Session that was accepted, and its answer: a copy gets the same. */
  accepted: { readonly request: Buffer; readonly answer: Buffer } | undefined;
}

/** Challenges that wait for their Activate Session; the oldest makes room. */
const MAX_CHALLENGES = 32;
/** Table 22-20 has no other row for a session that neither signs nor encrypts the RMCP+ way. */
const NO_SUITE = CIPHER_SUITES.get(0) as CipherSuite;
const INVALID_DATA_FIELD = 0xcc;
const SEQUENCE_LIMIT = 0x7fffffff;

/** Answers the two commands of the setup. */
export class SessionSetupV15 {
  readonly #users: SimulatedUsers;
  readonly #authenticationTypes: readonly number[];
  readonly #table: SessionTable;
  readonly #faults: SimulatorFaults;
  readonly #challenges = new Map<number, Challenge>();

  /** `authenticationTypes` are numbers; none if the BMC has no IPMI 1.5 sessions. */
  constructor(
    users: SimulatedUsers,
    authenticationTypes: readonly number[],
    table: SessionTable,
    faults: SimulatorFaults,
  ) {
    this.#users = users;
    this.#authenticationTypes = authenticationTypes;
    this.#table = table;
    this.#faults = faults;
  }

  /** The bits of Get Channel Authentication Capabilities. */
  get authenticationTypeBits(): number {
    return this.#authenticationTypes.reduce((bits, type) => bits | (1 << type), 0);
  }

  /** Get Session Challenge. */
  challenge({ authenticationType, user }: GetSessionChallengeRequest): Outcome<GetSessionChallengeResponse> {
    if (!this.#authenticationTypes.includes(authenticationType)) return { refusal: INVALID_DATA_FIELD };
    if (!isEqualInConstantTime(user, this.#users.login.name)) return { refusal: INVALID_USER_NAME };
    const [oldest] = this.#challenges.keys();
    if (this.#challenges.size >= MAX_CHALLENGES && oldest !== undefined) this.#challenges.delete(oldest);
    const temporarySessionId = this.#table.freeId((id) => this.#challenges.has(id));
    const challenge = randomBytes(16);
    this.#challenges.set(temporarySessionId, { authenticationType, challenge, accepted: undefined });
    return { response: { temporarySessionId, challenge } };
  }

  /** The answer, of the bytes after the RMCP header, to a packet under a temporary session id; undefined if it is under none. */
  activate(packet: ReceivedPacketV15): Buffer | undefined {
    const challenge = this.#challenges.get(packet.sessionId);
    if (challenge === undefined) return undefined;
    // A wrong password is not told: the packet is dropped, as by most BMCs.
    const { v15Password } = this.#users.login;
    checkPacketV15(packet, challenge.authenticationType, v15Password);
    if (challenge.accepted?.request.equals(packet.payload)) return challenge.accepted.answer;
    const message = decodeMessage(packet.payload);
    if (message.netFn !== activateSession.netFn || message.command !== activateSession.code)
      throw new WireError("only Activate Session goes under a temporary session id");
    const outcome = this.#open(activateSession.decodeRequest(message.data), challenge);
    const [completionCode, data] =
      typeof outcome === "number" ? [outcome, Buffer.alloc(0)] : [0, activateSession.encodeResponse(outcome)];
    const payload = encodeMessage(responseTo(message, completionCode, data));
    const { authenticationType, sessionId } = packet;
    const answer = encodePacketV15({ authenticationType, sequence: 0, sessionId, payload }, v15Password);
    if (completionCode === 0) challenge.accepted = { request: Buffer.from(packet.payload), answer };
    return answer;
  }

  #open(request: ActivateSessionRequest, challenge: Challenge): ActivateSessionResponse | number {
    if (challenge.accepted !== undefined) return ACTIVATE_SESSION_CODE.invalidSessionId;
    if (request.authenticationType !== challenge.authenticationType) return INVALID_DATA_FIELD;
    if (!isEqualInConstantTime(request.challenge, challenge.challenge)) return INVALID_DATA_FIELD;
    if (request.initialOutboundSequence === 0) return ACTIVATE_SESSION_CODE.sequenceOutOfRange;
    const { maximumPrivilege } = request;
    const { v15Password, privilege } = this.#users.login;
    const isAllowed = maximumPrivilege >= PRIVILEGE_LEVEL.callback && maximumPrivilege <= privilege;
    if (!isAllowed) return ACTIVATE_SESSION_CODE.privilegeExceedsLimit;
    const session = this.#table.open(0, NO_SUITE, maximumPrivilege);
    if (session === undefined) return ACTIVATE_SESSION_CODE.noSlot;
    const sessionId = session.bmcSessionId;
    const authenticationType = this.#faults.noPerMessageAuthentication
      ? AUTHENTICATION_TYPE.none
      : request.authenticationType;
    const initialInboundSequence = randomInt(1, SEQUENCE_LIMIT);
    session.packets = new PacketsV15({
      sessionId,
      authenticationType,
      password: v15Password,
      firstSent: request.initialOutboundSequence,
      firstReceived: initialInboundSequence,
    });
    session.privilege = Math.min(PRIVILEGE_LEVEL.user, maximumPrivilege);
    return { authenticationType, sessionId, initialInboundSequence, maximumPrivilege };
  }
}
