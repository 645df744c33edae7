// Many commands under one deadline: what reading a log, a repository or an inventory needs.
import { type Budget, pause, remainingMs, startBudget } from "./budget.ts";
import type { Command } from "./commands/command.ts";
import type { CommandRunner, RunOptions } from "./commands/command-runner.ts";
import type { GetRecordResponse } from "./commands/get-record.ts";
import { IpmiError, isIpmiError } from "./errors.ts";
import { WireError } from "./wire/wire-error.ts";

/** A walk over a slow BMC with hundreds of records takes most of it. */
const DEFAULT_DEADLINE_MS = 60_000;

/** Runs commands until the deadline of the whole operation. */
export class Walk {
  readonly #runner: CommandRunner;
  readonly #operation: string;
  readonly #budget: Budget;
  readonly #needsEncryption: boolean | undefined;

  /** `operation` is what the caller asked for, as timeouts say it: `read the SEL`. */
  constructor(runner: CommandRunner, operation: string, options: RunOptions) {
    this.#runner = runner;
    this.#operation = operation;
    this.#budget = startBudget(options.deadlineMs ?? DEFAULT_DEADLINE_MS, options.signal);
    this.#needsEncryption = options.needsEncryption;
  }

  /**
   * Runs one command. `check` may find fault with the answer by a `WireError`, which becomes a `Protocol` error that
   * names the BMC, as for answers that make no sense by themselves.
   */
  async run<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    check?: (response: Response) => void,
  ): Promise<Response> {
    const left = remainingMs(this.#budget);
    if (left === 0) {
      const { address } = this.#runner;
      throw this.#timeout(new IpmiError("Timeout", "the time was over", { address, operation: command.name }));
    }
    const checked: Command<Request, Response> = {
      ...command,
      decodeResponse: (data) => {
        const response = command.decodeResponse(data);
        check?.(response);
        return response;
      },
    };
    try {
      const { signal } = this.#budget;
      return await this.#runner.execute(checked, request, {
        deadlineMs: left,
        signal,
        needsEncryption: this.#needsEncryption,
      });
    } catch (error) {
      // The command had all the time that was left.
      if (isIpmiError(error, "Timeout")) throw this.#timeout(error);
      throw error;
    }
  }

  /** Waits; the end of the operation ends it early, and the next command says so. */
  pause(ms: number): Promise<void> {
    return pause(ms, this.#budget);
  }

  #timeout(cause: IpmiError): IpmiError {
    const { address } = cause;
    const text = `${this.#operation} of ${address}: not done within ${Math.round(this.#budget.totalMs)} ms; it was at ${cause.operation}. Last: ${cause.message}`;
    return new IpmiError("Timeout", text, { address, operation: this.#operation, cause });
  }
}

/** True if the BMC refused a command, and with one of `completionCodes` if any are given. */
export function isRefusal(error: unknown, ...completionCodes: readonly number[]): error is IpmiError {
  if (!isIpmiError(error, "CompletionCode")) return false;
  return completionCodes.length === 0 || completionCodes.includes(error.completionCode ?? 0);
}

/** Undefined for a refusal, other than by one of `codes`. */
export async function unlessRefused<T>(work: Promise<T>, ...codes: readonly number[]): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!isRefusal(error) || codes.includes(error.completionCode ?? 0)) throw error;
    return undefined;
  }
}

/** For the check of an answer: the next record must not be one that was asked for already. */
export function requireNewRecord({ nextRecordId }: GetRecordResponse, asked: ReadonlySet<number>): void {
  if (asked.has(nextRecordId)) throw new WireError(`the records lead in a circle: ${nextRecordId} comes again`);
}
