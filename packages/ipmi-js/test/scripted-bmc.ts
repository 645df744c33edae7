// A BMC for tests of long walks: answers commands by the test's own rules, as completion code and bytes.

import type { OperationOptions } from "../src/budget.ts";
import type { Command } from "../src/commands/command.ts";
import type { CommandRunner } from "../src/commands/command-runner.ts";
import { completionCodeError, IpmiError } from "../src/errors.ts";
import { WireError } from "../src/wire/wire-error.ts";

/** Completion code first; undefined: no answer. */
export type Answer = Buffer | undefined;

const PEER = { address: "192.0.2.1", name: "192.0.2.1" };

/** Does what a session does with answers, without a network: completion codes, decoding, the signal, the deadline. */
export class ScriptedBmc implements CommandRunner {
  readonly address = PEER.address;
  /** The commands asked for, in order. */
  readonly asked: { readonly name: string; readonly data: Buffer; readonly deadlineMs: number }[] = [];
  readonly #answer: (name: string, data: Buffer) => Answer;

  constructor(answer: (name: string, data: Buffer) => Answer) {
    this.#answer = answer;
  }

  async execute<Request, Response>(
    command: Command<Request, Response>,
    request: Request,
    options: OperationOptions = {},
  ): Promise<Response> {
    const { name: operation } = command;
    const fail = (code: "Aborted" | "Timeout" | "Protocol", text: string) =>
      new IpmiError(code, `${operation}: ${text}`, { address: PEER.address, operation });
    if (options.signal?.aborted) throw fail("Aborted", "given up");
    const data = command.encodeRequest(request);
    this.asked.push({ name: operation, data, deadlineMs: options.deadlineMs ?? Number.NaN });
    const answer = this.#answer(operation, data);
    if (answer === undefined) {
      await new Promise((resolve) => setTimeout(resolve, options.deadlineMs));
      throw fail("Timeout", "no answer");
    }
    const completionCode = answer[0] ?? 0xff;
    if (completionCode !== 0) throw completionCodeError(PEER, operation, completionCode, command.completionCodes);
    try {
      return command.decodeResponse(answer.subarray(1));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw fail("Protocol", error.message);
    }
  }

  /** How often a command was asked for. */
  count(name: string): number {
    return this.asked.filter((one) => one.name === name).length;
  }
}
