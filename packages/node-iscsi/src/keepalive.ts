// Keepalive by NOP-Out (RFC 7143 11.18): finds a dead target while commands or nothing at all are outstanding.
import { type ErrorContext, IscsiError, TransportError } from "./errors.ts";

/** What is kept alive. */
export interface KeepaliveSubject {
  ping(deadlineMs: number): Promise<void>;
  destroy(error: IscsiError): void;
  contextOf(operation: string): ErrorContext;
}

/** Pings after an interval without received PDUs; an unanswered ping ends the connection. An interval of 0 turns it off. */
export class Keepalive {
  readonly #subject: KeepaliveSubject;
  readonly #deadlineMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** PDUs received so far: a count, because it is taken for every one of them. */
  #received = 0;
  #receivedAtTick = 0;

  constructor(subject: KeepaliveSubject, options: { keepaliveIntervalMs: number; keepaliveDeadlineMs: number }) {
    this.#subject = subject;
    this.#deadlineMs = options.keepaliveDeadlineMs;
    if (options.keepaliveIntervalMs <= 0) return;
    this.#timer = setInterval(() => this.#tick(), options.keepaliveIntervalMs);
    // The socket keeps the process alive as long as the session is open; the timer need not.
    this.#timer.unref();
  }

  /** Called for every received PDU: a talking target needs no ping. */
  noteTraffic(): void {
    this.#received += 1;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const receivedAtPing = this.#received;
    if (receivedAtPing !== this.#receivedAtTick) {
      this.#receivedAtTick = receivedAtPing;
      return;
    }
    this.#subject.ping(this.#deadlineMs).catch((cause) => {
      if (this.#timer === undefined) return;
      // A ping that was refused, say for too many immediate commands, shows a target that lives.
      if (cause instanceof IscsiError && cause.code === "Protocol") return;
      const reason = `the target did not answer a ping within ${this.#deadlineMs} ms`;
      // Trap: during a long upload the answer queues behind our data; what counts is that nothing at all came back.
      if (this.#received !== receivedAtPing && cause instanceof IscsiError && cause.code === "Timeout") return;
      this.#subject.destroy(new TransportError(reason, this.#subject.contextOf("keepalive"), cause));
    });
  }
}
