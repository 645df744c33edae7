// Opening a session: attempts until one holds, cipher suites in order, then the wanted privilege.
import { type Budget, pause, remainingMs, startBudget } from "./budget.ts";
import type { CipherSuite } from "./crypto.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { abortedError } from "./exchange.ts";
import { establish, SetupLostError } from "./handshake.ts";
import { type ResolvedOptions, resolveOptions, type SessionOptions } from "./options.ts";
import { IpmiSession } from "./session.ts";
import { UdpTransport } from "./transport.ts";

/** {@link SessionOptions} of one call. */
export interface OpenSessionOptions extends SessionOptions {
  /** Ends the call with `Aborted`. */
  readonly signal?: AbortSignal;
}

const PRIVILEGE_SENDS = 7;
/** Attempts that the BMC itself turned down at once, as opposed to lost ones, before we call it misbehaviour. */
const MAX_REFUSED_ATTEMPTS = 8;
const REFUSED_PAUSE_MS = 100;
/** A BMC that takes 2.4 s to answer is the slowest we open a session with (0.3 of 1000 ms, eight times). */
const MAX_PATIENCE = 8;

/**
 * Opens an RMCP+ session and raises it to `privilege`.
 *
 * Lost datagrams are sent again, lost attempts begun again, until `deadlineMs`. Errors: `WrongPassword`, `NoSuchUser`,
 * `NoFreeSession`, `InsufficientPrivilege`, `CipherSuite`, `Timeout`, `Protocol`, `Aborted`, `InvalidArgument`.
 */
export function openSession(options: OpenSessionOptions): Promise<IpmiSession> {
  const resolved = resolveOptions(options);
  return openResolvedSession(resolved, startBudget(resolved.deadlineMs, options.signal));
}

/** `openSession` with checked options, within a budget that may be part of a longer operation. */
export async function openResolvedSession(options: ResolvedOptions, budget: Budget): Promise<IpmiSession> {
  if (budget.signal?.aborted) throw abortedError(options, "open a session", budget.signal);
  const refused: IpmiError[] = [];
  for (const suite of options.suites) {
    try {
      return await openWithSuite(options, suite, budget);
    } catch (error) {
      if (!isIpmiError(error, "CipherSuite")) throw error;
      refused.push(error);
    }
  }
  const { address, name } = options;
  const offered = options.suites.map((suite) => suite.id).join(", ");
  const text = `no session with ${name}: the BMC accepts none of the cipher suites offered (${offered}); enable one on it`;
  const last = refused.at(-1);
  throw new IpmiError("CipherSuite", text, {
    address,
    operation: "Open Session Request",
    rakpStatus: last?.rakpStatus,
    cause: last,
  });
}

async function openWithSuite(options: ResolvedOptions, suite: CipherSuite, budget: Budget): Promise<IpmiSession> {
  for (let refusals = 0; ; ) {
    try {
      return await openOnce(options, suite, budget, Math.min(2 ** refusals, MAX_PATIENCE));
    } catch (error) {
      if (!(error instanceof SetupLostError) || remainingMs(budget) === 0) throw error;
      if (error.code === "Timeout") continue;
      refusals += 1;
      if (refusals >= MAX_REFUSED_ATTEMPTS) throw error;
      await pause(REFUSED_PAUSE_MS * refusals, budget);
      if (budget.signal?.aborted) throw abortedError(options, "Open Session Request", budget.signal);
    }
  }
}

/** Each attempt has a socket of its own: what the network still holds of the last one does not reach it. */
async function openOnce(
  options: ResolvedOptions,
  suite: CipherSuite,
  budget: Budget,
  patience: number,
): Promise<IpmiSession> {
  const transport = await UdpTransport.connect(options.address, options.port, budget);
  let session: IpmiSession | undefined;
  try {
    session = new IpmiSession(transport, await establish(transport, options, suite, budget, patience), options);
    const { signal } = budget;
    const limits = { deadlineMs: Math.max(1, remainingMs(budget)), maxSends: PRIVILEGE_SENDS };
    await session.setPrivilege(options.privilege, signal === undefined ? limits : { ...limits, signal });
    return session;
  } catch (error) {
    await (session?.abandon() ?? transport.close());
    if (session !== undefined && isIpmiError(error, "Timeout") && !(error instanceof SetupLostError)) {
      const { address, operation } = error;
      throw new SetupLostError("Timeout", error.message, { address, operation, cause: error });
    }
    throw error;
  }
}
