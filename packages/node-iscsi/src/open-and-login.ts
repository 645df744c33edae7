// openAndLogin(): from an address to a connection that has been through login (RFC 7143 6.3).
import { CHAP_MD5, type ChapCredentials, chapAlgorithmsOffered, checkChapCredentials } from "./chap.ts";
import { Connection } from "./connection.ts";
import { remainingMs } from "./deadline.ts";
import {
  type ErrorContext,
  formatPortal,
  InvalidArgumentError,
  IscsiError,
  LoginError,
  ProtocolError,
  TransportError,
} from "./errors.ts";
import { checkIscsiName } from "./iscsi-name.ts";
import { LoginExchange, type LoginResult } from "./login.ts";
import { completeWishes, type ParameterWishes } from "./negotiation.ts";
import { captureFromEnvironment, isCaptureWanted } from "./pcap.ts";
import { allPortalsFailed, isPortalsFault, withDetail } from "./portal-errors.ts";
import type { SessionHooks } from "./session-options.ts";
import { DEFAULT_PORT, parseTargetAddress } from "./target-address.ts";

export { DEFAULT_PORT };
/** Name used unless the caller has one; iqn form of RFC 7143 4.2.7.4. */
export const DEFAULT_INITIATOR_NAME = "iqn.2013-06.org.openstack:node-iscsi";

