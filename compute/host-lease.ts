// The lease of a compute host: one process at a time works for it, so that no recovery undoes what another one builds.
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { ServiceRepository } from "../db/services.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";

const BINARY = "nova-compute";

export interface HostLeaseOptions {
  readonly host: string;
  readonly services: Pick<ServiceRepository, "takeLease" | "dropLease">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a process that was killed keeps the host; renewed three times as often. */
  readonly ttlMs: number;
  /** Called once, when another process has the lease: this one must stop. */
  readonly onLost: (error: BaremetalError) => void;
}

/** A lease that is held, and renewed until `close`, which gives it up. */
export class HostLease {
  readonly #options: HostLeaseOptions;
  readonly #holder: string;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  private constructor(options: HostLeaseOptions, holder: string) {
    this.#options = options;
    this.#holder = holder;
    this.#loop = this.#renew();
  }

  /**
   * Takes the lease; one that a killed process left is waited for until it expires.
   * @throws BaremetalError `Conflict` if another process renews it meanwhile: it lives; `Cancelled` by the signal
   */
  static async take(options: HostLeaseOptions, signal: AbortSignal): Promise<HostLease> {
    const { host, services, clock, logger, ttlMs } = options;
    const holder = `${hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;
    let first: Date | undefined;
    for (;;) {
      const other = await services.takeLease(host, BINARY, holder, ttlMs);
      if (other === undefined) return new HostLease(options, holder);
      if (first === undefined) {
        first = other.expiresAt;
        const until = first.toISOString();
        logger.warn(
          `host ${host} was served by process ${other.holder}; waiting until ${until} for its lease to expire`,
        );
      } else if (other.expiresAt.getTime() !== first.getTime()) {
        throw taken(host, other.holder);
      }
      await clock.sleep(Math.min(1000, ttlMs / 10), signal);
    }
  }

  /** Ends the renewals and gives the lease up, for the next process to start at once. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    const { host, services, logger } = this.#options;
    await services.dropLease(host, BINARY, this.#holder).catch((error: unknown) => {
      logger.warn(`the lease of host ${host} is left to expire: ${describeError(error)}`);
    });
  }

  async #renew(): Promise<void> {
    const { host, services, clock, logger, ttlMs, onLost } = this.#options;
    for (;;) {
      try {
        await clock.sleep(ttlMs / 3, this.#stop.signal);
      } catch {
        return;
      }
      try {
        const other = await services.takeLease(host, BINARY, this.#holder, ttlMs);
        if (other !== undefined) return onLost(taken(host, other.holder));
      } catch (error) {
        logger.warn(`the lease of host ${host} could not be renewed: ${describeError(error)}`);
      }
    }
  }
}

function taken(host: string, holder: string): BaremetalError {
  return new BaremetalError(
    "Conflict",
    `host ${host} is served by another baremetal-compute, process ${holder} (machine:pid:id); stop one of them, or give it another [DEFAULT] host`,
    { data: { kind: "host", id: host, holder } },
  );
}
