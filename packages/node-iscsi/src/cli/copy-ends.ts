// The two ends of a copy: a disk, a file, or a standard stream, opened when the copy begins and closed in order.
import { createReadStream as createFileStream } from "node:fs";
import { Readable, type Writable } from "node:stream";
import { connect } from "../connect.ts";
import { createReadStream } from "../read-stream.ts";
import { createWriteStream } from "../write-stream.ts";
import { type CommonValues, unitArguments } from "./arguments.ts";
import { FileDevice, type StreamableDevice } from "./file-device.ts";

interface Sizes {
  readonly chunkBytes: number;
  readonly inFlight: number;
  readonly count: number;
  readonly skip: number;
  readonly seek: number;
}

/** Where a copy comes from. */
export interface CopySource {
  /** From `skip` to the end; undefined for what ends when it ends. */
  readonly bytes: number | undefined;
  open(signal: AbortSignal): Readable;
  close(): Promise<void>;
}

/** Where a copy goes to. */
export interface CopyEnd {
  /** Undefined for standard output. */
  readonly device: StreamableDevice | undefined;
  open(options: { sparse: boolean; signal: AbortSignal }): Writable;
  /** All is written, up to this offset. */
  complete?(endOffset: number): Promise<void>;
  close(): Promise<void>;
}

interface OpenDevice {
  readonly device: StreamableDevice;
  close(): Promise<void>;
}

const isUrl = (name: string) => /^iscsi:\/\//i.test(name);

async function openDisk(url: string, values: CommonValues, inFlight: number, signal: AbortSignal): Promise<OpenDevice> {
  const unit = unitArguments(url, values);
  const session = await connect({ ...unit, maxOutstandingCommands: Math.max(64, inFlight), signal });
  try {
    return { device: await session.blockDevice({ signal }), close: () => session.logout() };
  } catch (error) {
    session.destroy();
    throw error;
  }
}

/** Opens what `--if` names. */
export async function openInput(
  name: string,
  sizes: Sizes,
  values: CommonValues,
  signal: AbortSignal,
): Promise<CopySource> {
  if (name === "-") return streamSource(() => process.stdin, sizes.skip);
  let source: OpenDevice;
  if (isUrl(name)) source = await openDisk(name, values, sizes.inFlight, signal);
  else {
    const file = await FileDevice.toRead(name);
    if (file === undefined) return streamSource(() => createFileStream(name), sizes.skip);
    source = { device: file, close: () => file.close() };
  }
  const { device, close } = source;
  const bytes = Math.max(0, device.sizeBytes - sizes.skip);
  const { chunkBytes, inFlight } = sizes;
  const start = device.sizeBytes - bytes;
  const end = start + Math.min(bytes, sizes.count);
  return { bytes, open: (signal) => createReadStream(device, { start, end, chunkBytes, inFlight, signal }), close };
}

function streamSource(open: () => Readable, skip: number): CopySource {
  const source = () => (skip === 0 ? open() : Readable.from(without(open(), skip), { objectMode: false }));
  return { bytes: undefined, open: source, close: async () => undefined };
}

async function* without(source: AsyncIterable<Buffer>, skip: number): AsyncGenerator<Buffer> {
  let left = skip;
  for await (const chunk of source) {
    const dropped = Math.min(left, chunk.length);
    left -= dropped;
    if (dropped < chunk.length) yield chunk.subarray(dropped);
  }
}

/** Opens what `--of` names. */
export async function openOutput(
  name: string,
  sizes: Sizes,
  values: CommonValues,
  signal: AbortSignal,
): Promise<CopyEnd> {
  if (name === "-") return { device: undefined, open: () => process.stdout, close: async () => undefined };
  const { chunkBytes, inFlight, seek: start } = sizes;
  const sink = (device: StreamableDevice, options: { sparse: boolean; signal: AbortSignal }) =>
    createWriteStream(options.sparse ? zeroAware(device) : device, {
      start,
      chunkBytes,
      inFlight,
      padTail: "zero",
      signal: options.signal,
    });
  if (isUrl(name)) {
    const { device, close } = await openDisk(name, values, inFlight, signal);
    return { device, open: (options) => sink(device, options), close };
  }
  const file = await FileDevice.toWrite(name, start);
  return {
    device: file,
    open: (options) => sink(file, options),
    complete: (endOffset) => file.setSize(endOffset),
    close: () => file.close(),
  };
}

const ZEROS = Buffer.alloc(64 * 1024);

function isZero(data: Buffer): boolean {
  for (let at = 0; at < data.length; at += ZEROS.length) {
    const part = data.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}

/** Writes of nothing but zeros become `writeZeroes`, which moves no data where the device can help it. */
function zeroAware(device: StreamableDevice): StreamableDevice {
  return {
    sizeBytes: device.sizeBytes,
    blockSize: device.blockSize,
    read: (...args) => device.read(...args),
    write: (offset, data, options) =>
      isZero(data) ? device.writeZeroes(offset, data.length, options) : device.write(offset, data, options),
    writeZeroes: (...args) => device.writeZeroes(...args),
    flush: (...args) => device.flush(...args),
  };
}
