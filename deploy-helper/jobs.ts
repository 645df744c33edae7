// The persistent queue: claims rows, runs some at a time under leases, hands back or resumes what a dead helper left (R3, R4).
import type { DeploymentRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type DeploymentOutcome, writtenOutcome } from "./deployment.ts";
import { Lease, type LeaseStore } from "./lease.ts";
import { type EventSink, Timeline } from "./timeline.ts";

/** The rows. */
export interface JobStore extends LeaseStore {
  claim(holder: string, leaseMs: number): Promise<DeploymentRecord | undefined>;
  complete(id: number, holder: string, outcome: DeploymentOutcome): Promise<boolean>;
  markWritten(id: number, holder: string, outcome: DeploymentOutcome): Promise<boolean>;
  fail(id: number, holder: string | null, error: string, code?: string): Promise<boolean>;
  /** Gives up the lease of a deployment that somebody else ended. */
  letGo(id: number, holder: string): Promise<void>;
}

export interface JobQueueOptions {
  readonly store: JobStore;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Names this process in the rows; unique among all processes, ever. */
  readonly name: string;
  readonly workers: number;
  readonly leaseMs: number;
  /** For one job, from its claim; 0: none. */
  readonly jobDeadlineMs: number;
  readonly pollMs: number;
  /** `markWritten` keeps the outcome before the node is told; it throws when the job is not ours any more. */
  readonly run: (
    row: DeploymentRecord,
    timeline: Timeline,
    signal: AbortSignal,
    markWritten: (outcome: DeploymentOutcome) => Promise<void>,
  ) => Promise<DeploymentOutcome>;
}

/** A job that killed its helper so often is not tried again. */
const MAX_ATTEMPTS = 5;

export class JobQueue {
  readonly #options: JobQueueOptions;
  readonly #running = new Map<Promise<void>, Lease>();
  readonly #loop: Promise<void>;
  #isClosing = false;
  #isWoken = false;
  #wake = new AbortController();
  #claims = 0;

  constructor(options: JobQueueOptions) {
    this.#options = options;
    this.#loop = this.#work();
  }

  /** Looks for work now rather than at the next poll. */
  wake(): void {
    this.#isWoken = true;
    this.#wake.abort();
  }

  /** Takes no more work; lets running jobs finish for `drainMs`, then stops them and gives their leases to other helpers. */
  async close(drainMs: number): Promise<void> {
    this.#isClosing = true;
    this.wake();
    await this.#loop;
    const drained = new AbortController();
    const timeout = this.#options.clock.sleep(drainMs, drained.signal).then(
      () => {
        for (const lease of this.#running.values()) lease.stop("shutdown", "this deploy helper is shutting down");
      },
      () => {},
    );
    while (this.#running.size > 0) await Promise.race(this.#running.keys());
    drained.abort();
    await timeout;
  }

  async #work(): Promise<void> {
    const { workers, clock, pollMs } = this.#options;
    while (!this.#isClosing) {
      const hasRoom = this.#running.size < workers;
      if (hasRoom && (await this.#claim())) continue;
      if (this.#isWoken && hasRoom) {
        // Woken while we looked: look again.
        this.#resetWake();
        continue;
      }
      try {
        if (!this.#isClosing) await clock.sleep(pollMs, this.#wake.signal);
      } catch {
        // Woken.
      }
      this.#resetWake();
    }
  }

  #resetWake(): void {
    this.#isWoken = false;
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
  }

  async #claim(): Promise<boolean> {
    const { store, leaseMs, logger, name } = this.#options;
    // A holder per claim: a job that we lose and get again must not look like the one we lost.
    const holder = `${name}/${++this.#claims}`;
    try {
      const row = await store.claim(holder, leaseMs);
      if (row === undefined) return false;
      this.#start(row, holder);
      return true;
    } catch (error) {
      logger.warn(`could not look for work: ${describeError(error)}`);
      return false;
    }
  }

  #start(row: DeploymentRecord, holder: string): void {
    const { store, events, clock, logger, leaseMs } = this.#options;
    const timeline = new Timeline(events, clock, logger, row);
    const lease = new Lease({ store, clock, logger, id: row.id, holder, leaseMs, progress: () => timeline.progress });
    const job: Promise<void> = this.#runJob(row, holder, lease, timeline)
      .catch((error: unknown) => logger.error(`deployment ${row.id}: ${describeError(error)}`))
      .finally(async () => {
        await lease.end();
        // If the driver ended the deployment meanwhile, its undo waits for us.
        await store.letGo(row.id, holder).catch((error: unknown) => {
          logger.warn(
            `deployment ${row.id}: the lease could not be given up, it will run out: ${describeError(error)}`,
          );
        });
        this.#running.delete(job);
        this.wake();
      });
    this.#running.set(job, lease);
  }

