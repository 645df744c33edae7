// Bounded repetition of commands the target did not run (SAM-5 5.3.1, 5.14): UNIT ATTENTION, BUSY, TASK SET FULL.
import { setTimeout as delay } from "node:timers/promises";
import { remainingMs } from "./deadline.ts";
import { AbortedError, type CommandEffect, type ErrorContext, IscsiError, ScsiError } from "./errors.ts";
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

/** Who is asked and told between two attempts. */
export interface RetryRules {
  /** The unit says that it is not what it was: resolves when it is known to be the same one all the same. */
  checkUnit?(options: RetryOptions): Promise<void>;
  contextOf(operation: string): ErrorContext;
  commandDeadlineMs(): number;
  onRetry(error: ScsiError, attempt: number): void;
}

/** Who runs the commands. */
export interface CommandRunner extends RetryRules {
  execute<T>(command: ScsiCommand<T>, options: RetryOptions): Promise<T>;
}

/** Why the command may simply be sent again; undefined when it may not. */
function retryKind(error: unknown, isIdempotent: boolean): "unit attention" | "busy" | undefined {
  if (!(error instanceof ScsiError)) return undefined;
  if (error.status === ScsiStatus.Busy || error.status === ScsiStatus.TaskSetFull) return "busy";
  if (error.status !== ScsiStatus.CheckCondition) return undefined;
  // Trap: "reservations preempted" and its kin mean that somebody fenced us off. To go on would be to write to his disk.
  if (error.senseKey === SenseKey.UnitAttention) return isFencing(error) ? undefined : "unit attention";
  // RFC 7143 7.8 and 11.4.7.2: the target lost data of the command to a digest error; it may have been run in part.
  if (isIdempotent && error.senseKey === SenseKey.AbortedCommand && error.asc === 0x47) return "busy";
  // "Becoming ready" (04h/01h) ends by itself.
  return error.senseKey === SenseKey.NotReady && error.asc === 0x04 && error.ascq === 0x01 ? "busy" : undefined;
}

/** 2Ah/03h to 05h: reservations preempted, released, registrations preempted. */
export function isFencing(error: unknown): boolean {
  if (!(error instanceof ScsiError) || error.senseKey !== SenseKey.UnitAttention) return false;
  return error.asc === 0x2a && (error.ascq ?? 0) >= 3 && (error.ascq ?? 0) <= 5;
}

/** 3Fh: inquiry data or LUNs changed; 2Ah/09h: capacity changed. Another unit may answer to this LUN now. */
function mayBeAnotherUnit(error: ScsiError): boolean {
  return error.asc === 0x3f || (error.asc === 0x2a && error.ascq === 9);
}

/**
 * Runs a command until it succeeds, fails for another reason, or its deadline is used up; then the last ScsiError is thrown.
 * UNIT ATTENTION, BUSY and TASK SET FULL mean that the command was not run at all, so that repeating it is safe for every command.
 */
export function executeWithRetry<T>(runner: CommandRunner, command: ScsiCommand<T>, options: RetryOptions): Promise<T> {
  return repeatWhileRefused(runner, command, (now) => runner.execute(command, now), options);
}

/** {@link executeWithRetry} for whatever is made of commands: when one of them is refused, all of it is done again. */
export async function repeatWhileRefused<T>(
  rules: RetryRules,
  what: Pick<ScsiCommand<T>, "name" | "isIdempotent">,
  attemptWith: (options: RetryOptions) => Promise<T>,
  options: RetryOptions,
  startedAt = performance.now(),
): Promise<T> {
  const deadlineMs = options.deadlineMs ?? rules.commandDeadlineMs();
  const deadlineAt = startedAt + deadlineMs;
  const remaining = () => ({ ...options, deadlineMs: remainingMs(deadlineAt) });
  let delayMs = FIRST_DELAY_MS;
  let unitAttentions = 0;
  /** The worst that any attempt may have done. */
  let effect: CommandEffect = "none";
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptWith(attempt === 1 ? options : remaining());
    } catch (error) {
      if (!(error instanceof IscsiError)) throw error;
      effect = error.withEffect(effect).effect;
      const kind = retryKind(error, what.isIdempotent === true);
      if (kind === undefined || performance.now() + delayMs >= deadlineAt) throw error;
      const refusal = error as ScsiError;
      rules.onRetry(refusal, attempt);
      if (kind === "unit attention" && ++unitAttentions > MAX_UNIT_ATTENTIONS) throw error;
      if (kind === "unit attention") {
        if (mayBeAnotherUnit(refusal)) await withEffect(rules.checkUnit?.(remaining()), effect);
        continue;
      }
    }
    const wait = delay(delayMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
    await wait.catch(() => {
      throw new AbortedError({ ...rules.contextOf(what.name), effect }, options.signal?.reason);
    });
    delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
  }
}

async function withEffect(check: Promise<void> | undefined, effect: CommandEffect): Promise<void> {
  await check?.catch((error) => {
    throw error instanceof IscsiError ? error.withEffect(effect) : error;
  });
}
