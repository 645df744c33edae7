// node-iscsi dd: copies between files, pipes and disks, in parallel, with a check of what arrived.
import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import { createReadStream } from "../read-stream.ts";
import { type CliCommand, parseCommand, parseCount, parseSize, UsageError } from "./arguments.ts";
import { type CopyEnd, openInput, openOutput } from "./copy-ends.ts";
import { formatBytes, formatRate, note, printJson } from "./output.ts";
import { Progress } from "./progress.ts";

const HELP = `node-iscsi dd: copies an image to a disk, a disk to a file, or one disk to another.

Usage: node-iscsi dd --if FILE|URL|- --of URL|FILE|- [options]

      --if FROM          file, iscsi://host/target-name/lun, or - for standard input
      --of TO            the same; what it held is overwritten. - is standard output
      --bs SIZE          bytes of one read or write (default 1M)
      --in-flight N      reads and writes under way at a time (default 8)
      --count SIZE       copy so many bytes and no more
      --skip SIZE        begin so many bytes into the input
      --seek SIZE        begin so many bytes into the output (a multiple of the disk's block size)
      --sparse           zeros become holes of a file, and are zeroed on a disk by the quickest command it has
      --verify sha256    read back what was written and compare
      --progress         show how far it is

SIZE is bytes, or 64k, 1M, 2G (powers of 1024). The disk is flushed before the copy counts as done. When the data ends
inside a block of the disk, the rest of that block is filled with zeros. After an error or Ctrl-C the last line says how
many bytes are on the disk for certain.

  $ node-iscsi dd --if debian.raw --of iscsi://10.0.0.7/iqn.2026-11.org.example:node0/1 --verify sha256 --progress`;

const OPTIONS = {
  if: { type: "string" },
  of: { type: "string" },
  bs: { type: "string" },
  "in-flight": { type: "string" },
  count: { type: "string" },
  skip: { type: "string" },
  seek: { type: "string" },
  sparse: { type: "boolean" },
  verify: { type: "string" },
  progress: { type: "boolean" },
} as const;

interface Plan {
  readonly chunkBytes: number;
  readonly inFlight: number;
  readonly count: number;
  readonly skip: number;
  readonly seek: number;
  readonly hash: Hash | undefined;
}

function parsePlan(values: { [name in keyof typeof OPTIONS]?: string | boolean | undefined }): Plan {
  const size = (name: "bs" | "count" | "skip" | "seek", otherwise: number) =>
    typeof values[name] === "string" ? parseSize(values[name], `--${name}`) : otherwise;
  if (values.verify !== undefined && values.verify !== "sha256")
    throw new UsageError(`--verify takes sha256, not ${values.verify}`);
  const chunkBytes = size("bs", 1024 * 1024);
  if (chunkBytes === 0) throw new UsageError("--bs takes a size above 0");
  return {
    chunkBytes,
    inFlight: typeof values["in-flight"] === "string" ? parseCount(values["in-flight"], "--in-flight") : 8,
    count: size("count", Number.POSITIVE_INFINITY),
    skip: size("skip", 0),
    seek: size("seek", 0),
    hash: values.verify === undefined ? undefined : createHash("sha256"),
  };
}

