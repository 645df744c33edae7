// Reading a FRU inventory: who made the machine, its parts and serial numbers (IPMI 2.0, 34; FRU definition 1.3).
import type { OperationOptions } from "./budget.ts";
import type { CommandRunner } from "./commands/command-runner.ts";
import { FRU_DEVICE_BUSY, getFruInventoryAreaInfo, readFruData } from "./commands/fru-inventory.ts";
import { PieceSize, requireData } from "./partial-read.ts";
import {
  decodeFruBoard,
  decodeFruChassis,
  decodeFruHeader,
  decodeFruProduct,
  FRU_BLOCK_BYTES,
  type FruBoard,
  type FruChassis,
  type FruHeader,
  type FruProduct,
  fruAreaLength,
} from "./records/fru-areas.ts";
import { isRefusal, Walk } from "./walk.ts";
import { WireError } from "./wire/wire-error.ts";

/** Options of {@link readFru}. */
export interface ReadFruOptions extends OperationOptions {
  /** 0, the default, is the machine's own; locator records of the repository name others. */
  readonly fruDeviceId?: number;
}

/** What a FRU device says. Areas that are not there, or make no sense, are undefined. */
export interface FruInventory {
  readonly fruDeviceId: number;
  readonly chassis: FruChassis | undefined;
  readonly board: FruBoard | undefined;
  readonly product: FruProduct | undefined;
  /** For people: what was wrong with the inventory, such as a checksum. */
  readonly problems: readonly string[];
}

const FIRST_PIECE_BYTES = 32;
const BUSY_PAUSE_MS = 100;
const BUSY_ATTEMPTS = 20;

/** Reads `length` bytes from `offset` of the inventory. */
type ReadBytes = (offset: number, length: number) => Promise<Buffer>;

/**
 * Chassis, board and product areas; multirecord and internal areas are not read. `options.deadlineMs` (default 60000) is
 * for all of it. `CompletionCode` if there is no such device; what it holds never makes it fail, see `problems`.
 */
export async function readFru(runner: CommandRunner, options: ReadFruOptions = {}): Promise<FruInventory> {
  const fruDeviceId = options.fruDeviceId ?? 0;
  const walk = new Walk(runner, `read FRU ${fruDeviceId}`, options);
  const { sizeBytes, isAccessedByWords } = await walk.run(getFruInventoryAreaInfo, { fruDeviceId });
  const unit = isAccessedByWords ? 2 : 1;
  const piece = new PieceSize(FIRST_PIECE_BYTES);
  const read: ReadBytes = (offset, length) =>
    piece.read(offset, Math.max(0, Math.min(length, sizeBytes - offset)), async (from, count) => {
      const request = { fruDeviceId, offset: Math.floor(from / unit), count: Math.ceil(count / unit) };
      const data = await readWhenFree(walk, request);
      return data.subarray(0, data.length - (data.length % unit));
    });
  return { fruDeviceId, ...(await readAreas(read)) };
}

async function readAreas(read: ReadBytes): Promise<Omit<FruInventory, "fruDeviceId">> {
  const problems: string[] = [];
  const noticing = <T>(what: string, decode: () => T): T | undefined => {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      problems.push(`${what}: ${error.message}`);
      return undefined;
    }
  };
  const readArea = async <T extends { readonly isChecksumValid: boolean }>(
    what: string,
    offset: number | undefined,
    decode: (area: Buffer) => T,
  ): Promise<T | undefined> => {
    if (offset === undefined) return undefined;
    const head = await read(offset, FRU_BLOCK_BYTES);
    const length = noticing(what, () => fruAreaLength(head));
    if (length === undefined) return undefined;
    const rest = await read(offset + head.length, length - head.length);
    const bytes = Buffer.concat([head, rest]);
    if (bytes.length < length) problems.push(`${what}: it ends after ${bytes.length} of ${length} bytes`);
    const area = noticing(what, () => decode(bytes));
    if (area !== undefined && !area.isChecksumValid) problems.push(`${what}: its checksum is wrong`);
    return area;
  };
  const start = await read(0, FRU_BLOCK_BYTES);
  const header: FruHeader | undefined = noticing("common header", () => decodeFruHeader(start));
  const chassis = await readArea("chassis area", header?.chassis, decodeFruChassis);
  const board = await readArea("board area", header?.board, decodeFruBoard);
  const product = await readArea("product area", header?.product, decodeFruProduct);
  return { chassis, board, product, problems };
}

async function readWhenFree(
  walk: Walk,
  request: { fruDeviceId: number; offset: number; count: number },
): Promise<Buffer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await walk.run(readFruData, request, requireData)).data;
    } catch (error) {
      if (attempt === BUSY_ATTEMPTS || !isRefusal(error, FRU_DEVICE_BUSY)) throw error;
      await walk.pause(BUSY_PAUSE_MS);
    }
  }
}
