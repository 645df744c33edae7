// The BMC's side of session setup: Open Session, RAKP 1 to 4 (IPMI 2.0, 13.17 to 13.23).
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  CIPHER_SUITES,
  type CipherSuite,
  isEqualInConstantTime,
  rakp2CheckValue,
  rakp3CheckValue,
  rakp4CheckValue,
  sessionIntegrityKey,
  sessionKeys,
} from "../crypto.ts";
import { randomBlock } from "../random-block.ts";
import { RmcpPlusPackets } from "../session-packets.ts";
import { decodeOpenSessionRequest, encodeOpenSessionResponse, type OpenSessionRequest } from "../wire/open-session.ts";
import { decodeRakp1, decodeRakp3, encodeRakp2, encodeRakp4, NAME_ONLY_LOOKUP } from "../wire/rakp.ts";
import { PAYLOAD_TYPE } from "../wire/session-v20.ts";
import type { SimulatorFaults } from "./faults.ts";
import type { SessionTable } from "./session-table.ts";
import type { SimulatedUsers } from "./users.ts";

/** What the setup knows of its BMC. */
export interface SetupIdentity {
  readonly users: SimulatedUsers;
  readonly kg: Buffer | undefined;
  readonly guid: Buffer;
  readonly cipherSuites: readonly number[];
}

/** A message to send back, of its payload type. */
export interface SetupReply {
  readonly payloadType: number;
  readonly payload: Buffer;
}

const STATUS = {
  noFreeSession: 0x01,
  invalidSessionId: 0x02,
  invalidRole: 0x09,
  unauthorizedRole: 0x0a,
  unauthorizedName: 0x0d,
  invalidIntegrityCheckValue: 0x0f,
  noMatchingSuite: 0x11,
} as const;

const EMPTY = Buffer.alloc(0);

/** Answers session setup messages. Malformed ones are a `WireError`. */
export class SessionSetup {
  readonly #identity: SetupIdentity;
  readonly #faults: SimulatorFaults;
  readonly #table: SessionTable;

  constructor(identity: SetupIdentity, table: SessionTable, faults: SimulatorFaults) {
    this.#identity = identity;
    this.#faults = faults;
    this.#table = table;
  }

  /** Whether sessions need a K_g besides the password. */
  get hasKg(): boolean {
    return this.#identity.kg !== undefined;
  }

  /** The answer to a setup message, or undefined if it deserves none. */
  answer(payloadType: number, payload: Buffer): SetupReply | undefined {
    const [type, reply] = this.#answer(payloadType, payload);
    return reply === undefined ? undefined : { payloadType: type, payload: reply };
  }

