// What functions that need several commands ask of a session.
import type { OperationOptions } from "../budget.ts";
import type { Command } from "./command.ts";

/** An open session, or the `Bmc` that keeps one: both run any command. */
export interface CommandRunner {
  /** Host name or address of the BMC, for errors. */
  readonly address: string;
  execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options?: OperationOptions,
  ): Promise<Response>;
}
