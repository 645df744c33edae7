// Asks a logical unit for its size and limits, and turns them into the byte limits the block device works with.
import { type ErrorContext, ProtocolError, ScsiError } from "./errors.ts";
import type { RunCommand, ScsiCommand } from "./scsi/command.ts";
import { inquiry, inquiryVpd } from "./scsi/inquiry.ts";
import { ModePage, modeSense6 } from "./scsi/mode-sense.ts";
import { type Capacity, readCapacity10, readCapacity16 } from "./scsi/read-capacity.ts";
import { SenseKey } from "./scsi/sense.ts";
import {
  type BlockLimits,
  decodeBlockLimits,
  decodeLogicalBlockProvisioning,
  decodeSupportedPages,
  type LogicalBlockProvisioning,
  NO_BLOCK_LIMITS,
  NO_PROVISIONING,
  VpdPage,
} from "./scsi/vpd-pages.ts";
import type { ExecuteOptions } from "./session-options.ts";
import { MAX_COMMAND_BYTES } from "./transfer-shape.ts";

/** What the block device needs of a session. */
export interface CommandExecutor {
  contextOf(operation: string): ErrorContext;
  executeWithRetry<T>(command: ScsiCommand<T>, options?: ExecuteOptions): Promise<T>;
}

/** Everything known about a unit before the first byte moves. */
export interface UnitDescription {
  readonly capacity: Capacity;
  readonly limits: BlockLimits;
  readonly provisioning: LogicalBlockProvisioning;
  /** WCE of the caching mode page: acknowledged writes may be lost with the unit's power. True when it does not say. */
  readonly hasVolatileCache: boolean;
}

/** True when the target does not know a command or a field of it: ask in another way, do not give up. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof ScsiError && error.senseKey === SenseKey.IllegalRequest && error.asc !== 0x21;
}

/** The answer to an optional question; undefined from a target that refuses it or garbles the answer. */
export async function orUndefined<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (isUnsupported(error) || error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** READ CAPACITY(16), or (10) from a unit that has only that. */
export async function readCapacity(run: RunCommand, allocationBytes?: number): Promise<Capacity> {
  return (await orUndefined(run(readCapacity16(allocationBytes)))) ?? (await run(readCapacity10()));
}

/** Vendor identification of tgtd's disks. */
const TGTD_VENDOR = "IET";

/**
 * tgtd allocates a page-aligned buffer for each command. glibc maps such a buffer afresh, and the kernel clears its pages, until a longer
 * one was given back: bulk transfers take tgtd twice the processor time. Asked for its capacity with room for more than our longest
 * command, it has had that longer one, and answers with 32 bytes all the same. Others are asked as usual.
 */
const TGTD_CAPACITY_BYTES = 2 * MAX_COMMAND_BYTES;

/** Reads capacity and the optional pages B0h and B2h; absent pages mean "no limit known" and "no unmap". Takes two round trips. */
export async function describeUnit(executor: CommandExecutor, options: ExecuteOptions): Promise<UnitDescription> {
  const run: RunCommand = (command) => executor.executeWithRetry(command, options);
  const [standard, supported, modes] = await Promise.all([
    orUndefined(run(inquiry())),
    orUndefined(run(inquiryVpd(VpdPage.SupportedPages)).then(decodeSupportedPages)),
    orUndefined(run(modeSense6({ page: ModePage.Caching }))),
  ]);
  const page = async <T>(code: number, decode: (data: Buffer) => T): Promise<T | undefined> =>
    supported?.has(code) ? orUndefined(run(inquiryVpd(code)).then(decode)) : undefined;
  const [capacity, limits = NO_BLOCK_LIMITS, provisioning = NO_PROVISIONING] = await Promise.all([
    readCapacity(run, standard?.vendor === TGTD_VENDOR ? TGTD_CAPACITY_BYTES : undefined),
    page(VpdPage.BlockLimits, decodeBlockLimits),
    page(VpdPage.LogicalBlockProvisioning, decodeLogicalBlockProvisioning),
  ]);
  if (!Number.isSafeInteger(capacity.blocks * capacity.blockSize))
    throw new ProtocolError(
      `the unit claims ${capacity.blocks} blocks of ${capacity.blockSize} bytes`,
      executor.contextOf("READ CAPACITY"),
    );
  // Trap: some targets set LBPRZ in only one of the two places. Either is a promise the target has made.
  const readsZeroes = capacity.readsZeroes || provisioning.readsZeroes;
  const hasVolatileCache = modes?.caching?.isWriteCacheEnabled ?? true;
  return { capacity, limits, hasVolatileCache, provisioning: { ...provisioning, readsZeroes } };
}
