// Option negotiation, both sides: RFC 2347 (OACK), 2348 (blksize), 2349 (timeout, tsize), 7440 (windowsize). Pure.
import { TftpError } from "./errors.ts";
import type { OptionList } from "./packet.ts";

/** RFC 1350: what holds when nothing is negotiated. */
export const DEFAULT_BLOCK_SIZE = 512;
/** RFC 2348 section "Blocksize Option Specification". */
export const MIN_BLOCK_SIZE = 8;
export const MAX_BLOCK_SIZE = 65464;
/** RFC 7440 section 3. */
export const MAX_WINDOW_SIZE = 65535;

/** What a transfer runs with. */
export interface TransferParameters {
  /** Octets in every DATA but the last. */
  readonly blockSize: number;
  /** Blocks sent before an ACK is awaited. */
  readonly windowSize: number;
  /** The peer's wish for the retransmission interval, if it was accepted. */
  readonly timeoutMs?: number;
}

export interface ServerLimits {
  readonly maxBlockSize: number;
  readonly maxWindowSize: number;
  /** Cap of window size times block size: a burst above the receiver's socket buffer is lost every time. */
  readonly maxWindowBytes: number;
}

export interface Negotiated extends TransferParameters {
  /** The OACK's content; empty: send no OACK, begin with DATA 1. */
  readonly accepted: OptionList;
}

/**
 * The server's answer to the options of a read request for `sizeBytes` octets. A value out of range is clamped where the
 * RFC lets a server answer with less, ignored otherwise; never refused, since firmware gives up on ERROR 8.
 * Of an option given twice the first counts (RFC 2347 section 2 forbids it).
 */
export function negotiate(requested: OptionList, sizeBytes: number, limits: ServerLimits): Negotiated {
  const seen = new Map<string, { spelling: string; value: number }>();
  for (const [spelling, text] of requested) {
    const name = spelling.toLowerCase();
    const value = parseNumber(text);
    if (value !== undefined && !seen.has(name)) seen.set(name, { spelling, value });
  }
  const blksize = seen.get("blksize")?.value;
  const hasBlockSize = blksize !== undefined && blksize >= MIN_BLOCK_SIZE;
  const blockSize = hasBlockSize ? Math.min(blksize, limits.maxBlockSize) : DEFAULT_BLOCK_SIZE;

  const windowsize = seen.get("windowsize")?.value;
  const hasWindowSize = windowsize !== undefined && windowsize >= 1;
  const fitting = Math.max(1, Math.floor(limits.maxWindowBytes / blockSize));
  const windowSize = hasWindowSize ? Math.min(windowsize, limits.maxWindowSize, fitting) : 1;

  const seconds = seen.get("timeout")?.value;
  const hasTimeout = seconds !== undefined && seconds >= 1 && seconds <= 255;

  // In the client's order and spelling: ROMs exist that compare names with case.
  const accepted: [string, string][] = [];
  for (const [name, { spelling }] of seen) {
    if (name === "blksize" && hasBlockSize) accepted.push([spelling, String(blockSize)]);
    if (name === "windowsize" && hasWindowSize) accepted.push([spelling, String(windowSize)]);
    if (name === "timeout" && hasTimeout) accepted.push([spelling, String(seconds)]);
    if (name === "tsize") accepted.push([spelling, String(sizeBytes)]);
  }
  return { blockSize, windowSize, accepted, ...(hasTimeout ? { timeoutMs: seconds * 1000 } : {}) };
}

/** What a client asks for; absent fields are not sent. */
export interface OptionRequest {
  readonly blockSize?: number | undefined;
  readonly windowSize?: number | undefined;
  /** Ask for the file's size. */
  readonly wantsSize?: boolean | undefined;
  readonly timeoutSeconds?: number | undefined;
}

/** The options of a read request. Throws `BadInput` for what the RFCs do not allow. */
export function requestOptions(request: OptionRequest): OptionList {
  const options: [string, string][] = [];
  const add = (name: string, value: number | undefined, min: number, max: number) => {
    if (value === undefined) return;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new TftpError("BadInput", `${name} is ${value}; it must be a whole number from ${min} to ${max}`);
    }
    options.push([name, String(value)]);
  };
  add("blksize", request.blockSize, MIN_BLOCK_SIZE, MAX_BLOCK_SIZE);
  add("tsize", request.wantsSize ? 0 : undefined, 0, 0);
  add("timeout", request.timeoutSeconds, 1, 255);
  add("windowsize", request.windowSize, 1, MAX_WINDOW_SIZE);
  return options;
}

/**
 * The client's reading of an OACK. Throws `OptionRefused` (to be told to the server as ERROR 8) when the server
 * acknowledges what was not asked or a value that the RFC does not let it choose.
 */
export function acceptOack(
  asked: OptionRequest,
  oack: OptionList,
): TransferParameters & { readonly sizeBytes?: number } {
  let blockSize = DEFAULT_BLOCK_SIZE;
  let windowSize = 1;
  let sizeBytes: number | undefined;
  for (const [spelling, text] of oack) {
    const value = parseNumber(text);
    const refuse = (why: string): never => {
      throw new TftpError("OptionRefused", `the server's OACK says ${spelling}=${JSON.stringify(text)}: ${why}`);
    };
    if (value === undefined) return refuse("not a number");
    switch (spelling.toLowerCase()) {
      case "blksize":
        if (asked.blockSize === undefined) refuse("it was not asked for");
        if (value < MIN_BLOCK_SIZE || value > (asked.blockSize ?? 0)) refuse(`asked for at most ${asked.blockSize}`);
        blockSize = value;
        break;
      case "windowsize":
        if (asked.windowSize === undefined) refuse("it was not asked for");
        if (value < 1 || value > (asked.windowSize ?? 0)) refuse(`asked for at most ${asked.windowSize}`);
        windowSize = value;
        break;
      case "tsize":
        if (!asked.wantsSize) refuse("it was not asked for");
        sizeBytes = value;
        break;
      case "timeout":
        if (value !== asked.timeoutSeconds) refuse(`asked for ${asked.timeoutSeconds ?? "nothing"}`);
        break;
      default:
        refuse("it was not asked for");
    }
  }
  return { blockSize, windowSize, ...(sizeBytes === undefined ? {} : { sizeBytes }) };
}

/** Decimal digits only, within 2^53; anything else is undefined. */
function parseNumber(text: string): number | undefined {
  if (!/^[0-9]{1,15}$/.test(text)) return undefined;
  return Number(text);
}
