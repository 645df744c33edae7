// Requests that are answered by one PDU with the same Initiator Task Tag: NOP-Out, task management, logout, text.
import { listenForAbort } from "./abort-listener.ts";
import { timerMs } from "./deadline.ts";
import { AbortedError, type ErrorContext, type IscsiError, TimeoutError } from "./errors.ts";

interface Exchange {
  readonly context: ErrorContext;
  resolve(answer: { header: Buffer; data: Buffer }): void;
  reject(error: IscsiError): void;
}

/** Table of open requests; each ends by an answer, a Reject, its deadline, its signal, or the end of the connection. */
export class Exchanges {
  readonly #open = new Map<number, Exchange>();

  has(tag: number): boolean {
    return this.#open.has(tag);
  }

  /** Waits for the answer to `tag`. */
  open(
    tag: number,
    context: ErrorContext,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<{ header: Buffer; data: Buffer }> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => exchange.reject(new TimeoutError(deadlineMs, context)), timerMs(deadlineMs));
      let unlisten: () => void = () => undefined;
      const finish = () => {
        clearTimeout(timer);
        unlisten();
        this.#open.delete(tag);
      };
      const exchange: Exchange = {
        context,
        resolve: (answer) => {
          finish();
          resolve(answer);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      this.#open.set(tag, exchange);
      unlisten = listenForAbort(signal, () => exchange.reject(new AbortedError(context, signal?.reason)));
    });
  }

  /** Hands over an answer; an unknown tag is an answer that came after its deadline and is dropped. */
  resolve(tag: number, header: Buffer, data: Buffer): void {
    this.#open.get(tag)?.resolve({ header: Buffer.from(header), data });
  }

  reject(tag: number, error: (context: ErrorContext) => IscsiError): void {
    const exchange = this.#open.get(tag);
    exchange?.reject(error(exchange.context));
  }

  failAll(error: IscsiError): void {
    for (const exchange of [...this.#open.values()]) exchange.reject(error);
  }
}
