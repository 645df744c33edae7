// An undo list: what a spawn did, and how to take it back, in reverse order.
import { BaremetalError, describeError } from "../lib/errors.ts";

interface UndoEntry {
  readonly name: string;
  readonly undo: () => Promise<void>;
}

/** Collects the undo of each step before the step is tried, so that a half-done step is undone too. */
export class UndoList {
  readonly #entries: UndoEntry[] = [];

  /** Registers `undo`, which must be safe to run when its step was half done or not done at all. */
  push(name: string, undo: () => Promise<void>): void {
    this.#entries.push({ name, undo });
  }

  /**
   * Runs every undo, last first. One that fails does not keep the others from running.
   * @throws BaremetalError `Internal`, with the texts of all that failed, if any did: the undo is not complete
   */
  async run(onStep: (name: string, undo: () => Promise<void>) => Promise<void>): Promise<void> {
    const failures: string[] = [];
    let cause: unknown;
    for (const { name, undo } of this.#entries.splice(0).reverse()) {
      try {
        await onStep(name, undo);
      } catch (error) {
        cause ??= error;
        failures.push(`${name}: ${describeError(error)}`);
      }
    }
    if (failures.length === 0) return;
    throw new BaremetalError("Internal", `the undo is not complete: ${failures.join("; ")}`, {
      data: { failures },
      cause,
    });
  }
}