/** What is copied, passing by: cut to `count`, counted, hashed. */
class Meter {
  bytes = 0;
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async *through(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      const part = chunk.subarray(0, this.#plan.count - this.bytes);
      this.bytes += part.length;
      this.#plan.hash?.update(part);
      yield part;
      if (this.bytes === this.#plan.count) return;
    }
  }
}

/** Copies; when it fails, not before both ends are closed, so that their numbers are final. */
async function copy(source: Readable, meter: Meter, sink: Writable, signal: AbortSignal): Promise<void> {
  const isClosed = sink === process.stdout ? turn() : once(sink, "close").catch(() => undefined);
  try {
    await pipeline(source, (chunks: AsyncIterable<Buffer>) => meter.through(chunks), sink, { signal });
  } catch (error) {
    await isClosed;
    throw error;
  }
}

/** SHA-256 of what stands in the output now. */
async function hashOf(output: CopyEnd, bytes: number, plan: Plan, signal: AbortSignal): Promise<string> {
  const { device } = output;
  if (device === undefined) throw new UsageError("--verify cannot read back what went to standard output");
  const hash = createHash("sha256");
  const { seek: start, chunkBytes, inFlight } = plan;
  for await (const chunk of createReadStream(device, { start, end: start + bytes, chunkBytes, inFlight, signal }))
    hash.update(chunk);
  return hash.digest("hex");
}

function checkArguments(from: string | undefined, to: string | undefined, json: boolean, verify: boolean) {
  if (from === undefined) throw new UsageError("--if is missing: a file, a URL, or - for standard input");
  if (to === undefined) throw new UsageError("--of is missing: a URL, a file, or - for standard output");
  if (from === to && from !== "-") throw new UsageError("--if and --of are the same");
  if (to === "-" && json) throw new UsageError("--json and the copy cannot both go to standard output");
  if (to === "-" && verify) throw new UsageError("--verify cannot read back what went to standard output");
  return { from, to };
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseCommand(args, OPTIONS, []);
  const plan = parsePlan(values);
  const { from, to } = checkArguments(values.if, values.of, values.json === true, plan.hash !== undefined);
  const startedAt = performance.now();
  const input = await openInput(from, plan, values, signal);
  let output: CopyEnd | undefined;
  let progress: Progress | undefined;
  const meter = new Meter(plan);
  let sink: Writable | undefined;
  try {
    output = await openOutput(to, plan, values, signal);
    const expected = Math.min(plan.count, input.bytes ?? Number.POSITIVE_INFINITY);
    const room = output.device === undefined ? Number.POSITIVE_INFINITY : output.device.sizeBytes - plan.seek;
    if (expected !== Number.POSITIVE_INFINITY && expected > room)
      throw new UsageError(`${expected} bytes do not fit ${to}, which has room for ${Math.max(0, room)}; give --count`);
    const { open } = output;
    sink = open({ sparse: values.sparse === true, signal });
    if (values.progress === true) progress = new Progress(meter, expected);
    await copy(input.open(signal), meter, sink, signal);
    const elapsedMs = performance.now() - startedAt;
    await output.complete?.(plan.seek + meter.bytes);
    const sha256 = plan.hash?.digest("hex");
    if (sha256 !== undefined) {
      const found = await hashOf(output, meter.bytes, plan, signal);
      if (found !== sha256)
        throw new Error(`verification failed: ${to} holds sha256 ${found}, what was read has ${sha256}`);
    }
    progress?.end();
    report(values.json === true, { bytes: meter.bytes, elapsedMs, sha256 });
    return 0;
  } catch (error) {
    progress?.end();
    // Its error may name the pipeline's abort only; the stream knows how far the disk got.
    const acknowledged = (sink as { acknowledgedBytes?: number } | undefined)?.acknowledgedBytes;
    if (acknowledged !== undefined)
      note(
        `${acknowledged} bytes from ${plan.seek} on were acknowledged by ${to}; later ones may have been written too`,
      );
    throw error;
  } finally {
    await Promise.allSettled([input.close(), output?.close()]);
  }
}

function report(isJson: boolean, result: { bytes: number; elapsedMs: number; sha256: string | undefined }): void {
  const { bytes, elapsedMs, sha256 } = result;
  if (isJson) printJson({ bytes, seconds: elapsedMs / 1000, bytesPerSecond: (bytes / elapsedMs) * 1000, sha256 });
  else {
    const summary = `${bytes} bytes${bytes < 1024 ? "" : ` (${formatBytes(bytes)})`} copied in ${(elapsedMs / 1000).toFixed(2)} s`;
    note(`${summary}, ${formatRate(bytes, elapsedMs)}${sha256 === undefined ? "" : `; verified, sha256 ${sha256}`}`);
  }
}

export const dd: CliCommand = { name: "dd", summary: "copy to, from and between disks", help: HELP, run };
