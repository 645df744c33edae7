// One SOL activation: a session of its own, Activate Payload, keep-alive, Deactivate Payload (IPMI 2.0, 24.1, 24.2).
import { type Budget, pause, remainingMs, startBudget } from "../budget.ts";
import { activatePayload, PAYLOAD_ALREADY_ACTIVE } from "../commands/activate-payload.ts";
import { PRESENT_CHANNEL } from "../commands/command.ts";
import { deactivatePayload } from "../commands/deactivate-payload.ts";
import { getSolConfiguration } from "../commands/get-sol-configuration.ts";
import { decodeSolRetry, SOL_PARAMETER } from "../commands/sol-configuration.ts";
import { CIPHER_SUITES } from "../crypto.ts";
import { IpmiError, isIpmiError } from "../errors.ts";
import { abortedError } from "../exchange.ts";
import { openResolvedSession } from "../open-session.ts";
import type { ResolvedOptions } from "../options.ts";
import type { CommandOptions, IpmiSession } from "../session.ts";
import { isRefusal, unlessRefused } from "../walk.ts";
import { PAYLOAD_TYPE } from "../wire/session-v20.ts";
import { SOL_STATUS } from "../wire/sol.ts";
import { WireError } from "../wire/wire-error.ts";
import { charactersOf, SolLink } from "./sol-link.ts";
import type { SolSender } from "./sol-sender.ts";
import { SolWatch } from "./sol-watch.ts";

/** How one activation is made. */
export interface SolConnectionOptions {
  readonly session: ResolvedOptions;
  readonly sender: SolSender;
  readonly takeOver: boolean;
  /** Undefined: what the BMC is configured to do itself. */
  readonly retryIntervalMs: number | undefined;
  readonly keepAliveMs: number;
  room(): number;
  deliver(data: Buffer): void;
  onProgress(): void;
  onStatus(flags: number): void;
}

/** Why an activation ended, and who has the console now, as far as one can know. */
export interface SolEnd {
  readonly error: IpmiError;
  /** A BMC that says by itself that it has deactivated SOL does so when another party takes it. */
  readonly holder: "another" | "nobody" | "unknown";
}

const SOL_PAYLOAD = { payloadType: PAYLOAD_TYPE.serialOverLan, instance: 1 } as const;
const DEFAULT_RETRY_MS = 500;
/** What BMCs are configured with ranges from nothing to minutes. */
const LEAST_RETRY_MS = 50;
const MOST_RETRY_MS = 2550;
const ACTIVATIONS = 5;
const TAKE_OVER_PAUSE_MS = 200;
const SENDS_BEFORE_LOST = 6;
const CLOSE_MS = 1000;
/** The BMC is done with the activation by then, and nobody has had the time to take it from us. */
const FIRST_WATCH_MS = 1000;

/** An active SOL. `ended` resolves when it is lost, and never rejects. */
export class SolConnection {
  readonly ended: Promise<SolEnd>;
  readonly #session: IpmiSession;
  readonly #link: SolLink;
  readonly #stop = new AbortController();
  #end: (end: SolEnd) => void = () => {};

