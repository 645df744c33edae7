// Session setup of IPMI 1.5: Get Session Challenge, Activate Session (IPMI 2.0, 13.14, 22.16, 22.17). One call is one attempt.
import { randomInt } from "node:crypto";
import type { Budget } from "./budget.ts";
import {
  ACTIVATE_SESSION_CODE,
  type ActivateSessionRequest,
  type ActivateSessionResponse,
  activateSession,
} from "./commands/activate-session.ts";
import {
  type GetSessionChallengeResponse,
  getSessionChallenge,
  INVALID_USER_NAME,
  NULL_USER_NOT_ENABLED,
} from "./commands/get-session-challenge.ts";
import { completionCodeError, IpmiError, type IpmiErrorCode, isIpmiError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { type EstablishedSession, SENDS_PER_STEP, SetupLostError } from "./handshake.ts";
import type { ResolvedOptions } from "./options.ts";
import { PacketsV15 } from "./session-packets.ts";
import { askCapabilities, askSessionless, ignoringWireErrors, type SessionlessAsker } from "./sessionless.ts";
import type { Transport } from "./transport.ts";
import { consoleRequest, decodeMessage, encodeMessage } from "./wire/message.ts";
import { decodeRmcp, encodeRmcp, RMCP_CLASS } from "./wire/rmcp.ts";
import {
  AUTHENTICATION_TYPE,
  checkPacketV15,
  decodePacketV15,
  encodePacketV15,
  isSessionV15,
} from "./wire/session-v15.ts";
import { WireError } from "./wire/wire-error.ts";

/** A BMC that answered Get Session Challenge answers one of so many Activate Sessions too, if it means to. */
const ACTIVATE_SENDS = 3;
const RQ_SEQ = 1;
/** Session sequence numbers start below this: they never wrap while a session lives. */
const SEQUENCE_LIMIT = 0x7fffffff;

interface Attempt {
  readonly transport: Transport;
  readonly options: ResolvedOptions;
  readonly budget: Budget;
  readonly authenticationType: number;
  readonly password: Buffer;
}

/**
 * Sets an IPMI 1.5 session up. Throws the final refusals of the BMC as {@link IpmiError}, and {@link SetupLostError}
 * for what another attempt may mend.
 *
 * Trap: BMCs drop an Activate Session with a wrong code in silence. `Timeout` of Activate Session may mean a wrong password.
 */
export async function establishV15(
  transport: Transport,
  options: ResolvedOptions,
  budget: Budget,
): Promise<EstablishedSession> {
  const { address, name, v15Password: password, privilege, user, retransmitMs } = options;
  if (password === undefined) {
    const text = `no IPMI 1.5 session with ${name}: the password is longer than the 16 bytes of IPMI 1.5`;
    throw new IpmiError("InvalidArgument", text, { address, operation: "check the session options" });
  }
  const asker: SessionlessAsker = { transport, budget, retransmitMs, maxSends: SENDS_PER_STEP };
  const authenticationType = await chooseAuthenticationType(asker, options);
  const challenge = await askSessionless(asker, getSessionChallenge, { authenticationType, user }, false).catch(
    (error: unknown) => {
      throw isIpmiError(error, "CompletionCode") ? withCode(error, CHALLENGE_CODES) : lostIfTimeout(error);
    },
  );
  const attempt: Attempt = { transport, options, budget, authenticationType, password };
  const firstReceived = randomInt(1, SEQUENCE_LIMIT);
  const activated = await activate(attempt, challenge, {
    authenticationType,
    maximumPrivilege: privilege,
    challenge: Buffer.from(challenge.challenge),
    initialOutboundSequence: firstReceived,
  });
  const { sessionId } = activated;
  // The BMC may ask for less in each message than at the start (per-message authentication disabled), not for something else.
  const isAgreed = [authenticationType, AUTHENTICATION_TYPE.none].includes(activated.authenticationType);
  if (!isAgreed || sessionId === 0) {
    const text = `Activate Session failed for ${name}: the BMC chose another authentication type than the one we offered`;
    throw new IpmiError("Protocol", text, { address, operation: activateSession.name });
  }
  const packets = new PacketsV15({
    sessionId,
    authenticationType: activated.authenticationType,
    password,
    firstSent: activated.initialInboundSequence,
    firstReceived,
  });
  return { suite: undefined, bmcSessionId: sessionId, packets, guid: Buffer.alloc(0) };
}

const TYPE_NAMES = ["none", "MD2", "MD5", "3", "password", "OEM"];

async function chooseAuthenticationType(asker: SessionlessAsker, options: ResolvedOptions): Promise<number> {
  const capabilities = await askCapabilities(asker, options.privilege).catch((error: unknown) => {
    throw lostIfTimeout(error);
  });
  const offered = capabilities.v15AuthenticationTypes;
  const type = options.v15Authentication.find((wanted) => (offered & (1 << wanted)) !== 0);
  if (capabilities.supportsV15 && type !== undefined) return type;
  const { address, name } = options;
  const names = TYPE_NAMES.filter((_, bit) => (offered & (1 << bit)) !== 0).join(", ");
  const why = capabilities.supportsV15
    ? `the BMC offers the authentication types ${names || "(none named)"} and none of ours; v15Authentication names those to use`
    : "the BMC speaks IPMI 2.0 only";
  throw new IpmiError("CipherSuite", `no IPMI 1.5 session with ${name}: ${why}`, {
    address,
    operation: "Get Channel Authentication Capabilities",
  });
}

const CHALLENGE_CODES: Readonly<Record<number, IpmiErrorCode>> = {
  [INVALID_USER_NAME]: "NoSuchUser",
  [NULL_USER_NOT_ENABLED]: "NoSuchUser",
};

const ACTIVATE_CODES: Readonly<Record<number, IpmiErrorCode>> = {
  [ACTIVATE_SESSION_CODE.noSlot]: "NoFreeSession",
  [ACTIVATE_SESSION_CODE.noSlotForUser]: "NoFreeSession",
  [ACTIVATE_SESSION_CODE.noSlotForPrivilege]: "NoFreeSession",
  [ACTIVATE_SESSION_CODE.privilegeExceedsLimit]: "InsufficientPrivilege",
};

/** The same refusal under the code that session setup has for it. */
function withCode(error: IpmiError, codes: Readonly<Record<number, IpmiErrorCode>>): IpmiError {
  const { address, operation, completionCode } = error;
  const code = codes[completionCode ?? 0];
  return code === undefined
    ? error
    : new IpmiError(code, error.message, { address, operation, completionCode, cause: error });
}

/**
 * Sends Activate Session under the temporary session id, as the first authenticated packet. Trap: without an answer the BMC may have
 * opened the session, and it cannot be closed: its id and first number are in the answer.
 */
async function activate(
  { transport, options, budget, authenticationType, password }: Attempt,
  { temporarySessionId: sessionId }: GetSessionChallengeResponse,
  activation: ActivateSessionRequest,
): Promise<ActivateSessionResponse> {
  const { netFn, code, name: operation, completionCodes } = activateSession;
  const payload = encodeMessage(consoleRequest(netFn, code, RQ_SEQ, activateSession.encodeRequest(activation)));
  const packet = encodePacketV15({ authenticationType, sequence: 0, sessionId, payload }, password);
  const datagram = encodeRmcp(RMCP_CLASS.ipmi, packet);
  const request = {
    operation,
    maxSends: ACTIVATE_SENDS,
    retransmitMs: options.retransmitMs,
    send: () => transport.send(datagram),
    listen: (resolve: (response: ActivateSessionResponse) => void, reject: (error: IpmiError) => void) =>
      transport.subscribe((received) => {
        const data = ignoringWireErrors(() => readAnswer(received, authenticationType, password));
        if (data === undefined) return;
        const completionCode = data[0] ?? 0xff;
        if (completionCode !== 0) {
          reject(withCode(completionCodeError(transport, operation, completionCode, completionCodes), ACTIVATE_CODES));
          return;
        }
        const response = ignoringWireErrors(() => activateSession.decodeResponse(data.subarray(1)));
        if (response !== undefined) resolve(response);
      }),
  };
  return exchange(transport, request, budget).catch((error: unknown) => {
    // The BMC has let the challenge lapse, or used it up on a copy whose answer was lost.
    const isStale = isIpmiError(error) && error.completionCode === ACTIVATE_SESSION_CODE.invalidSessionId;
    throw isStale ? lost(error) : lostIfTimeout(error);
  });
}

/** The answer's data with its completion code. Trap: BMCs refuse without a code; success must have one, if one was agreed. */
function readAnswer(datagram: Buffer, authenticationType: number, password: Buffer): Buffer | undefined {
  const { body, messageClass } = decodeRmcp(datagram);
  if (messageClass !== RMCP_CLASS.ipmi || !isSessionV15(body)) return undefined;
  const packet = decodePacketV15(body);
  const message = decodeMessage(packet.payload);
  const { netFn, code } = activateSession;
  if (message.netFn !== (netFn | 1) || message.command !== code || message.sequence !== RQ_SEQ) return undefined;
  if (message.data.length === 0) throw new WireError("the answer to Activate Session has no completion code");
  if (message.data[0] === 0) checkPacketV15(packet, authenticationType, password);
  return message.data;
}

function lostIfTimeout(error: unknown): unknown {
  return isIpmiError(error, "Timeout") ? lost(error) : error;
}

function lost(cause: IpmiError): SetupLostError {
  const { address, operation, completionCode } = cause;
  return new SetupLostError(cause.code, cause.message, { address, operation, cause, completionCode });
}
