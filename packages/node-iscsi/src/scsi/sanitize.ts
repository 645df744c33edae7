// SANITIZE (SBC-4 5.30): makes everything that was ever stored unreadable, spare and cached blocks included. It cannot be undone.
import { InvalidArgumentError } from "../errors.ts";
import { noResult, type ScsiCommand } from "./command.ts";
import { requireInteger } from "./fields.ts";

const SANITIZE = 0x48;

/** Service actions (SBC-4 table 98). */
export const SanitizeServiceAction = {
  Overwrite: 0x01,
  BlockErase: 0x02,
  CryptographicErase: 0x03,
  ExitFailureMode: 0x1f,
} as const;

/** Options of the three methods. */
export interface SanitizeOptions {
  /**
   * IMMED, the default: the status comes at once and the unit goes on alone; until it is done, other commands end in NOT READY,
   * sanitize in progress, with the progress in `sense.senseKeySpecific`. REQUEST SENSE tells it too. With false the status comes at the
   * end, which may take hours.
   */
  readonly isImmediate?: boolean;
  /** AUSE: after a failure the unit can be used again by `sanitizeExitFailureMode`; otherwise only by another, complete sanitize. */
  readonly allowsUnrestrictedExit?: boolean;
}

/** What {@link sanitizeOverwrite} writes. */
export interface OverwriteOptions extends SanitizeOptions {
  /** Repeated over the whole medium; 1 byte up to one block. */
  readonly pattern: Buffer;
  /** Passes, 1 to 31; default 1. */
  readonly count?: number;
  /** INVERT: every second pass writes the complement. */
  readonly inverts?: boolean;
}

function sanitizeCdb(action: number, options: SanitizeOptions, parameterBytes: number): Buffer {
  const cdb = Buffer.alloc(10);
  cdb[0] = SANITIZE;
  cdb[1] = (options.isImmediate === false ? 0 : 0x80) | (options.allowsUnrestrictedExit === true ? 0x20 : 0) | action;
  cdb.writeUInt16BE(parameterBytes, 7);
  return cdb;
}

/** Writes a pattern over all blocks. @throws InvalidArgumentError for an empty or too long pattern or an odd count. */
export function sanitizeOverwrite(options: OverwriteOptions): ScsiCommand<void> {
  const name = "SANITIZE (overwrite)";
  const { pattern, count = 1, inverts = false } = options;
  requireInteger(name, "overwrite count less one", count - 1, 30);
  if (pattern.length === 0 || pattern.length > 0xffff - 4)
    throw new InvalidArgumentError(`a pattern of ${pattern.length} bytes`, { operation: name });
  const parameters = Buffer.alloc(4 + pattern.length);
  parameters[0] = (inverts ? 0x80 : 0) | count;
  parameters.writeUInt16BE(pattern.length, 2);
  pattern.copy(parameters, 4);
  const cdb = sanitizeCdb(SanitizeServiceAction.Overwrite, options, parameters.length);
  return { name, cdb, dataOut: parameters, decode: noResult };
}

/** Erases the cells of the medium; the blocks then read as the vendor likes, unless VPD B1h (WABEREQ) says otherwise. */
export function sanitizeBlockErase(options: SanitizeOptions = {}): ScsiCommand<void> {
  const cdb = sanitizeCdb(SanitizeServiceAction.BlockErase, options, 0);
  return { name: "SANITIZE (block erase)", cdb, decode: noResult };
}

/** Replaces the keys the medium is encrypted with. */
export function sanitizeCryptographicErase(options: SanitizeOptions = {}): ScsiCommand<void> {
  const cdb = sanitizeCdb(SanitizeServiceAction.CryptographicErase, options, 0);
  return { name: "SANITIZE (cryptographic erase)", cdb, decode: noResult };
}

/** After a failed sanitize that allowed it: makes the unit usable again. The old data may still be on it. */
export function sanitizeExitFailureMode(): ScsiCommand<void> {
  const cdb = sanitizeCdb(SanitizeServiceAction.ExitFailureMode, { isImmediate: false }, 0);
  return { name: "SANITIZE (exit failure mode)", cdb, decode: noResult };
}
