// node-iscsi dd: copies between files, pipes and disks, in parallel, with a check of what arrived.
import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import { createReadStream } from "../read-stream.ts";
import type { BlockWriteStream } from "../write-stream.ts";
import { type CliCommand, parseCommand, parseCount, parseSize, UsageError } from "./arguments.ts";
import { type CopyEnd, type CopySource, openInput, openOutput } from "./copy-ends.ts";
import { Ledger } from "./ledger.ts";
import { formatBytes, formatRate, note, printJson } from "./output.ts";
import { Progress } from "./progress.ts";

const HELP = `node-iscsi dd: copies an image to a disk, a disk to a file, or one disk to another.

Usage: node-iscsi dd --if FILE|URL|- --of URL|FILE|- [options]

      --if FROM          file, iscsi://host/target-name/lun, or - for standard input
      --of TO            the same; what it held is overwritten. - is standard output
                         (pipes and /dev/null are written like it: from the beginning, without --seek)
      --bs SIZE          bytes of one read or write (default 1M)
      --in-flight N      reads and writes under way at a time (default 8)
      --count SIZE       copy so many bytes and no more
      --skip SIZE        begin so many bytes into the input
      --seek SIZE        begin so many bytes into the output (a multiple of the disk's block size)
      --sparse           zeros become holes of a file, and are zeroed on a disk by the quickest command it has;
                         they are written to a block device of this machine
      --verify sha256    read back what was written and compare
      --progress         show how far it is

SIZE is bytes, or 64k, 1M, 2G (powers of 1024). The disk is flushed before the copy counts as done. When the data ends
inside a block of the disk, the rest of that block is filled with zeros. After an error or Ctrl-C a line says how many
bytes the disk acknowledged. An input larger than the disk is refused before anything is written; where its size shows
only at its end (standard input), what fits is written, and the status is 1.

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

/** What is copied, passing by: cut to `count` and to the room at the output, counted, hashed. */
class Meter {
  bytes = 0;
  /** There was more than the output has room for. */
  isTooLarge = false;
  readonly #plan: Plan;
  readonly #room: number;

  constructor(plan: Plan, room: number) {
    this.#plan = plan;
    this.#room = room;
  }

  async *through(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const { count, hash } = this.#plan;
    for await (const chunk of source) {
      const part = chunk.subarray(0, Math.min(count, this.#room) - this.bytes);
      this.bytes += part.length;
      hash?.update(part);
      if (part.length > 0) yield part;
      if (this.bytes === count) return;
      this.isTooLarge = part.length < chunk.length;
      if (this.isTooLarge) return;
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

/** Compares what stands in the output now with what was read. @throws Error when they differ */
async function verify(output: CopyEnd, to: string, bytes: number, plan: Plan, signal: AbortSignal) {
  const { device } = output;
  if (plan.hash === undefined || device === undefined) return undefined;
  const sha256 = plan.hash.digest("hex");
  const hash = createHash("sha256");
  const { seek: start, chunkBytes, inFlight } = plan;
  for await (const chunk of createReadStream(device, { start, end: start + bytes, chunkBytes, inFlight, signal }))
    hash.update(chunk);
  const found = hash.digest("hex");
  if (found !== sha256)
    throw new Error(`verification failed: ${to} holds sha256 ${found}, what was read has ${sha256}`);
  return sha256;
}

function checkArguments(from: string | undefined, to: string | undefined, json: boolean) {
  if (from === undefined) throw new UsageError("--if is missing: a file, a URL, or - for standard input");
  if (to === undefined) throw new UsageError("--of is missing: a URL, a file, or - for standard output");
  if (to === "-" && json) throw new UsageError("--json and the copy cannot both go to standard output");
  return { from, to };
}

interface Names {
  readonly from: string;
  readonly to: string;
}

/** What speaks against the copy; nothing is changed yet. */
function checkEnds(input: CopySource, output: CopyEnd, { from, to }: Names, plan: Plan): void {
  if (input.identities.some((identity) => output.identities.includes(identity)))
    throw new UsageError(
      `--if ${from} and --of ${to} are the same ${output.device?.blockSize === 1 ? "file" : "disk"}; nothing was changed`,
    );
  if (plan.hash !== undefined && output.device === undefined)
    throw new UsageError(
      `--verify cannot read back what went to ${to === "-" ? "standard output" : to}; it needs a disk or a file`,
    );
  const expected = Math.min(plan.count, input.bytes ?? 0);
  if (expected > output.room)
    throw new Error(
      `the input is larger than the disk: ${expected} bytes, and ${to} has room for ${output.room}${plan.seek > 0 ? " behind --seek" : ""}; nothing was written. --count ${output.room} copies what fits`,
    );
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseCommand(args, OPTIONS, []);
  const plan = parsePlan(values);
  const names = checkArguments(values.if, values.of, values.json === true);
  const input = await openInput(names.from, plan, values, signal);
  let output: CopyEnd | undefined;
  try {
    output = await openOutput(names.to, plan, values, signal);
    checkEnds(input, output, names, plan);
    await output.prepare?.();
    const options = { isSparse: values.sparse === true, isShown: values.progress === true };
    report(values.json === true, await transfer(input, output, names.to, plan, options, signal));
    return 0;
  } finally {
    await Promise.allSettled([input.close(), output?.close()]);
  }
}

/** The copy itself, flushed and verified; when it fails, a line says what became of the output. */
async function transfer(
  input: CopySource,
  output: CopyEnd,
  to: string,
  plan: Plan,
  options: { isSparse: boolean; isShown: boolean },
  signal: AbortSignal,
): Promise<Result> {
  const startedAt = performance.now();
  const meter = new Meter(plan, output.room);
  const ledger = output.device === undefined ? undefined : new Ledger(output.device, options.isSparse);
  const sink = output.open(ledger, signal);
  const expected = Math.min(plan.count, input.bytes ?? Number.POSITIVE_INFINITY);
  const progress = options.isShown ? new Progress(meter, expected) : undefined;
  try {
    try {
      await copy(input.open(signal), meter, sink, signal);
    } catch (error) {
      // Its error may name the pipeline's abort only; the stream knows how far the disk got.
      const { acknowledgedBytes } = sink as Partial<BlockWriteStream>;
      if (ledger !== undefined && acknowledgedBytes !== undefined)
        note(ledger.describe(to, plan.seek, acknowledgedBytes));
      throw error;
    }
    const elapsedMs = performance.now() - startedAt;
    await output.complete?.(plan.seek + meter.bytes);
    if (meter.isTooLarge)
      throw new Error(
        `the input is larger than the disk (${output.room} bytes): the first ${meter.bytes} bytes were written`,
      );
    const sha256 = await verify(output, to, meter.bytes, plan, signal);
    return { bytes: meter.bytes, elapsedMs, sha256 };
  } finally {
    progress?.end();
  }
}

interface Result {
  readonly bytes: number;
  readonly elapsedMs: number;
  readonly sha256: string | undefined;
}

function report(isJson: boolean, result: Result): void {
  const { bytes, elapsedMs, sha256 } = result;
  if (isJson) printJson({ bytes, seconds: elapsedMs / 1000, bytesPerSecond: (bytes / elapsedMs) * 1000, sha256 });
  else {
    const summary = `${bytes} bytes${bytes < 1024 ? "" : ` (${formatBytes(bytes)})`} copied in ${(elapsedMs / 1000).toFixed(2)} s`;
    note(`${summary}, ${formatRate(bytes, elapsedMs)}${sha256 === undefined ? "" : `; verified, sha256 ${sha256}`}`);
  }
}

export const dd: CliCommand = { name: "dd", summary: "copy to, from and between disks", help: HELP, run };