  private constructor(session: IpmiSession, retryIntervalMs: number, options: SolConnectionOptions) {
    this.#session = session;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    const { sender, room, deliver, onProgress, onStatus } = options;
    this.#link = new SolLink({
      ...{ sender, retryIntervalMs, room, deliver, onProgress },
      send: (payload) => session.sendPayload(SOL_PAYLOAD.payloadType, payload),
      onStatus: (flags) => {
        onStatus(flags);
        if ((flags & SOL_STATUS.deactivated) !== 0) this.#lost("the BMC has deactivated Serial over LAN", "another");
      },
      onSilence: () => this.#lost("the BMC does not acknowledge our characters any more", "unknown"),
    });
    session.onPayload(SOL_PAYLOAD.payloadType, (payload) => this.#link.receive(payload));
  }

  /** Opens a session and activates SOL in it, within `budget`. `ConsoleInUse` if another session has it. */
  static async open(options: SolConnectionOptions, budget: Budget): Promise<SolConnection> {
    const session = await openResolvedSession(options.session, budget);
    let connection: SolConnection | undefined;
    try {
      const retryIntervalMs = options.retryIntervalMs ?? (await configuredRetryMs(session, budget));
      options.sender.restart();
      // Before the activation: the machine's characters may come ahead of its response.
      connection = new SolConnection(session, retryIntervalMs, options);
      connection.#link.start(await activate(session, options.takeOver, budget));
      void connection.#keepAlive(Math.max(1, options.keepAliveMs));
      return connection;
    } catch (error) {
      connection?.stop();
      await session.abandon();
      throw error;
    }
  }

  /** Characters or a break were queued. */
  pump(): void {
    this.#link.pump();
  }

  /** The reader has taken something. */
  resume(): void {
    this.#link.resume();
  }

  /** Stops timers; the session is left as it is. */
  stop(): void {
    this.#stop.abort();
    this.#link.close();
  }

  /** Gives the console back to the BMC and closes the session. Never throws. */
  async close(): Promise<void> {
    this.stop();
    await this.#session.execute(deactivatePayload, SOL_PAYLOAD, { deadlineMs: CLOSE_MS }).catch(() => undefined);
    await this.#session.close();
  }

  /** For a connection that is lost: one Close Session is sent and not waited for. */
  abandon(): Promise<void> {
    this.stop();
    return this.#session.abandon();
  }

  /** Never rejects. */
  async #keepAlive(intervalMs: number): Promise<void> {
    const { signal } = this.#stop;
    const watch = new SolWatch(this.#session, SOL_PAYLOAD);
    const life = startBudget(Number.POSITIVE_INFINITY, signal);
    for (let waitMs = Math.min(FIRST_WATCH_MS, intervalMs); ; waitMs = intervalMs) {
      await pause(waitMs, life);
      if (signal.aborted) return;
      try {
        const holder = await watch.ask({ maxSends: SENDS_BEFORE_LOST, signal });
        if (holder === "another") return this.#lost("another session has taken it", holder);
        if (holder === "nobody") return this.#lost("Serial over LAN is not active any more", holder);
      } catch (error) {
        if (isIpmiError(error, "Timeout")) return this.#end({ error, holder: "unknown" });
      }
    }
  }

  #lost(text: string, holder: SolEnd["holder"]): void {
    const { address, name } = this.#session.peer;
    const error = new IpmiError("Closed", `the serial console of ${name} is lost: ${text}`, {
      address,
      operation: "Serial over LAN",
    });
    this.#end({ error, holder });
  }
}

/** The interval of parameter 4, or a usual one if the BMC does not tell. */
async function configuredRetryMs(session: IpmiSession, budget: Budget): Promise<number> {
  const request = { channel: PRESENT_CHANNEL, parameter: SOL_PARAMETER.retry };
  try {
    const { data } = await session.execute(getSolConfiguration, request, limits(budget));
    const { intervalMs } = decodeSolRetry(data);
    return intervalMs === 0 ? DEFAULT_RETRY_MS : Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, intervalMs));
  } catch (error) {
    const isUnknown =
      error instanceof WireError || isIpmiError(error, "CompletionCode", "Protocol", "InsufficientPrivilege");
    if (isUnknown) return DEFAULT_RETRY_MS;
    throw error;
  }
}

/** Activates SOL; returns the characters that a packet to the BMC may hold. */
async function activate(session: IpmiSession, takeOver: boolean, budget: Budget): Promise<number> {
  const suite = session.cipherSuite === undefined ? undefined : CIPHER_SUITES.get(session.cipherSuite);
  if (suite === undefined) throw notV20Error(session);
  const { confidentiality, integrity } = suite.algorithms;
  const request = { ...SOL_PAYLOAD, encryption: confidentiality !== 0, authentication: integrity !== 0 };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { inboundPayloadBytes } = await session.execute(activatePayload, request, limits(budget));
      // Trap: the response names a UDP port, often wrongly (bytes swapped, or 623 behind an address translation); SOL stays here.
      return charactersOf(inboundPayloadBytes);
    } catch (error) {
      if (!isRefusal(error, PAYLOAD_ALREADY_ACTIVE)) throw error;
      if (!takeOver || attempt >= ACTIVATIONS) throw inUseError(session, error);
    }
    // It may have ended by itself just now.
    await unlessRefused(session.execute(deactivatePayload, SOL_PAYLOAD, limits(budget)));
    await pause(TAKE_OVER_PAUSE_MS, budget);
    if (budget.signal?.aborted) throw abortedError(session.peer, activatePayload.name, budget.signal);
  }
}

function notV20Error(session: IpmiSession): IpmiError {
  const { address, name } = session.peer;
  const operation = activatePayload.name;
  return new IpmiError("CipherSuite", `Serial over LAN of ${name} needs an IPMI 2.0 session`, { address, operation });
}

function inUseError(session: IpmiSession, cause: IpmiError): IpmiError {
  const { address, name } = session.peer;
  const text = `the serial console of ${name} is in use by another session; end that one, or take it over`;
  const { operation, completionCode } = cause;
  return new IpmiError("ConsoleInUse", text, { address, operation, completionCode, cause });
}

function limits(budget: Budget): CommandOptions {
  return { deadlineMs: Math.max(1, remainingMs(budget)), maxSends: SENDS_BEFORE_LOST, signal: budget.signal };
}
