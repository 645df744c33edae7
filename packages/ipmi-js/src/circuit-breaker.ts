// A circuit breaker for one BMC: who does not answer is asked less and less often, until it answers.

/** Options of a {@link CircuitBreaker}. */
export interface CircuitBreakerOptions {
  /** Operations in a row without any answer after which the BMC counts as dead. Default 3. */
  readonly failures?: number;
  /** How long a dead BMC is left alone at first, in milliseconds; doubled with each further failure. Default 2000. */
  readonly coolDownMs?: number;
  /** The longest it is left alone, in milliseconds. Default 30000. */
  readonly longestCoolDownMs?: number;
}

const JITTER = 0.1;

/** Counts failures; times are those of `performance.now()`, and given by the caller. */
export class CircuitBreaker {
  readonly #limit: number;
  readonly #coolDownMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #failures = 0;
  #openUntil = 0;

  constructor(options: CircuitBreakerOptions = {}, random: () => number = Math.random) {
    this.#limit = options.failures ?? 3;
    this.#coolDownMs = options.coolDownMs ?? 2000;
    this.#longestMs = options.longestCoolDownMs ?? 30_000;
    this.#random = random;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** Milliseconds until the BMC may be asked again; 0: now. After that time one operation is the probe. */
  waitMs(now: number): number {
    return Math.max(0, this.#openUntil - now);
  }

  /** Any answer, a refusal too, shows that it lives. */
  succeeded(): void {
    this.#failures = 0;
    this.#openUntil = 0;
  }

  /** An operation ended without an answer. */
  failed(now: number): void {
    this.#failures += 1;
    const beyond = this.#failures - this.#limit;
    if (beyond < 0) return;
    const coolDown = Math.min(this.#longestMs, this.#coolDownMs * 2 ** Math.min(beyond, 20));
    // 10% up or down: a switch that takes a rack with it must not bring all of its BMCs back in one instant.
    this.#openUntil = now + coolDown * (1 - JITTER + 2 * JITTER * this.#random());
  }
}
