// The timeline of a deployment, from the helper's side: named steps with start, end, bytes and cause, in log and bm_events.
import type { DeploymentRecord, EventRecord } from "../db/records.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";

/** Where the steps are kept. */
export interface EventSink {
  append(event: Pick<EventRecord, "source" | "step" | "kind" | "message"> & Partial<EventRecord>): Promise<unknown>;
}

/** What a lease renewal writes into the row. */
export interface Progress {
  readonly step: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

const SOURCE = "deploy-helper";

/** Runs and records the steps of one deployment; knows where it stands. */
export class Timeline {
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #subject: Pick<EventRecord, "deploymentId" | "nodeId" | "instanceUuid">;
  readonly #stepMs: Record<string, number> = {};
  #progress: Progress = { step: "claimed", bytesDone: 0, bytesTotal: 0 };

  constructor(sink: EventSink, clock: Clock, logger: Logger, row: DeploymentRecord) {
    this.#sink = sink;
    this.#clock = clock;
    this.#subject = { deploymentId: row.id, nodeId: row.nodeId, instanceUuid: row.instanceUuid };
    this.#log = logger.child({ deployment: row.id, node: row.nodeId, instance: row.instanceUuid });
  }

  get progress(): Progress {
    return this.#progress;
  }

  /** Milliseconds per finished step. */
  get stepMs(): Readonly<Record<string, number>> {
    return this.#stepMs;
  }

  setBytes(bytesDone: number, bytesTotal: number): void {
    this.#progress = { ...this.#progress, bytesDone, bytesTotal };
  }

  /** Runs `work` as the step `name`; facts that it returns under `data` go into the end event. Failures are thrown on. */
  async step<T>(name: string, work: () => Promise<T>, factsOf?: (value: T) => Record<string, unknown>): Promise<T> {
    this.#progress = { ...this.#progress, step: name };
    const start = this.#clock.now();
    await this.#append(name, "start", name, {});
    try {
      const value = await work();
      const durationMs = this.#clock.now() - start;
      this.#stepMs[name] = durationMs;
      const facts = factsOf?.(value) ?? {};
      this.#log.info(`${name}: done in ${durationMs} ms`, facts);
      await this.#append(name, "end", name, { durationMs, ...facts });
      return value;
    } catch (error) {
      const durationMs = this.#clock.now() - start;
      this.#log.error(`${name}: ${describeError(error)}`);
      await this.#append(name, "error", describeError(error), { durationMs });
      throw error;
    }
  }

  /** A fact worth keeping that is no step. */
  async note(name: string, kind: "info" | "error", message: string, data: Record<string, unknown> = {}): Promise<void> {
    this.#log[kind](`${name}: ${message}`, data);
    await this.#append(name, kind, message, data);
  }

  async #append(
    step: string,
    kind: EventRecord["kind"],
    message: string,
    data: Record<string, unknown>,
  ): Promise<void> {
    try {
      await this.#sink.append({ ...this.#subject, source: SOURCE, step, kind, message, data });
    } catch (error) {
      // A lost line of history must not fail, or hide the failure of, the work it tells of.
      this.#log.warn(`could not keep the event "${step}": ${describeError(error)}`);
    }
  }
}
