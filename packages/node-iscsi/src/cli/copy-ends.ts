// The two ends of a copy: a disk, a file, or a standard stream, opened when the copy begins and closed in order.

import { lookup } from "node:dns/promises";
import {
  type BigIntStats,
  createWriteStream as createFileSink,
  createReadStream as createFileStream,
  fstat,
} from "node:fs";
import { Readable, type Writable } from "node:stream";
import { promisify } from "node:util";
import { createReadStream } from "../read-stream.ts";
import { createWriteStream } from "../write-stream.ts";
import { type CommonValues, type UnitArguments, UsageError, unitArguments } from "./arguments.ts";
import { FileDevice, identityOf, type StreamableDevice, statusOf } from "./file-device.ts";
import type { Ledger } from "./ledger.ts";
import { openDisk } from "./open-disk.ts";

interface Sizes {
  readonly chunkBytes: number;
  readonly inFlight: number;
  readonly count: number;
  readonly skip: number;
  readonly seek: number;
}

/** Names of the same bytes; two ends that share one are the same. */
type Identities = readonly string[];

/** Where a copy comes from. */
export interface CopySource {
  readonly identities: Identities;
  /** From `skip` to the end; undefined for what ends when it ends. */
  readonly bytes: number | undefined;
  open(signal: AbortSignal): Readable;
  close(): Promise<void>;
}

/** Where a copy goes to. */
export interface CopyEnd {
  readonly identities: Identities;
  /** Undefined for what is written from its beginning to its end and cannot be read back: standard output, pipes, /dev/null. */
  readonly device: StreamableDevice | undefined;
  /** Room for what is copied, from `seek` on. */
  readonly room: number;
  /** Gives up what the output held, when it is a file. Not before the two ends are known to differ. */
  prepare?(): Promise<void>;
  /** `ledger` stands before the device, when there is one. */
  open(ledger: Ledger | undefined, signal: AbortSignal): Writable;
  /** All is written, up to this offset. */
  complete?(endOffset: number): Promise<void>;
  close(): Promise<void>;
}

const isUrl = (name: string) => /^iscsi:\/\//i.test(name);
const nothing = async () => undefined;

/** A disk as every address of its portal names it: `localhost` and `127.0.0.1` are one. */
async function identitiesOf({ address, port = 3260, targetName, lun }: UnitArguments): Promise<Identities> {
  const found = await lookup(address, { all: true }).catch(() => [{ address }]);
  return found.map((each) => `${each.address} ${port} ${targetName.toLowerCase()} ${lun}`);
}

async function identityOfStream(descriptor: 0 | 1): Promise<Identities> {
  const status = await promisify<number, { bigint: true }, BigIntStats>(fstat)(descriptor, { bigint: true });
  const identity = identityOf(status);
  return identity === undefined ? [] : [identity];
}

/** Rethrows an error of the file system as a sentence with a fix. */
async function namingFile<T>(option: "--if" | "--of", path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = option === "--if" ? "there is no such file" : "its directory does not exist";
    if (code === "ENOENT")
      throw new Error(`${option} ${path}: ${missing}; check the path, a disk is named iscsi://...`);
    if (code === "EISDIR") throw new Error(`${option} ${path}: that is a directory; name a file in it`);
    if (code === "EACCES" || code === "EPERM")
      throw new Error(`${option} ${path}: permission denied; check who may ${option === "--if" ? "read" : "write"} it`);
    throw code === undefined ? error : new Error(`${option} ${path}: ${message}`);
  }
}

/** Opens what `--if` names. */
export async function openInput(
  name: string,
  sizes: Sizes,
  values: CommonValues,
  signal: AbortSignal,
): Promise<CopySource> {
  const { skip } = sizes;
  if (name === "-") return streamSource(name, await identityOfStream(0), () => process.stdin, skip);
  if (isUrl(name)) {
    const unit = unitArguments(name, values);
    const { session, device } = await openDisk(unit, Math.max(64, sizes.inFlight), signal);
    const close = () => session.logout();
    return deviceSource(name, { device, identities: await identitiesOf(unit), close }, sizes);
  }
  const status = await namingFile(
    "--if",
    name,
    statusOf(name).then((found) => found ?? Promise.reject({ code: "ENOENT" })),
  );
  if (status.isDirectory()) await namingFile("--if", name, Promise.reject({ code: "EISDIR" }));
  const identity = identityOf(status);
  const identities = identity === undefined ? [] : [identity];
  // Looked at before it is opened: a pipe that is opened and closed is lost to the writer at its other end.
  if (!status.isFile()) return streamSource(name, identities, () => createFileStream(name), skip);
  const device = await namingFile("--if", name, FileDevice.toRead(name));
  return deviceSource(name, { device, identities, close: () => device.close() }, sizes);
}

