// The shape of an IPMI command: its number and the codecs of both directions, for the client and the simulator alike.
import type { IpmiMessage } from "../wire/message.ts";

/** One command of the specification. Decoders throw `WireError`, and nothing else, on bytes that make no sense. */
export interface Command<Request, Response> {
  /** The specification's name, used in errors. */
  readonly name: string;
  readonly netFn: number;
  readonly code: number;
  /** Least privilege level that may send it (IPMI 2.0, table G-1). */
  readonly privilege: number;
  /** The command's own completion codes. */
  readonly completionCodes?: Readonly<Record<number, string>>;
  /** `rqSeq` is the number of the message it goes in, for requests that carry another message. */
  encodeRequest(request: Request, rqSeq?: number): Buffer;
  decodeRequest(data: Buffer): Request;
  encodeResponse(response: Response): Buffer;
  /** `data` starts after the completion code. */
  decodeResponse(data: Buffer): Response;
  /**
   * The answer, completion code first, in a message with the request's rqSeq, or undefined if another has to come.
   * Default: the data of the command's own response.
   */
  readAnswer?(message: IpmiMessage): Buffer | undefined;
}

/** Codecs of requests, and of responses, that have no data. */
export const NO_REQUEST_DATA = { encodeRequest: () => Buffer.alloc(0), decodeRequest: () => undefined } as const;
export const NO_RESPONSE_DATA = { encodeResponse: () => Buffer.alloc(0), decodeResponse: () => undefined } as const;

type AnsweredCommand = Pick<Command<unknown, unknown>, "netFn" | "code" | "readAnswer">;

/** The answer to `command`, completion code first, if `message` is it. `WireError` on bytes that make no sense. */
export function answerOf(command: AnsweredCommand, message: IpmiMessage): Buffer | undefined {
  if (command.readAnswer !== undefined) return command.readAnswer(message);
  const isResponse = message.netFn === (command.netFn | 1) && message.command === command.code;
  return isResponse && message.data.length > 0 ? message.data : undefined;
}

/** Privilege levels (table 6-1). */
export const PRIVILEGE_LEVEL = { callback: 1, user: 2, operator: 3, administrator: 4 } as const;

/** A privilege level by name. */
export type PrivilegeLevel = keyof typeof PRIVILEGE_LEVEL;

/** The number of the channel a request arrives on, whatever it is (6.3). */
export const PRESENT_CHANNEL = 0x0e;
