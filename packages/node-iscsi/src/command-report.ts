// Metrics of one command: tells the hook how it ended.
import type { ScsiCommand } from "./scsi/command.ts";
import type { SessionHooks } from "./session-options.ts";
import type { TaskOutcome } from "./task.ts";

/** Waits for `running` and reports it; the outcome passes through. */
export async function reported(
  hooks: SessionHooks,
  command: ScsiCommand<unknown>,
  running: Promise<TaskOutcome>,
): Promise<TaskOutcome> {
  const startedAt = performance.now();
  let outcome: TaskOutcome | undefined;
  try {
    outcome = await running;
    return outcome;
  } finally {
    hooks.onCommand?.({
      name: command.name,
      sentBytes: command.dataOut?.length ?? 0,
      receivedBytes: outcome?.data.length ?? 0,
      durationMs: performance.now() - startedAt,
      status: outcome?.status,
    });
  }
}
