// Records what instances write to their serial consoles, from before their machine is switched on until they are destroyed.
import { join } from "node:path";
import type { NodeRepository } from "../../db/nodes.ts";
import type { NodeRecord } from "../../db/records.ts";
import type { Clock } from "../../lib/clock.ts";
import { describeError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { hasSameBmc } from "../power/power-control.ts";
import { ConsoleLog, readConsoleLog, removeConsoleLog } from "./console-log.ts";
import { Recording } from "./recording.ts";
import type { SerialLines } from "./serial-lines.ts";

/** What the driver asks of the consoles. Nothing here may hurt a deployment. */
export interface Consoles {
  /** Starts to record, and waits until it does or cannot, some seconds at most. Never rejects. */
  start(node: NodeRecord, instanceUuid: string, note: (text: string) => Promise<void>): Promise<void>;
  /** Ends the recording; what was recorded stays. Never rejects. */
  stop(instanceUuid: string): Promise<void>;
  /** Ends the recording and removes its file. Never rejects. */
  remove(instanceUuid: string): Promise<void>;
  /** The last `lines` lines, or all that is told; empty if nothing was recorded. */
  read(instanceUuid: string, lines: number | undefined): Promise<string>;
}

export interface ConsoleRecorderOptions {
  readonly host: string;
  readonly folder: string;
  /** Of a log file; one older file of the same size is kept. */
  readonly maxFileBytes: number;
  /** False: logs are read and removed, nothing is recorded. */
  readonly isRecording: boolean;
  readonly nodes: Pick<NodeRepository, "get" | "list">;
  readonly lines: SerialLines;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A BMC that does not answer holds up a deployment for so long. */
const START_WAIT_MS = 5000;
const SYNC_INTERVAL_MS = 30_000;
/** Consoles that are being opened at a time, when there are many to take up. */
const MAX_OPENING = 32;

/** The consoles of one compute host. */
export class ConsoleRecorder implements Consoles {
  readonly #options: ConsoleRecorderOptions;
  readonly #recordings = new Map<string, Recording>();
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: ConsoleRecorderOptions) {
    this.#options = options;
  }

  /** Takes up the recordings of all associated nodes, now and as they come and go. */
  follow(): void {
    if (this.#options.isRecording) this.#loop = this.#follow();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#loop, ...[...this.#recordings.keys()].map((uuid) => this.stop(uuid))]);
  }

  async start(node: NodeRecord, instanceUuid: string, note: (text: string) => Promise<void>): Promise<void> {
    // More than once if the look at all nodes comes in between.
    while (this.#recordings.has(instanceUuid)) await this.stop(instanceUuid);
    const recording = this.#record(node.id, instanceUuid, true, note);
    if (recording === undefined) return;
    const waited = new AbortController();
    const limit = this.#options.clock.sleep(START_WAIT_MS, waited.signal).catch(() => {});
    await Promise.race([recording.tried, limit]);
    waited.abort();
  }

  async stop(instanceUuid: string): Promise<void> {
    const recording = this.#recordings.get(instanceUuid);
    this.#recordings.delete(instanceUuid);
    await recording?.stop();
  }

  async remove(instanceUuid: string): Promise<void> {
    await this.stop(instanceUuid);
    await removeConsoleLog(this.#path(instanceUuid)).catch((error: unknown) => {
      this.#options.logger.warn(`the console log of instance ${instanceUuid} stays: ${describeError(error)}`);
    });
  }

  read(instanceUuid: string, lines: number | undefined): Promise<string> {
    return readConsoleLog(this.#path(instanceUuid), lines);
  }

  #path(instanceUuid: string): string {
    return join(this.#options.folder, `${instanceUuid}.console.log`);
  }

  #record(
    nodeId: number,
    instanceUuid: string,
    takeOver: boolean,
    note: (text: string) => Promise<void>,
  ): Recording | undefined {
    const { nodes, lines, clock, maxFileBytes, isRecording } = this.#options;
    if (!isRecording || this.#stop.signal.aborted) return undefined;
    const node = async () => {
      const now = await nodes.get(nodeId);
      return now?.instanceUuid === instanceUuid ? now : undefined;
    };
    const log = new ConsoleLog(this.#path(instanceUuid), maxFileBytes);
    const recording = new Recording({ node, lines, log, clock, takeOver, note });
    this.#recordings.set(instanceUuid, recording);
    return recording;
  }

  async #follow(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#sync().catch((error: unknown) => logger.error(`console recorder: ${describeError(error)}`));
      await clock.sleep(SYNC_INTERVAL_MS, signal).catch(() => {});
    }
  }

  async #sync(): Promise<void> {
    const { nodes, host, logger } = this.#options;
    const list = () => nodes.list({ serviceHost: host, associated: true });
    const carrying = new Map<string, NodeRecord>();
    for (const node of await list()) {
      // A node in error is being taken from its instance: its recording has ended, or ends with that.
      if (node.instanceUuid !== null && node.taskState !== "error") carrying.set(node.instanceUuid, node);
    }
    const ended = [...this.#recordings.keys()].filter((uuid) => !carrying.has(uuid));
    if (ended.length > 0) {
      // Read again: a spawn may have begun since the list was made.
      const carried = new Set((await list()).map(({ instanceUuid }) => instanceUuid));
      for (const uuid of ended) if (!carried.has(uuid)) await this.stop(uuid);
    }
    const opening = new Set<Promise<unknown>>();
    for (const [uuid, node] of carrying) {
      // Trap: the old address may be another machine's by now, and what it writes another tenant's.
      const target = this.#recordings.get(uuid)?.target;
      if (target !== undefined && !hasSameBmc(target, node)) await this.stop(uuid);
      if (this.#recordings.has(uuid)) continue;
      const recording = this.#record(node.id, uuid, false, async (text) => {
        logger.warn(`instance ${uuid}: ${text}`, { instance: uuid, node: node.id });
      });
      if (recording === undefined) return;
      opening.add(recording.tried);
      void recording.tried.then(() => opening.delete(recording.tried));
      if (opening.size >= MAX_OPENING) await Promise.race(opening);
    }
  }
}
