// Any command by its numbers, for vendor commands and for operators: the completion code is a result, not an error.
import type { Command } from "./commands/command.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import { IpmiError } from "./errors.ts";
import type { CommandOptions } from "./session.ts";
import { requireLength } from "./wire/wire-error.ts";

/** What the BMC answered to a raw command. */
export interface RawResponse {
  /** 0: done. `COMPLETION_CODES` has words for the others that the specification names. */
  readonly completionCode: number;
  /** What came after the completion code. */
  readonly data: Buffer;
}

/**
 * Sends a command of `netFn` (even, 0 to 62) and number `command`. Resolves with whatever completion code comes, busy ones
 * too; rejects with `Timeout`, `Closed`, `Aborted` as other commands do, and with `InvalidArgument` for numbers that no
 * request has.
 */
export async function raw(
  runner: CommandRunner,
  netFn: number,
  command: number,
  data: Buffer = Buffer.alloc(0),
  options?: CommandOptions,
): Promise<RawResponse> {
  const isValid = isByte(netFn) && netFn <= 62 && netFn % 2 === 0 && isByte(command);
  if (!isValid) {
    const text = `a request has an even network function from 0 to 62 and a number from 0 to 255, not ${netFn} and ${command}`;
    throw new IpmiError("InvalidArgument", text, { address: runner.address, operation: "raw command" });
  }
  return runner.execute(rawCommand(netFn, command), data, options);
}

function isByte(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 255;
}

function rawCommand(netFn: number, code: number): Command<Buffer, RawResponse> {
  const hex = (value: number): string => `${value.toString(16).padStart(2, "0").toUpperCase()}h`;
  return {
    name: `raw command ${hex(netFn)} ${hex(code)}`,
    netFn,
    code,
    privilege: 0,
    encodeRequest: (data) => data,
    decodeRequest: (data) => data,
    encodeResponse: ({ completionCode, data }) => Buffer.concat([Buffer.from([completionCode]), data]),
    decodeResponse(data) {
      requireLength(data, 1, "the answer to a raw command");
      return { completionCode: data.readUInt8(0), data: data.subarray(1) };
    },
    // A code of success in front of the BMC's own: so that is data as well.
    readAnswer(message) {
      const isResponse = message.netFn === (netFn | 1) && message.command === code && message.data.length > 0;
      return isResponse ? Buffer.concat([Buffer.from([0]), message.data]) : undefined;
    },
  };
}
