// One question and its answer over a network that loses datagrams: send, wait, send again with back-off.
import { type Budget, remainingMs } from "./budget.ts";
import { IpmiError, type Peer } from "./errors.ts";
import type { Transport } from "./transport.ts";

export interface ExchangeRequest<T> {
  /** The specification's name of what is sent, for errors. */
  readonly operation: string;
  /** Sends the datagram for the `attempt`-th time, from 0. */
  send(attempt: number): void;
  /** Starts listening; the answer goes to `resolve`, a final refusal to `reject`. Returns what stops it. */
  listen(resolve: (answer: T) => void, reject: (error: IpmiError) => void): () => void;
  /** Sends before giving up; the budget may end it sooner. Default: only the budget ends it. */
  readonly maxSends?: number | undefined;
  /** Longest wait between sends; see `SessionOptions.retransmitMs`. */
  readonly retransmitMs: number;
}

const FIRST_WAIT = 0.3;
const JITTER = 0.1;

/** The wait after the `attempt`-th send: 0.3, 0.6, 1, 1, ... of `retransmitMs`, 10% up or down so that many callers spread. */
export function waitAfterSend(attempt: number, retransmitMs: number, random: () => number = Math.random): number {
  const wait = Math.min(retransmitMs, retransmitMs * FIRST_WAIT * 2 ** Math.min(attempt, 10));
  return wait * (1 - JITTER + 2 * JITTER * random());
}

/** The error for an operation whose signal fired. */
export function abortedError(transport: Peer, operation: string, signal?: AbortSignal): IpmiError {
  return new IpmiError("Aborted", `${operation} to ${transport.name} was given up on request`, {
    address: transport.address,
    operation,
    cause: signal?.reason,
  });
}

/** Resolves with the answer; `Timeout` after `maxSends` or the budget's end, `Aborted` when its signal fires. */
export function exchange<T>(transport: Transport, request: ExchangeRequest<T>, budget: Budget): Promise<T> {
  const { operation, retransmitMs } = request;
  const maxSends = request.maxSends ?? Number.POSITIVE_INFINITY;
  if (budget.signal?.aborted) return Promise.reject(abortedError(transport, operation, budget.signal));
  return new Promise<T>((resolve, reject) => {
    let sends = 0;
    let timer: NodeJS.Timeout | undefined;
    const start = performance.now();
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      stopListening();
      budget.signal?.removeEventListener("abort", onAbort);
      act();
    };
    const onAbort = (): void => settle(() => reject(abortedError(transport, operation, budget.signal)));
    const stopListening = request.listen(
      (answer) => settle(() => resolve(answer)),
      (error) => settle(() => reject(error)),
    );
    const giveUp = (): void => {
      const ms = Math.round(performance.now() - start);
      settle(() => reject(noAnswerError(transport, operation, sends, ms)));
    };
    const sendAgain = (): void => {
      const left = remainingMs(budget);
      if (left <= 0 || sends >= maxSends) {
        giveUp();
        return;
      }
      request.send(sends);
      timer = setTimeout(sendAgain, Math.min(left, waitAfterSend(sends, retransmitMs)));
      sends += 1;
    };
    budget.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      sendAgain();
    } catch (error) {
      // What cannot be sent, such as a request that is too long, must leave nothing behind.
      settle(() => reject(error));
    }
  });
}

function noAnswerError(transport: Transport, operation: string, sends: number, ms: number): IpmiError {
  const reported = transport.lastError === undefined ? "" : `; the network reported ${transport.lastError}`;
  const count = sends === 1 ? "1 datagram" : `${sends} datagrams`;
  const text = `no answer from ${transport.name} to ${operation} within ${ms} ms (${count} sent${reported})`;
  return new IpmiError("Timeout", text, { address: transport.address, operation });
}
