// Many commands under one deadline: what reading a log, a repository or an inventory needs.
import { type Budget, type OperationOptions, pause, remainingMs, startBudget } from "./budget.ts";
import type { Command } from "./commands/command.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import { IpmiError, isIpmiError } from "./errors.ts";

/** A walk over a slow BMC with hundreds of records takes most of it. */
const DEFAULT_DEADLINE_MS = 60_000;

/** Runs commands until the deadline of the whole operation. */
export class Walk {
  readonly #runner: CommandRunner;
  readonly #operation: string;
  readonly #budget: Budget;

  /** `operation` is what the caller asked for, as timeouts say it: `read the SEL`. */
  constructor(runner: CommandRunner, operation: string, options: OperationOptions) {
    this.#runner = runner;
    this.#operation = operation;
    this.#budget = startBudget(options.deadlineMs ?? DEFAULT_DEADLINE_MS, options.signal);
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
      return await this.#runner.execute(checked, request, this.#limits(left));
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

  #limits(deadlineMs: number): OperationOptions {
    const { signal } = this.#budget;
    return signal === undefined ? { deadlineMs } : { deadlineMs, signal };
  }

  #timeout(cause: IpmiError): IpmiError {
    const { address } = cause;
    const text = `${this.#operation} of ${address}: not done within ${Math.round(this.#budget.totalMs)} ms; it was at ${cause.operation}. Last: ${cause.message}`;
    return new IpmiError("Timeout", text, { address, operation: this.#operation, cause });
  }
}

/** True if the BMC refused a command with this completion code. */
export function isRefusal(error: unknown, ...completionCodes: readonly number[]): boolean {
  return isIpmiError(error, "CompletionCode") && completionCodes.includes(error.completionCode ?? 0);
}