interface OpenDevice {
  readonly device: StreamableDevice;
  readonly identities: Identities;
  close(): Promise<void>;
}

async function deviceSource(
  name: string,
  { device, identities, close }: OpenDevice,
  sizes: Sizes,
): Promise<CopySource> {
  const { chunkBytes, inFlight, skip: start, count } = sizes;
  try {
    if (start > device.sizeBytes)
      throw new UsageError(`--skip ${start} is beyond the end of ${name}, which has ${device.sizeBytes} bytes`);
    checkBlocks("--bs", chunkBytes, device.blockSize, name);
  } catch (error) {
    await close();
    throw error;
  }
  const bytes = device.sizeBytes - start;
  const end = start + Math.min(bytes, count);
  const open = (signal: AbortSignal) => createReadStream(device, { start, end, chunkBytes, inFlight, signal });
  return { identities, bytes, open, close };
}

function checkBlocks(option: string, bytes: number, blockSize: number, name: string): void {
  if (bytes % blockSize !== 0)
    throw new UsageError(`${option} ${bytes} is not a multiple of ${blockSize}, the block size of ${name}`);
}

function streamSource(name: string, identities: Identities, open: () => Readable, skip: number): CopySource {
  const source = () => (skip === 0 ? open() : Readable.from(without(open(), skip, name), { objectMode: false }));
  return { identities, bytes: undefined, open: source, close: nothing };
}

async function* without(source: AsyncIterable<Buffer>, skip: number, name: string): AsyncGenerator<Buffer> {
  let left = skip;
  for await (const chunk of source) {
    const dropped = Math.min(left, chunk.length);
    left -= dropped;
    if (dropped < chunk.length) yield chunk.subarray(dropped);
  }
  if (left > 0)
    throw new UsageError(
      `--skip ${skip} is beyond the end of ${name === "-" ? "standard input" : name}, which has ${skip - left} bytes`,
    );
}

/** Opens what `--of` names; changes nothing there yet. */
export async function openOutput(
  name: string,
  sizes: Sizes,
  values: CommonValues,
  signal: AbortSignal,
): Promise<CopyEnd> {
  if (name === "-") return streamEnd("standard output", await identityOfStream(1), () => process.stdout, sizes.seek);
  if (isUrl(name)) {
    const unit = unitArguments(name, values);
    const { session, device } = await openDisk(unit, Math.max(64, sizes.inFlight), signal);
    try {
      checkBlocks("--bs", sizes.chunkBytes, device.blockSize, name);
      checkBlocks("--seek", sizes.seek, device.blockSize, name);
      if (sizes.seek > device.sizeBytes)
        throw new UsageError(`--seek ${sizes.seek} is beyond the end of ${name}, which has ${device.sizeBytes} bytes`);
    } catch (error) {
      await session.logout();
      throw error;
    }
    return deviceEnd({ device, identities: await identitiesOf(unit), close: () => session.logout() }, sizes);
  }
  const status = await namingFile("--of", name, statusOf(name));
  if (status?.isDirectory()) await namingFile("--of", name, Promise.reject({ code: "EISDIR" }));
  if (status !== undefined && !status.isFile() && !status.isBlockDevice()) {
    const identity = identityOf(status);
    // Pipes, terminals and /dev/null know neither offsets nor fsync.
    return streamEnd(name, identity === undefined ? [] : [identity], () => createFileSink(name), sizes.seek);
  }
  const file = await namingFile("--of", name, FileDevice.toWrite(name));
  const identities = file.identity === undefined ? [] : [file.identity];
  return {
    ...deviceEnd({ device: file, identities, close: () => file.close() }, sizes),
    prepare: () => file.cut(sizes.seek),
    complete: (endOffset) => file.setSize(endOffset),
  };
}

function deviceEnd({ device, identities, close }: OpenDevice, sizes: Sizes): CopyEnd {
  const { chunkBytes, inFlight, seek: start } = sizes;
  const open = (ledger: Ledger | undefined, signal: AbortSignal) =>
    createWriteStream(ledger ?? device, { start, chunkBytes, inFlight, padTail: "zero", signal });
  return { identities, device, room: device.sizeBytes - start, open, close };
}

function streamEnd(what: string, identities: Identities, open: () => Writable, seek: number): CopyEnd {
  if (seek > 0) throw new UsageError(`--seek needs a disk or a file; ${what} has no offsets`);
  return { identities, device: undefined, room: Number.POSITIVE_INFINITY, open, close: nothing };
}