  async #runJob(row: DeploymentRecord, holder: string, lease: Lease, timeline: Timeline): Promise<void> {
    const { run, store } = this.#options;
    const finished = new AbortController();
    const deadline = this.#watchDeadline(row, lease, finished.signal);
    try {
      const isWritten = writtenOutcome(row) !== undefined;
      if (row.attempts > MAX_ATTEMPTS && !isWritten) {
        await this.#fail(
          row,
          holder,
          lease,
          timeline,
          `given up: ${MAX_ATTEMPTS} attempts of the deploy helper ended without an end`,
        );
        return;
      }
      const rest = isWritten ? "the disk is written, the node remains to be told" : "starting the write again";
      const text = row.attempts > 1 ? `attempt ${row.attempts}: the helper before did not finish; ${rest}` : "claimed";
      await timeline.note("claim", "info", text, { holder, attempt: row.attempts });
      const outcome = await run(row, timeline, lease.signal, (written) =>
        this.#markWritten(row, holder, lease, written),
      );
      const isOurs = await this.#insist(lease, () => store.complete(row.id, holder, outcome));
      if (isOurs) await timeline.note("deploy complete", "info", "the image is on the disk", outcome.result);
      else
        await timeline.note(
          "deploy complete",
          "error",
          "the deployment was ended by somebody else before it was complete",
        );
    } catch (error) {
      const code = error instanceof BaremetalError ? error.code : undefined;
      await this.#fail(row, holder, lease, timeline, describeError(error), code);
    } finally {
      finished.abort();
      await deadline;
    }
  }

  async #markWritten(row: DeploymentRecord, holder: string, lease: Lease, outcome: DeploymentOutcome): Promise<void> {
    const isOurs = await this.#insist(lease, () => this.#options.store.markWritten(row.id, holder, outcome));
    if (!isOurs) lease.stop("lost", `deployment ${row.id} was taken from this helper before its node was told`);
    lease.signal.throwIfAborted();
  }

  async #fail(
    row: DeploymentRecord,
    holder: string,
    lease: Lease,
    timeline: Timeline,
    cause: string,
    code?: string,
  ): Promise<void> {
    const { store } = this.#options;
    if (lease.stopped === "lost") {
      await timeline.note("stopped", "info", cause);
      return;
    }
    if (lease.stopped === "shutdown") {
      // A lease of no length: the next helper that looks takes the job.
      await store.renew(row.id, holder, 0, timeline.progress);
      await timeline.note("handed back", "info", "this helper is shutting down; another one will begin again");
      return;
    }
    const isOurs = await this.#insist(lease, () => store.fail(row.id, holder, cause, code));
    if (isOurs) await timeline.note("deploy failed", "error", cause);
  }

  /** Writes what must not be missed; while the database is away, tries again for as long as the lease is ours. */
  async #insist(lease: Lease, write: () => Promise<boolean>): Promise<boolean> {
    const { clock, logger } = this.#options;
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (lease.stopped === "lost" || lease.stopped === "shutdown") throw error;
        logger.warn(`the end of a deployment could not be written: ${describeError(error)}`);
      }
      await clock.sleep(500);
    }
  }

  async #watchDeadline(row: DeploymentRecord, lease: Lease, finished: AbortSignal): Promise<void> {
    const { clock, jobDeadlineMs } = this.#options;
    if (jobDeadlineMs <= 0) return;
    try {
      await clock.sleep(jobDeadlineMs, finished);
      lease.stop("deadline", `deployment ${row.id} took longer than ${jobDeadlineMs} ms`, "DeadlineExceeded");
    } catch {
      // The job ended in time.
    }
  }
}
