// The timeline of a deployment, from the driver's side: named steps with start, end and cause, in the log and in bm_events.
import type { EventRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";

/** Where the steps are kept. */
export interface EventSink {
  append(event: Pick<EventRecord, "source" | "step" | "kind" | "message"> & Partial<EventRecord>): Promise<unknown>;
}

/** Whose timeline it is. */
export interface TimelineSubject {
  readonly deploymentId: number | null;
  readonly nodeId: number;
  readonly instanceUuid: string | null;
}

/** Writes the steps of one deployment, or of one action on an instance. */
export class Timeline {
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #subject: TimelineSubject;

  constructor(sink: EventSink, clock: Clock, logger: Logger, subject: TimelineSubject) {
    this.#sink = sink;
    this.#clock = clock;
    this.#subject = subject;
    this.#log = logger.child({
      node: subject.nodeId,
      ...(subject.instanceUuid === null ? {} : { instance: subject.instanceUuid }),
      ...(subject.deploymentId === null ? {} : { deployment: subject.deploymentId }),
    });
  }

  /** Runs `work` as the step `name`; its failure is recorded and thrown on. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const start = this.#clock.now();
    await this.#append(name, "start", name, {});
    try {
      const value = await work();
      const durationMs = this.#clock.now() - start;
      this.#log.info(`${name}: done in ${durationMs} ms`);
      await this.#append(name, "end", name, { durationMs });
      return value;
    } catch (error) {
      await this.fail(name, error, this.#clock.now() - start);
      throw error;
    }
  }

  /** A fact worth keeping that is no step. */
  async note(name: string, message: string, data: Record<string, unknown> = {}): Promise<void> {
    this.#log.info(`${name}: ${message}`, data);
    await this.#append(name, "info", message, data);
  }

  async fail(name: string, error: unknown, durationMs?: number): Promise<void> {
    this.#log.error(`${name}: ${describeError(error)}`);
    await this.#append(name, "error", describeError(error), durationMs === undefined ? {} : { durationMs });
  }

  async #append(
    step: string,
    kind: EventRecord["kind"],
    message: string,
    data: Record<string, unknown>,
  ): Promise<void> {
    try {
      await this.#sink.append({ ...this.#subject, source: "driver", step, kind, message, data });
    } catch (error) {
      // A lost line of history must not fail, or hide the failure of, the work it tells of.
      this.#log.warn(`could not keep the event "${step}": ${describeError(error)}`);
    }
  }
}
