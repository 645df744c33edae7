// Opening a session: attempts until one holds, cipher suites in order, IPMI 1.5 if there is nothing else, then the privilege.
import { askOffer, preferListed } from "./bmc-offer.ts";
import { type Budget, pause, remainingMs, startBudget } from "./budget.ts";
import { activateSession } from "./commands/activate-session.ts";
import { PRIVILEGE_LEVEL } from "./commands/command.ts";
import type { CipherSuite } from "./crypto.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { abortedError } from "./exchange.ts";
import { type EstablishedSession, establish, SENDS_PER_STEP, SetupLostError } from "./handshake.ts";
import { establishV15 } from "./handshake-v15.ts";
import { type ResolvedOptions, resolveOptions, type SessionOptions } from "./options.ts";
import { IpmiSession } from "./session.ts";
import { connect, type Transport } from "./transport.ts";
import { AUTHENTICATION_TYPE } from "./wire/session-v15.ts";

/** {@link SessionOptions} of one call. */
export interface OpenSessionOptions extends SessionOptions {
  /** Ends the call with `Aborted`. */
  readonly signal?: AbortSignal | undefined;
}

const OPEN_SESSION = "Open Session Request";
const PRIVILEGE_SENDS = 7;
/** Sends of the first Open Session Request before the BMC is asked what it can do: 1.9 s with the default waits. */
const SENDS_BEFORE_ASKING = 3;
/** Attempts that the BMC itself turned down at once, as opposed to lost ones, before we call it misbehaviour. */
const MAX_REFUSED_ATTEMPTS = 8;
const REFUSED_PAUSE_MS = 100;
/** A BMC that takes 2.4 s to answer is the slowest we open a session with (0.3 of 1000 ms, eight times). */
const MAX_PATIENCE = 8;
/** Activate Sessions, three sends each, that a BMC which answers the challenge may leave unanswered. */
const MAX_SILENT_ACTIVATIONS = 2;

/** What silence has taught us of a BMC: the next session with the same options begins with what worked. */
interface Learned {
  readonly isV15: boolean;
  readonly suites: readonly CipherSuite[];
}
const learnedOf = new WeakMap<ResolvedOptions, Learned>();

/**
 * Opens a session, RMCP+ or what `protocol` says, and raises it to `privilege`. Suites and versions the BMC refuses or
 * is silent to are followed by the next; it is asked what it has only then.
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
  try {
    return await new Search(options, budget).run();
  } catch (error) {
    learnedOf.delete(options);
    throw error;
  }
}

/** Finds what both ends speak. */
class Search {
  readonly #options: ResolvedOptions;
  readonly #budget: Budget;
  #plan: Learned;
  #lastRefusal: IpmiError | undefined;
  #openSends = SENDS_BEFORE_ASKING;
  /** How often the first suite of the plan got no answer from a BMC that answers questions. */
  #silences = 0;

  constructor(options: ResolvedOptions, budget: Budget) {
    this.#options = options;
    this.#budget = budget;
    this.#plan = learnedOf.get(options) ?? { isV15: options.protocol === "1.5", suites: options.suites };
  }

