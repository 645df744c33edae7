// The power sync of one compute host: every node's real power is seen, differences are put right.
import { setMaxListeners } from "node:events";
import type { PowerReport } from "../../db/node-power.ts";
import type { NodeRepository } from "../../db/nodes.ts";
import type { InstancePowerState, NodePower, NodeRecord } from "../../db/records.ts";
import type { Clock } from "../../lib/clock.ts";
import { describeError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { PowerControls } from "../power/power-control.ts";
import { isAmiss, isAtRest, reportOfAnswer, reportOfSilence } from "./judgement.ts";
import { type Look, type LookEnd, LookSchedule } from "./look-schedule.ts";
import { LookTally, type ScheduleState } from "./look-tally.ts";
import { NO_ACTS, Roster, type Watch } from "./roster.ts";

/** The compute side's part: its rows, and what it does when a machine's power is not theirs. */
export interface InstancePowers {
  /** Instances of this host with an id above `afterId`, by id. */
  list(afterId: number, limit: number): Promise<InstancePowerState[]>;
  /**
   * Puts the row of an instance right again, or its machine. False: the row was written since `sinceMs`, or is in work;
   * nothing was done.
   */
  sync(instanceUuid: string, isOn: boolean, sinceMs: number): Promise<boolean>;
}

export interface PowerSyncParts {
  readonly host: string;
  readonly nodes: Pick<NodeRepository, "listPower" | "get" | "notePower">;
  readonly instances: InstancePowers;
  readonly power: Pick<PowerControls, "for" | "forgetOthers">;
  /** True while an action of this process works on the node. */
  readonly isBusy: (nodeId: number) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PowerSyncOptions {
  /** Between two looks at a node. */
  readonly intervalMs: number;
  /** Most looks under way at once. */
  readonly maxInFlight: number;
  /** Looks in a row without an answer until the node gets a power fault. */
  readonly maxFailures: number;
  /** Of one look. */
  readonly lookDeadlineMs: number;
  /** The power sync is switched off: only nodes with a power fault are looked at, until their BMC answers again. */
  readonly isFaultsOnly?: boolean;
  /** See LookScheduleOptions. */
  readonly random?: () => number;
}

/** The rows are read this many times in an interval. */
const REFRESHES = 4;
/** A machine that is reset, or whose firmware is updated, may be off for some seconds: the second look comes later than that. */
const CONFIRM_MS = 30_000;
const TICK_MIN_MS = 50;
const TICK_MAX_MS = 250;
/** An action that does not help is repeated after 1, 2, 4, ... intervals, at most so many. */
const MAX_ACT_INTERVALS = 10;

/** A periodic task of one compute host; `close` ends it and waits for the looks under way. */
export class PowerSync {
  readonly #parts: PowerSyncParts;
  readonly #options: PowerSyncOptions;
  readonly #schedule: LookSchedule;
  readonly #roster: Roster;
  readonly #tally = new LookTally();
  readonly #stop = new AbortController();
  readonly #looks = new Set<Promise<void>>();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(parts: PowerSyncParts, options: PowerSyncOptions) {
    this.#parts = parts;
    this.#options = options;
    // Every look listens to it.
    setMaxListeners(0, this.#stop.signal);
    this.#schedule = new LookSchedule(options);
    const source = {
      listNodes: (afterId: number, limit: number) => parts.nodes.listPower(parts.host, afterId, limit),
      listInstances: (afterId: number, limit: number) => parts.instances.list(afterId, limit),
      onListed: (nodeIds: ReadonlySet<number>) => parts.power.forgetOthers(nodeIds),
    };
    this.#roster = new Roster(source, this.#schedule, options.isFaultsOnly);
  }

  /** How it stands now, and what it has counted since its start: looks with and without an answer, turns missed, actions. */
  get numbers(): Readonly<ScheduleState & LookTally["totals"]> {
    const { size: nodes, inFlight, failing, missed } = this.#schedule;
    return { nodes, inFlight, failing, missed, ...this.#tally.totals };
  }

  /** Begins. Each node's first look is within one interval. */
  start(): void {
    const { intervalMs } = this.#options;
    this.#loops = Promise.all([
      this.#repeat(intervalMs / REFRESHES, () => this.#refresh()),
      this.#tick(),
      this.#repeat(intervalMs, async () => this.#report()),
    ]);
  }

  /** Begins no more looks, calls off those under way and waits for what they write. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
    await Promise.all(this.#looks);
  }

  /** Reads which nodes there are. A database that is away leaves what is known as it is. */
  async #refresh(): Promise<void> {
    const { clock, logger } = this.#parts;
    await this.#roster
      .refresh(() => clock.now())
      .catch((error: unknown) => logger.warn(`power sync: the nodes could not be read: ${describeError(error)}`));
  }

  /** Begins the looks that are due now. */
  #beginLooks(): void {
    if (this.#stop.signal.aborted) return;
    for (const look of this.#schedule.take(this.#parts.clock.now())) {
      const done = this.#run(look).finally(() => {
        this.#looks.delete(done);
        this.#beginLooks();
      });
      this.#looks.add(done);
    }
  }

  async #tick(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#beginLooks();
      const waitMs = this.#schedule.waitMs(clock.now()) ?? TICK_MAX_MS;
      await this.#sleep(Math.min(TICK_MAX_MS, Math.max(TICK_MIN_MS, waitMs)));
    }
  }

  async #repeat(pauseMs: number, work: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await work();
      await this.#sleep(pauseMs);
    }
  }

  #sleep(ms: number): Promise<void> {
    return this.#parts.clock.sleep(ms, this.#stop.signal).catch(() => {});
  }

  /** One look from its begin to the last write it leads to: the next one of the node comes after it. */
  async #run(look: Look): Promise<void> {
    const { clock, logger } = this.#parts;
    const startedMs = clock.now();
    let end: LookEnd = "void";
    let againInMs: number | undefined;
    try {
      const watch = this.#roster.get(look.nodeId);
      // Trap: a look with settings of some seconds ago would get in the way of an action that has the newer ones.
      const wasBusy = this.#parts.isBusy(look.nodeId);
      if (wasBusy && watch !== undefined) watch.amiss = undefined;
      const answer = watch === undefined || wasBusy ? undefined : await this.#ask(watch.node);
      if (watch !== undefined && answer !== undefined && !this.#stop.signal.aborted) {
        // An answer from within our own power action says nothing of the machine before or after it.
        const isQuiet = !this.#parts.isBusy(look.nodeId) && isAtRest(watch.node);
        const isAnswered = "isOn" in answer;
        this.#tally.note(look.lagMs, isAnswered);
        if (isAnswered) end = "answered";
        else if (isQuiet) end = "failed";
        if (!isQuiet) watch.amiss = undefined;
        else if ("isOn" in answer) againInMs = await this.#noteAnswer(watch, answer.isOn, startedMs);
        else await this.#noteSilence(watch, look.failures + 1, answer.error);
      }
    } catch (error) {
      logger.warn(`power sync of node ${look.nodeId}: ${describeError(error)}`, { node: look.nodeId });
    }
    this.#schedule.end(look, clock.now(), end, againInMs);
  }

  async #ask(node: NodePower): Promise<{ isOn: boolean } | { error: unknown }> {
    const options = { signal: this.#stop.signal, deadlineMs: this.#options.lookDeadlineMs };
    try {
      return { isOn: await this.#parts.power.for(node).isPowerOn(options) };
    } catch (error) {
      return { error };
    }
  }

  /** An unknown power state is never "off": all it leads to is, after some time, the fault. */
  async #noteSilence(watch: Watch, failures: number, error: unknown): Promise<void> {
    watch.amiss = undefined;
    const report = failures < this.#options.maxFailures ? undefined : reportOfSilence(watch.node, error);
    if (report === undefined || !(await this.#write(watch, report))) return;
    const text = `node ${watch.node.id} takes no instance until its BMC answers: ${describeError(error)}`;
    this.#parts.logger.warn(text, { node: watch.node.id });
  }

  /** Writes what differs; gives in how many milliseconds the node is to be looked at again, if that is soon. */
  async #noteAnswer(watch: Watch, isOn: boolean, startedMs: number): Promise<number | undefined> {
    const report = reportOfAnswer(watch.node, isOn);
    if (report !== undefined && (await this.#write(watch, report)) && report.fault === null) {
      const text = `node ${watch.node.id}: its BMC answers again; the power fault is cleared`;
      this.#parts.logger.info(text, { node: watch.node.id });
    }
    if (!isAmiss(watch.node, watch.instance, isOn)) {
      watch.amiss = undefined;
      if (watch.instance?.taskState === null) watch.acts = NO_ACTS;
      return undefined;
    }
    if (watch.amiss?.isOn !== isOn) {
      watch.amiss = { isOn, sinceMs: startedMs };
      return Math.min(CONFIRM_MS, this.#options.intervalMs);
    }
    if (startedMs >= watch.acts.notBeforeMs) await this.#act(watch, isOn, watch.amiss.sinceMs);
    return undefined;
  }

  async #act(watch: Watch, isOn: boolean, sinceMs: number): Promise<void> {
    const { nodes, instances, clock, logger } = this.#parts;
    const { id, instanceUuid } = watch.node;
    const now = await nodes.get(id);
    const isSame = now?.instanceUuid === instanceUuid && now.taskState === "active" && !now.maintenance;
    watch.amiss = undefined;
    if (!isSame || instanceUuid === null || this.#stop.signal.aborted) return;
    if (!(await instances.sync(instanceUuid, isOn, sinceMs))) return;
    const count = watch.acts.count + 1;
    const intervals = Math.min(MAX_ACT_INTERVALS, 2 ** (count - 1));
    watch.acts = { count, notBeforeMs: clock.now() + intervals * this.#options.intervalMs };
    this.#tally.noteAct();
    const text = `node ${id} is ${isOn ? "on" : "off"}, unlike instance ${instanceUuid}: put right`;
    logger.warn(text, { node: id, instance: instanceUuid });
  }

  /** A conditional write; the row as it is after it is kept, so that the next look does not write it again. */
  async #write(watch: Watch, report: PowerReport): Promise<boolean> {
    const seen = watch.node;
    if (!(await this.#parts.nodes.notePower(seen, report))) return false;
    const { lastError: _reason, ...columns } = report;
    if (watch.node === seen) watch.node = { ...seen, ...(columns as Partial<NodeRecord>) };
    return true;
  }

  /** The numbers of the interval, in the log: a warning if looks are late, a line if the faults changed, else for debugging. */
  #report(): void {
    const { numbers } = this;
    const { level, message, fields } = this.#tally.close(numbers, this.#options);
    if (numbers.nodes > 0) this.#parts.logger[level](message, fields);
  }
}