  #answer(payloadType: number, payload: Buffer): [number, Buffer | undefined] {
    if (payloadType === PAYLOAD_TYPE.openSessionRequest) return [PAYLOAD_TYPE.openSessionResponse, this.#open(payload)];
    if (payloadType === PAYLOAD_TYPE.rakp1) return [PAYLOAD_TYPE.rakp2, this.#rakp1(payload)];
    return [PAYLOAD_TYPE.rakp4, this.#rakp3(payload)];
  }

  #open(payload: Buffer): Buffer | undefined {
    const request = decodeOpenSessionRequest(payload);
    const { tag, consoleSessionId, algorithms } = request;
    const refuse = (status: number): Buffer =>
      encodeOpenSessionResponse({ tag, status, consoleSessionId, maximumPrivilege: 0, bmcSessionId: 0, algorithms });
    if (this.#faults.openSessionStatus !== undefined) return refuse(this.#faults.openSessionStatus);
    const suite = this.#findSuite(request);
    if (suite === undefined && this.#faults.ignoresUnknownSuites) return undefined;
    if (suite === undefined) return refuse(STATUS.noMatchingSuite);
    const limit = request.maximumPrivilege === 0 ? PRIVILEGE_LEVEL.administrator : request.maximumPrivilege;
    const maximumPrivilege = Math.min(limit, this.#identity.users.login.privilege);
    const session =
      this.#table.findHalfOpen(consoleSessionId, suite) ?? this.#table.open(consoleSessionId, suite, maximumPrivilege);
    if (session === undefined) return refuse(STATUS.noFreeSession);
    const { bmcSessionId } = session;
    return encodeOpenSessionResponse({ tag, status: 0, consoleSessionId, maximumPrivilege, bmcSessionId, algorithms });
  }

  #findSuite({ algorithms }: OpenSessionRequest): CipherSuite | undefined {
    for (const id of this.#identity.cipherSuites) {
      const suite = CIPHER_SUITES.get(id);
      if (suite === undefined) continue;
      const { authentication, integrity, confidentiality } = suite.algorithms;
      const isSame =
        algorithms.authentication === authentication &&
        algorithms.integrity === integrity &&
        algorithms.confidentiality === confidentiality;
      if (isSame) return suite;
    }
    return undefined;
  }

  #rakp1(payload: Buffer): Buffer | undefined {
    const { tag, bmcSessionId, consoleRandom, role, user } = decodeRakp1(payload);
    const session = this.#table.get(bmcSessionId);
    if (session === undefined || session.packets !== undefined) return undefined;
    const { consoleSessionId, suite } = session;
    const { users, guid } = this.#identity;
    const refuse = (status: number): Buffer => {
      this.#table.delete(bmcSessionId);
      return encodeRakp2({ tag, status, consoleSessionId, bmcRandom: EMPTY, guid: EMPTY, checkValue: EMPTY });
    };
    if (this.#faults.rakp2Status !== undefined) return refuse(this.#faults.rakp2Status);
    const privilege = role & 0x0f;
    if (privilege < PRIVILEGE_LEVEL.callback || privilege > PRIVILEGE_LEVEL.administrator)
      return refuse(STATUS.invalidRole);
    // Looked up by name and privilege together, a user is only found at the privilege he has (13.20).
    const { login } = users;
    const isFound = (role & NAME_ONLY_LOOKUP) !== 0 || privilege === login.privilege;
    if (!isFound || !isEqualInConstantTime(user, login.name)) return refuse(STATUS.unauthorizedName);
    if (privilege > login.privilege) return refuse(STATUS.unauthorizedRole);
    // A RAKP 1 sent again gets the same random number: the console may have used the answer to the first copy.
    const isAgain = session.transcript?.consoleRandom.equals(consoleRandom) && !this.#faults.newRandomForRetries;
    const bmcRandom = (isAgain ? session.transcript?.bmcRandom : undefined) ?? randomBlock();
    const copies = { consoleRandom: Buffer.from(consoleRandom), user: Buffer.from(user) };
    session.transcript = { consoleSessionId, bmcSessionId, bmcRandom, guid, role, ...copies };
    session.maximumPrivilege = Math.min(session.maximumPrivilege, privilege);
    const checkValue = rakp2CheckValue(suite, login.userKey, session.transcript);
    return encodeRakp2({ tag, status: 0, consoleSessionId, bmcRandom, guid, checkValue });
  }

  #rakp3(payload: Buffer): Buffer | undefined {
    const { tag, status, bmcSessionId, checkValue } = decodeRakp3(payload);
    const session = this.#table.get(bmcSessionId);
    if (session?.transcript === undefined) return undefined;
    const { transcript, consoleSessionId, suite } = session;
    const { kg, users } = this.#identity;
    const { userKey } = users.login;
    const refuse = (refusal: number): Buffer => {
      this.#table.delete(bmcSessionId);
      return encodeRakp4({ tag, status: refusal, consoleSessionId, checkValue: EMPTY });
    };
    if (status !== 0) {
      if (session.packets === undefined) this.#table.delete(bmcSessionId);
      return undefined;
    }
    const isAgain =
      session.acceptedCheckValue !== undefined && isEqualInConstantTime(session.acceptedCheckValue, checkValue);
    if (session.packets !== undefined && !isAgain) return undefined;
    if (this.#faults.rakp4Status !== undefined) return refuse(this.#faults.rakp4Status);
    const isKnown = isAgain || isEqualInConstantTime(rakp3CheckValue(suite, userKey, transcript), checkValue);
    if (!isKnown) return refuse(STATUS.invalidIntegrityCheckValue);
    const sik = sessionIntegrityKey(suite, kg ?? userKey, transcript);
    if (!isAgain) {
      session.packets = new RmcpPlusPackets(consoleSessionId, bmcSessionId, sessionKeys(suite, sik, userKey));
      session.acceptedCheckValue = Buffer.from(checkValue);
      // A new session is at User level, or at Callback if that is all it may get (22.18).
      session.privilege = Math.min(PRIVILEGE_LEVEL.user, session.maximumPrivilege);
      session.usedAtMs = performance.now();
    }
    return encodeRakp4({ tag, status: 0, consoleSessionId, checkValue: rakp4CheckValue(suite, sik, transcript) });
  }
}