  async run(): Promise<IpmiSession> {
    for (;;) {
      if (this.#plan.isV15) return openV15(this.#options, this.#budget);
      const [suite] = this.#plan.suites;
      if (suite === undefined) throw await noCommonSuite(this.#options, this.#budget, this.#lastRefusal);
      try {
        return await openWithSuite(this.#options, suite, this.#budget, this.#openSends);
      } catch (error) {
        if (isIpmiError(error, "CipherSuite")) await this.#dropSuite(error);
        else if (isSilence(error)) await this.#askWhatElse();
        else throw error;
        if (remainingMs(this.#budget) === 0) throw error;
      }
    }
  }

  /** After a refusal. A single suite left is simply tried: that takes one round trip, as a question would. */
  async #dropSuite(refusal: IpmiError): Promise<void> {
    this.#lastRefusal = refusal;
    const left = this.#plan.suites.slice(1);
    const offer = left.length > 1 ? await askOffer(this.#options, this.#budget) : undefined;
    this.#plan = { isV15: false, suites: offer === undefined ? left : preferListed(left, offer) };
  }

  /**
   * After silence: is the BMC away, or does it drop what it does not know? Trap: it may well be loss, unless the BMC has
   * sent a list without our first suite. But lists lie: a BMC that answers all else but that suite twice is believed.
   */
  async #askWhatElse(): Promise<void> {
    this.#openSends = SENDS_PER_STEP;
    const offer = remainingMs(this.#budget) > 0 ? await askOffer(this.#options, this.#budget) : undefined;
    if (offer === undefined) return;
    this.#silences += 1;
    const [first, ...others] = this.#plan.suites;
    if (!offer.supportsV20) {
      if (this.#options.protocol === "2.0") throw onlyV15(this.#options);
      // Not remembered: a forged answer must not outlive the attack.
      this.#plan = { ...this.#plan, isV15: true };
      return;
    }
    if (first === undefined || (this.#silences < 2 && offer.suites?.includes(first.id) !== false)) return;
    this.#plan = { isV15: false, suites: [...preferListed(others, offer), first] };
    this.#openSends = SENDS_BEFORE_ASKING;
    this.#silences = 0;
    learnedOf.set(this.#options, this.#plan);
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof SetupLostError && error.code === "Timeout" && error.operation === OPEN_SESSION;
}

/** Unsigned, and maybe forged: an error, and no reason to go on in the clear. */
function onlyV15({ address, name }: ResolvedOptions): IpmiError {
  const text = `no session with ${name}: it says that it has only IPMI 1.5, which encrypts nothing; ask for that with protocol "1.5" if you must`;
  return new IpmiError("CipherSuite", text, { address, operation: OPEN_SESSION });
}

async function noCommonSuite(
  options: ResolvedOptions,
  budget: Budget,
  last: IpmiError | undefined,
): Promise<IpmiError> {
  const { address, name } = options;
  const offer = await askOffer(options, budget);
  const offered = options.suites.map((suite) => suite.id).join(", ");
  const listed = offer?.suites?.join(", ") || "none";
  const text = `no session with ${name}: the BMC accepts none of the cipher suites offered (${offered}); it lists ${listed}; enable one of ours on it`;
  return new IpmiError("CipherSuite", text, {
    address,
    operation: OPEN_SESSION,
    rakpStatus: last?.rakpStatus,
    cause: last,
  });
}

function openWithSuite(
  options: ResolvedOptions,
  suite: CipherSuite,
  budget: Budget,
  openSends: number,
): Promise<IpmiSession> {
  const attempt = (refusals: number): Promise<IpmiSession> => {
    const patience = { openSends, rakp1Waits: Math.min(2 ** refusals, MAX_PATIENCE) };
    return openOnce(options, budget, (transport) => establish(transport, options, suite, budget, patience));
  };
  return repeatLost(options, budget, attempt, (error) => (isSilence(error) ? error : undefined));
}

function openV15(options: ResolvedOptions, budget: Budget): Promise<IpmiSession> {
  let silent = 0;
  const attempt = () => openOnce(options, budget, (transport) => establishV15(transport, options, budget));
  return repeatLost(options, budget, attempt, (error) => {
    const hasPassword = options.v15Authentication.some((type) => type !== AUTHENTICATION_TYPE.none);
    if (!hasPassword || error.operation !== activateSession.name || error.code !== "Timeout") return undefined;
    silent += 1;
    if (silent < MAX_SILENT_ACTIVATIONS) return undefined;
    const { address, name } = options;
    const text = `${name} answers Get Session Challenge but not Activate Session: the password differs from the BMC's`;
    return new IpmiError("WrongPassword", text, { address, operation: activateSession.name, cause: error });
  });
}

/** Begins lost attempts again. `giveUp` may end it with an error of its own. */
async function repeatLost(
  options: ResolvedOptions,
  budget: Budget,
  attempt: (refusals: number) => Promise<IpmiSession>,
  giveUp: (error: SetupLostError) => IpmiError | undefined,
): Promise<IpmiSession> {
  for (let refusals = 0; ; ) {
    try {
      return await attempt(refusals);
    } catch (error) {
      if (!(error instanceof SetupLostError)) throw error;
      const end = giveUp(error);
      if (end !== undefined) throw end;
      if (remainingMs(budget) === 0) throw error;
      if (error.code === "Timeout") continue;
      refusals += 1;
      const pauseMs = REFUSED_PAUSE_MS * refusals;
      // The BMC's word says more than the Timeout of an attempt without time.
      if (refusals >= MAX_REFUSED_ATTEMPTS || remainingMs(budget) <= pauseMs) throw error;
      await pause(pauseMs, budget);
      if (budget.signal?.aborted) throw abortedError(options, OPEN_SESSION, budget.signal);
    }
  }
}

/** Each attempt has a transport of its own: what the network still holds of the last one is told apart by its session id. */
async function openOnce(
  options: ResolvedOptions,
  budget: Budget,
  establishOver: (transport: Transport) => Promise<EstablishedSession>,
): Promise<IpmiSession> {
  const transport = await connect(options, budget);
  let session: IpmiSession | undefined;
  try {
    session = new IpmiSession(transport, await establishOver(transport), options);
    const deadlineMs = Math.max(1, remainingMs(budget));
    // A session begins at User level (22.18).
    if (options.privilege > PRIVILEGE_LEVEL.user)
      await session.setPrivilege(options.privilege, { deadlineMs, maxSends: PRIVILEGE_SENDS, signal: budget.signal });
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
