// The shape of an IPMI command: its number and the codecs of both directions, for the client and the simulator alike.

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
  encodeRequest(request: Request): Buffer;
  decodeRequest(data: Buffer): Request;
  encodeResponse(response: Response): Buffer;
  /** `data` starts after the completion code. */
  decodeResponse(data: Buffer): Response;
}

/** Privilege levels (table 6-1). */
export const PRIVILEGE_LEVEL = { callback: 1, user: 2, operator: 3, administrator: 4 } as const;

/** A privilege level by name. */
export type PrivilegeLevel = keyof typeof PRIVILEGE_LEVEL;

/** The number of the channel a request arrives on, whatever it is (6.3). */
export const PRESENT_CHANNEL = 0x0e;
