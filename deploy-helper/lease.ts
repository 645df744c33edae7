// Holding a job: renews its lease with progress, and aborts the work when the lease is lost or a cancel is asked for.
import { setMaxListeners } from "node:events";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Progress } from "./timeline.ts";

/** Where leases live. */
export interface LeaseStore {
  renew(
    id: number,
    holder: string,
    leaseMs: number,
    progress: Progress,
  ): Promise<{ cancelRequested: boolean } | undefined>;
}

export interface LeaseOptions {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly id: number;
  readonly holder: string;
  readonly leaseMs: number;
  readonly progress: () => Progress;
}

/** Why work was stopped; `lost` means that nothing of it may be written any more, not even its failure. */
export type StopReason = "lost" | "cancelled" | "deadline" | "shutdown";

/** A lost lease or a shutdown after a cancel must still end the attempts to write that cancel's end. */
const STRENGTH: Readonly<Record<StopReason, number>> = { cancelled: 0, deadline: 0, shutdown: 1, lost: 2 };
/** Renewed at least three times a lease, and often enough to follow. */
const MAX_INTERVAL_MS = 2000;
/** Without a renewal for this share of the lease we stop: before anybody else may start. */
const SAFE_SHARE = 0.7;

/** A held lease. `signal` aborts when the work must stop; `stopped` tells why. */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #controller = new AbortController();
  readonly #end = new AbortController();
  readonly #loop: Promise<void>;
  #renewedAt: number;
  #stopped: StopReason | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#renewedAt = options.clock.now();
    // Every write in flight listens; that is no leak.
    setMaxListeners(0, this.#controller.signal);
    this.#loop = this.#keep();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get stopped(): StopReason | undefined {
    return this.#stopped;
  }

  /** Tells the work to stop. The signal keeps its first reason; `stopped` follows the strongest, see {@link STRENGTH}. */
  stop(reason: StopReason, message: string, code: "Cancelled" | "DeadlineExceeded" = "Cancelled"): void {
    if (this.#stopped !== undefined && STRENGTH[this.#stopped] >= STRENGTH[reason]) return;
    this.#stopped = reason;
    this.#controller.abort(new BaremetalError(code, message, { data: { step: this.#options.progress().step } }));
  }

  /** Ends the renewals; the lease itself is the caller's to give up. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#loop;
  }

  async #keep(): Promise<void> {
    const { clock, leaseMs, logger, id } = this.#options;
    const intervalMs = Math.min(leaseMs / 3, MAX_INTERVAL_MS);
    while (!this.#end.signal.aborted && this.#stopped !== "lost") {
      try {
        await clock.sleep(intervalMs, this.#end.signal);
      } catch {
        return;
      }
      try {
        await this.#renew();
      } catch (error) {
        logger.warn(`the lease of deployment ${id} could not be renewed: ${describeError(error)}`);
      }
      if (clock.now() - this.#renewedAt >= leaseMs * SAFE_SHARE) {
        this.stop("lost", `the lease of deployment ${id} could not be renewed in time; another helper may take it`);
      }
    }
  }

  async #renew(): Promise<void> {
    const { store, clock, id, holder, leaseMs, progress } = this.#options;
    const startedAt = clock.now();
    const guard = new AbortController();
    const tooLate = clock
      .sleep(
        Math.max(1, leaseMs * SAFE_SHARE - (startedAt - this.#renewedAt)),
        AbortSignal.any([guard.signal, this.#end.signal]),
      )
      .then(
        () => "late" as const,
        () => "ended" as const,
      );
    // A database that hangs must not keep us writing past our lease.
    const renewal = store.renew(id, holder, leaseMs, progress());
    renewal.catch(() => {});
    try {
      const answer = await Promise.race([renewal, tooLate]);
      if (answer === "late" || answer === "ended") return;
      if (answer === undefined) {
        this.stop("lost", `deployment ${id} was taken from this helper: it was ended, or another helper has it`);
        return;
      }
      this.#renewedAt = startedAt;
      if (answer.cancelRequested) this.stop("cancelled", `deployment ${id} was cancelled`);
    } finally {
      guard.abort();
    }
  }
}
