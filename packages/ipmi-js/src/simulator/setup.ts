// The BMC's side of session setup: Open Session, RAKP 1 to 4 (IPMI 2.0, 13.17 to 13.23).
import { randomBytes } from "node:crypto";
import { PRIVILEGE_LEVEL } from "../commands/command.ts";
import {
  CIPHER_SUITES,
  type CipherSuite,
  isEqualInConstantTime,
  keyFromSecret,
  rakp2CheckValue,
  rakp3CheckValue,
  rakp4CheckValue,
  sessionIntegrityKey,
  sessionKeys,
} from "../crypto.ts";
import { decodeOpenSessionRequest, encodeOpenSessionResponse, type OpenSessionRequest } from "../wire/open-session.ts";
import { decodeRakp1, decodeRakp3, encodeRakp2, encodeRakp4 } from "../wire/rakp.ts";
import { PAYLOAD_TYPE } from "../wire/session-v20.ts";
import type { SimulatorFaults } from "./faults.ts";
import type { SessionTable } from "./session-table.ts";

/** What the setup knows of its BMC. */
export interface SetupIdentity {
  readonly user: string;
  readonly password: string;
  readonly kg: string | Buffer | undefined;
  readonly guid: Buffer;
  /** Highest privilege of the user. */
  readonly privilege: number;
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
  readonly #user: Buffer;
  readonly #userKey: Buffer;
  readonly #key: Buffer;

  constructor(identity: SetupIdentity, table: SessionTable, faults: SimulatorFaults) {
    this.#identity = identity;
    this.#faults = faults;
    this.#table = table;
    this.#user = Buffer.from(identity.user);
    this.#userKey = keyFromSecret(identity.password);
    this.#key = identity.kg === undefined ? this.#userKey : keyFromSecret(identity.kg);
  }

  /** The answer to a setup message, or undefined if it deserves none. */
  answer(payloadType: number, payload: Buffer): SetupReply | undefined {
    if (payloadType === PAYLOAD_TYPE.openSessionRequest) {
      return { payloadType: PAYLOAD_TYPE.openSessionResponse, payload: this.#open(payload) };
    }
    const reply = payloadType === PAYLOAD_TYPE.rakp1 ? this.#rakp1(payload) : this.#rakp3(payload);
    const type = payloadType === PAYLOAD_TYPE.rakp1 ? PAYLOAD_TYPE.rakp2 : PAYLOAD_TYPE.rakp4;
    return reply === undefined ? undefined : { payloadType: type, payload: reply };
  }

  #open(payload: Buffer): Buffer {
    const request = decodeOpenSessionRequest(payload);
    const { tag, consoleSessionId, algorithms } = request;
    const refuse = (status: number): Buffer =>
      encodeOpenSessionResponse({ tag, status, consoleSessionId, maximumPrivilege: 0, bmcSessionId: 0, algorithms });
    const suite = this.#findSuite(request);
    if (suite === undefined) return refuse(STATUS.noMatchingSuite);
    const limit = request.maximumPrivilege === 0 ? PRIVILEGE_LEVEL.administrator : request.maximumPrivilege;
    const maximumPrivilege = Math.min(limit, this.#identity.privilege);
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
    if (session === undefined || session.keys !== undefined) return undefined;
    const { consoleSessionId, suite } = session;
    const refuse = (status: number): Buffer => {
      this.#table.delete(bmcSessionId);
      return encodeRakp2({ tag, status, consoleSessionId, bmcRandom: EMPTY, guid: EMPTY, checkValue: EMPTY });
    };
    const privilege = role & 0x0f;
    if (privilege < PRIVILEGE_LEVEL.callback || privilege > PRIVILEGE_LEVEL.administrator)
      return refuse(STATUS.invalidRole);
    if (!isEqualInConstantTime(user, this.#user)) return refuse(STATUS.unauthorizedName);
    if (privilege > this.#identity.privilege) return refuse(STATUS.unauthorizedRole);
    const { guid } = this.#identity;
    // A RAKP 1 sent again gets the same random number: the console may have used the answer to the first copy.
    const isAgain = session.transcript?.consoleRandom.equals(consoleRandom) && !this.#faults.newRandomForRetries;
    const bmcRandom = isAgain ? (session.transcript?.bmcRandom ?? randomBytes(16)) : randomBytes(16);
    const copies = { consoleRandom: Buffer.from(consoleRandom), user: Buffer.from(user) };
    session.transcript = { consoleSessionId, bmcSessionId, bmcRandom, guid, role, ...copies };
    session.maximumPrivilege = Math.min(session.maximumPrivilege, privilege);
    const checkValue = rakp2CheckValue(suite, this.#userKey, session.transcript);
    return encodeRakp2({ tag, status: 0, consoleSessionId, bmcRandom, guid, checkValue });
  }

  #rakp3(payload: Buffer): Buffer | undefined {
    const { tag, status, bmcSessionId, checkValue } = decodeRakp3(payload);
    const session = this.#table.get(bmcSessionId);
    if (session?.transcript === undefined) return undefined;
    const { transcript, consoleSessionId, suite } = session;
    if (status !== 0) {
      if (session.keys === undefined) this.#table.delete(bmcSessionId);
      return undefined;
    }
    const isAgain =
      session.acceptedCheckValue !== undefined && isEqualInConstantTime(session.acceptedCheckValue, checkValue);
    if (session.keys !== undefined && !isAgain) return undefined;
    if (!isEqualInConstantTime(rakp3CheckValue(suite, this.#userKey, transcript), checkValue)) {
      this.#table.delete(bmcSessionId);
      return encodeRakp4({ tag, status: STATUS.invalidIntegrityCheckValue, consoleSessionId, checkValue: EMPTY });
    }
    const sik = sessionIntegrityKey(suite, this.#key, transcript);
    if (!isAgain) {
      session.keys = sessionKeys(suite, sik);
      session.acceptedCheckValue = Buffer.from(checkValue);
      // A new session is at User level, or at Callback if that is all it may get (22.18).
      session.privilege = Math.min(PRIVILEGE_LEVEL.user, session.maximumPrivilege);
      session.usedAtMs = performance.now();
    }
    return encodeRakp4({ tag, status: 0, consoleSessionId, checkValue: rakp4CheckValue(suite, sik, transcript) });
  }
}