/** What every connection needs. */
export interface PortalOptions {
  /** IP address or host name. */
  readonly address: string;
  /** Default 3260. */
  readonly port?: number | undefined;
  /** Further addresses of the same target, tried in order when the one before cannot be reached. */
  readonly portals?: readonly { readonly address: string; readonly port?: number | undefined }[] | undefined;
  readonly initiatorName?: string | undefined;
  /** CHAP: we prove ourselves when the target asks; with `target` inside, it has to prove itself too. */
  readonly chap?: ChapCredentials | undefined;
  /** From the first packet to a ready session or the whole list. Default 15000 ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of one login. */
export interface LoginAttempt extends PortalOptions {
  /** Changes to the offer of operational parameters. */
  readonly wishes?: Partial<ParameterWishes> | undefined;
  readonly hooks?: SessionHooks | undefined;
  /** 6 bytes; give the one of an earlier session to take its place (RFC 7143 6.3.5). Default: random. */
  readonly isid?: Buffer | undefined;
}

/** A connection that has been through login, not yet in anyone's hands. */
export interface LoggedIn {
  readonly connection: Connection;
  readonly login: LoginResult;
  /** `address:port` in the end, after redirects. */
  readonly portal: string;
  readonly address: string;
  readonly port: number;
  /** 6 bytes; with the same one and TSIH 0 a later login reinstates this session (RFC 7143 6.3.5). */
  readonly isid: Buffer;
}

/** ISID of the random form (RFC 7143 11.12.5, type 10b): no vendor number needed, unique per session with high odds. */
function randomIsid(): Buffer {
  const isid = Buffer.alloc(ISID_BYTES, 0x80);
  isid.writeUIntBE(randomBelow(2 ** 40), 1, 5);
  return isid;
}

/** For what need not be secret, as it goes over the wire in the clear: `node:crypto` would take longer to load than a login takes. */
function randomBelow(limit: number): number {
  return Math.floor(Math.random() * limit);
}

/** Hops after which a target that points elsewhere is not believed any more. */
const MAX_REDIRECTS = 4;
const ISID_BYTES = 6;

interface Address {
  readonly address: string;
  readonly port: number;
}

/** What is the same at every address that is tried. */
interface Attempt extends LoginAttempt {
  readonly targetName: string | undefined;
  readonly wishes: ParameterWishes;
  readonly isid: Buffer;
}

/**
 * TCP connection and login within one deadline. `targetName` undefined makes it a discovery session.
 * Redirects (status class 1) are followed, at most 4. `portals` are tried in order after an address that cannot be reached, is silent or
 * out of service, each with its share of the time that is left; a refused authentication ends the search.
 * @throws InvalidArgumentError before anything is sent; LoginError, ProtocolError, TransportError, TimeoutError, AbortedError.
 */
export async function openAndLogin(
  options: LoginAttempt,
  targetName: string | undefined,
  deadlineMs: number,
): Promise<LoggedIn> {
  const deadlineAt = performance.now() + deadlineMs;
  const attempt = checkedAttempt(options, targetName);
  const portals = [options, ...(options.portals ?? [])].map(({ address, port = DEFAULT_PORT }) => ({ address, port }));
  const failures: IscsiError[] = [];
  for (const [index, portal] of portals.entries()) {
    const now = performance.now();
    if (index > 0 && now >= deadlineAt) break;
    // A dead first address must not use up the time of those behind it.
    const shareEndsAt = now + (deadlineAt - now) / (portals.length - index);
    try {
      return await loginWithRedirects(attempt, portal, shareEndsAt);
    } catch (error) {
      if (!isPortalsFault(error)) throw error;
      failures.push(error);
    }
  }
  throw allPortalsFailed(failures, deadlineMs, { target: targetName, operation: "login" });
}

function checkedAttempt(options: LoginAttempt, targetName: string | undefined): Attempt {
  const context: ErrorContext = { target: targetName, operation: "login" };
  const isid = options.isid ?? randomIsid();
  if (isid.length !== ISID_BYTES)
    throw new InvalidArgumentError(`isid has ${isid.length} bytes; it takes ${ISID_BYTES} (RFC 7143 11.12.5)`, context);
  if (targetName !== undefined) checkIscsiName(targetName, "targetName", context);
  if (options.initiatorName !== undefined) checkIscsiName(options.initiatorName, "initiatorName", context);
  if (options.chap !== undefined) checkChapCredentials(options.chap, context);
  return {
    ...options,
    targetName,
    isid: Buffer.from(isid),
    wishes: completeWishes({ ...captureWishes(), ...options.wishes }),
  };
}

async function loginWithRedirects(attempt: Attempt, start: Address, deadlineAt: number): Promise<LoggedIn> {
  const chain: Address[] = [start];
  for (let here = start; ; ) {
    try {
      return await loginAt(attempt, here, deadlineAt);
    } catch (error) {
      const way = chain.map(({ address, port }) => formatPortal(address, port)).join(" -> ");
      if (!isRedirect(error)) throw chain.length === 1 ? error : withDetail(error, `redirected ${way}`);
      here = redirectTarget(error, way);
      if (chain.some(({ address, port }) => address === here.address && port === here.port))
        throw withDetail(error, `redirected in a circle: ${way} -> ${formatPortal(here.address, here.port)}`);
      if (chain.length > MAX_REDIRECTS) throw withDetail(error, `gave up after ${MAX_REDIRECTS} redirects: ${way}`);
      chain.push(here);
    }
  }
}

/** Status class 1 with the details RFC 7143 11.13.5 knows: moved temporarily, moved permanently. */
function isRedirect(error: unknown): error is LoginError {
  return (
    error instanceof LoginError && error.statusClass === 1 && (error.statusDetail === 1 || error.statusDetail === 2)
  );
}

function redirectTarget(error: LoginError, way: string): Address {
  if (error.redirectTo === undefined) throw withDetail(error, `the answer of ${way} has no TargetAddress`);
  try {
    return parseTargetAddress(error.redirectTo);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw withDetail(error, `the answer of ${way} cannot be followed: ${cause.reason}`);
  }
}

async function loginAt(attempt: Attempt, here: Address, deadlineAt: number): Promise<LoggedIn> {
  const first = await tryLogin(attempt, here, deadlineAt, attempt.chap === undefined ? "" : chapAlgorithmsOffered());
  if ("connection" in first) return first;
  const second = await tryLogin(attempt, here, deadlineAt, CHAP_MD5);
  if ("connection" in second) return second;
  throw second.misunderstood;
}

/**
 * Trap: tgtd (and IET before it) takes number 7 for SHA-1, chooses it, and then calls our SHA-256 response an "initiator error" (class 2,
 * detail 0; a wrong secret is detail 1). MD5 has the same number everywhere and is worth one more try. Whatever else goes wrong, above
 * all a target that failed to prove itself, is thrown.
 */
async function tryLogin(
  attempt: Attempt,
  { address, port }: Address,
  deadlineAt: number,
  chapAlgorithms: string,
): Promise<LoggedIn | { misunderstood: LoginError }> {
  const { targetName, signal, hooks, wishes, isid } = attempt;
  const connection = await Connection.open(
    {
      address,
      port,
      target: targetName,
      maxDataSegmentBytes: wishes.maxRecvDataSegmentBytes,
      trace: hooks?.onPdu,
      capture: captureFromEnvironment,
    },
    remainingMs(deadlineAt),
    signal,
  );
  const { portal } = connection;
  const context: ErrorContext = { target: targetName, portal, operation: "login" };
  const disarm = connection.guard(context, remainingMs(deadlineAt), signal);
  const exchange = new LoginExchange(connection, {
    initiatorName: attempt.initiatorName ?? DEFAULT_INITIATOR_NAME,
    targetName,
    chap: attempt.chap,
    chapAlgorithms,
    wishes,
    isid,
    firstCmdSn: 1 + randomBelow(0x7ffffffe),
    portal,
  });
  try {
    return { connection, login: await exchange.run(), portal, address, port, isid };
  } catch (error) {
    connection.destroy(error instanceof IscsiError ? error : new TransportError("internal error", context, error));
    const isInitiatorError = error instanceof LoginError && error.statusClass === 2 && error.statusDetail === 0;
    const { chapAlgorithm = CHAP_MD5 } = exchange;
    if (isInitiatorError && chapAlgorithm !== CHAP_MD5) return { misunderstood: error };
    throw error;
  } finally {
    disarm();
  }
}

/** Wireshark takes larger PDUs for garbage unless it is told otherwise (preference iscsi.bogus_pdu_data_length_threshold). */
function captureWishes(): Partial<ParameterWishes> {
  return isCaptureWanted() ? { maxRecvDataSegmentBytes: 262_144 } : {};
}
