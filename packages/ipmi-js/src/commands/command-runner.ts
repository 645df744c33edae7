// What functions that need several commands ask of a session.
import type { OperationOptions } from "../budget.ts";
import type { Command } from "./command.ts";

/** What a runner accepts besides a request. */
export interface RunOptions extends OperationOptions {
  /** For what holds a secret: `InvalidArgument`, and nothing sent, in a session that does not encrypt. Default false. */
  readonly needsEncryption?: boolean | undefined;
}

/** An open session, or the `Bmc` that keeps one: both run any command. */
export interface CommandRunner {
  /** Host name or address of the BMC, for errors. */
  readonly address: string;
  execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options?: RunOptions,
  ): Promise<Response>;
}
