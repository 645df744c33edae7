// Bounded repetition of commands the target did not run (SAM-5 5.3.1, 5.14): UNIT ATTENTION, BUSY, TASK SET FULL.
import { setTimeout as delay } from "node:timers/promises";
import { AbortedError, type ErrorContext, ScsiError } from "./errors.ts";
import type { ScsiCommand } from "./scsi/command.ts";
import { ScsiStatus, SenseKey } from "./scsi/sense.ts";

/** A target may have several UNIT ATTENTION conditions queued; more than these in a row means that something keeps resetting it. */
const MAX_UNIT_ATTENTIONS = 10;
const FIRST_DELAY_MS = 10;
const LONGEST_DELAY_MS = 1000;

interface RetryOptions {
  readonly lun?: number | undefined;
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface CommandRunner {
  readonly options: {
    readonly commandDeadlineMs: number;
    readonly hooks: { onRetry?(error: ScsiError, attempt: number): void };
  };
  execute<T>(command: ScsiCommand<T>, options: RetryOptions): Promise<T>;
  contextOf(operation: string): ErrorContext;
}

/** Why the command may simply be sent again; undefined when it may not. */
function retryKind(error: unknown, isIdempotent: boolean): "unit attention" | "busy" | undefined {
  if (!(error instanceof ScsiError)) return undefined;
  if (error.status === ScsiStatus.Busy || error.status === ScsiStatus.TaskSetFull) return "busy";
  if (error.status !== ScsiStatus.CheckCondition) return undefined;
  if (error.senseKey === SenseKey.UnitAttention) return "unit attention";
  // RFC 7143 7.8 and 11.4.7.2: the target lost data of the command to a digest error; it may have been run in part.
  if (isIdempotent && error.senseKey === SenseKey.AbortedCommand && error.asc === 0x47) return "busy";
  // "Becoming ready" (04h/01h) ends by itself.
  return error.senseKey === SenseKey.NotReady && error.asc === 0x04 && error.ascq === 0x01 ? "busy" : undefined;
}

/**
 * Runs a command until it succeeds, fails for another reason, or its deadline is used up; then the last ScsiError is thrown.
 * UNIT ATTENTION, BUSY and TASK SET FULL mean that the command was not run at all, so that repeating it is safe for every command.
 */
export async function executeWithRetry<T>(
  runner: CommandRunner,
  command: ScsiCommand<T>,
  options: RetryOptions,
): Promise<T> {
  const deadlineAt = performance.now() + (options.deadlineMs ?? runner.options.commandDeadlineMs);
  let delayMs = FIRST_DELAY_MS;
  let unitAttentions = 0;
  for (let attempt = 1; ; attempt += 1) {
    const remainingMs = Math.max(1, Math.ceil(deadlineAt - performance.now()));
    try {
      return await runner.execute(command, {
        ...options,
        deadlineMs: attempt === 1 ? options.deadlineMs : remainingMs,
      });
    } catch (error) {
      const kind = retryKind(error, command.isIdempotent === true);
      if (kind === undefined || performance.now() + delayMs >= deadlineAt) throw error;
      runner.options.hooks.onRetry?.(error as ScsiError, attempt);
      if (kind === "unit attention" && ++unitAttentions > MAX_UNIT_ATTENTIONS) throw error;
      if (kind === "unit attention") continue;
    }
    try {
      await delay(delayMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
    } catch {
      throw new AbortedError(runner.contextOf(command.name), options.signal?.reason);
    }
    delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
  }
}
