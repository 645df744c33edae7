// The background work of instances: owned, one at a time for each instance, abortable, drained at the end.
import { BaremetalError, describeError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { shutdownReason } from "../lib/shutdown.ts";

interface RunningTask {
  readonly name: string;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** Runs work for instances. Work for one instance is done in the order it was started. */
export class InstanceTasks {
  readonly #logger: Logger;
  readonly #running = new Map<string, Set<RunningTask>>();
  #isClosed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Starts `work` when all earlier work of this instance has ended. What it throws is logged: work writes its own failures.
   * @throws BaremetalError `Conflict` once `close` was called
   */
  start(instanceUuid: string, name: string, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#isClosed) throw new BaremetalError("Conflict", "the compute service is stopping; try again in a moment");
    const tasks = this.#running.get(instanceUuid) ?? new Set();
    this.#running.set(instanceUuid, tasks);
    const before = [...tasks].map((task) => task.done);
    const controller = new AbortController();
    const task: RunningTask = { name, controller, done: this.#run(instanceUuid, name, before, controller, work) };
    tasks.add(task);
    void task.done.then(() => {
      tasks.delete(task);
      if (tasks.size === 0 && this.#running.get(instanceUuid) === tasks) this.#running.delete(instanceUuid);
    });
  }

  /** Aborts what runs or waits for this instance, with `Cancelled` and `reason`. */
  abort(instanceUuid: string, reason: string): void {
    for (const task of this.#running.get(instanceUuid) ?? []) {
      task.controller.abort(new BaremetalError("Cancelled", reason, { data: { step: task.name } }));
    }
  }

  /** True while work of this name (or any) runs or waits for the instance. */
  isRunning(instanceUuid: string, name?: string): boolean {
    const tasks = this.#running.get(instanceUuid);
    if (tasks === undefined) return false;
    return name === undefined || [...tasks].some((task) => task.name === name);
  }

  /** Aborts everything with `shutdownReason`, takes no more, and resolves when all has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const tasks = [...this.#running.values()].flatMap((set) => [...set]);
    for (const task of tasks) task.controller.abort(shutdownReason());
    await Promise.all(tasks.map((task) => task.done));
  }

  async #run(
    instanceUuid: string,
    name: string,
    before: readonly Promise<void>[],
    controller: AbortController,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    await Promise.all(before);
    try {
      await work(controller.signal);
    } catch (error) {
      this.#logger.error(`${name} of instance ${instanceUuid}: ${describeError(error)}`, { instance: instanceUuid });
    }
  }
}
