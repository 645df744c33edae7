// node-iscsi perf: how many commands a second a disk takes, and how long each one lasts.
import { randomFillSync } from "node:crypto";
import { createHistogram } from "node:perf_hooks";
import { read16 } from "../scsi/read-16.ts";
import { write16 } from "../scsi/write-16.ts";
import type { IscsiSession } from "../session.ts";
import {
  type CliCommand,
  parseCommand,
  parseCount,
  parseNumber,
  parseSize,
  UsageError,
  unitArguments,
} from "./arguments.ts";
import { openDisk } from "./open-disk.ts";
import { formatBytes, formatRate, note, print, printJson } from "./output.ts";

const HELP = `node-iscsi perf: measures a disk with many small commands at once.

Usage: node-iscsi perf [options] iscsi://host[:port]/target-name/lun

      --read               measure reads (the default)
      --write --dataloss   measure writes. They DESTROY what is on the disk, hence the second option
      --random             anywhere on the disk instead of one after the other
      --block-size SIZE    bytes of one command (default 4096)
      --max-requests N     commands under way at a time (default 32)
      --runtime SECONDS    (default 10); Ctrl-C ends it earlier and prints the summary all the same

Prints commands a second (IOPS) and MB/s (10^6 bytes) each second, then the means and the latencies: half of the commands
took at most p50, 99 of 100 at most p99.`;

const OPTIONS = {
  read: { type: "boolean" },
  write: { type: "boolean" },
  dataloss: { type: "boolean" },
  random: { type: "boolean" },
  "block-size": { type: "string" },
  "max-requests": { type: "string" },
  runtime: { type: "string" },
} as const;

interface Load {
  readonly isWrite: boolean;
  readonly isRandom: boolean;
  readonly bytes: number;
  readonly requests: number;
  readonly runtimeMs: number;
}

function parseLoad(values: { [name in keyof typeof OPTIONS]?: string | boolean | undefined }): Load {
  if (values.write === true && values.read === true) throw new UsageError("--read and --write exclude each other");
  if (values.write === true && values.dataloss !== true)
    throw new UsageError("--write destroys what is on the disk; add --dataloss if that is meant");
  const text = (name: "block-size" | "max-requests" | "runtime", otherwise: string) =>
    typeof values[name] === "string" ? values[name] : otherwise;
  return {
    isWrite: values.write === true,
    isRandom: values.random === true,
    bytes: parseSize(text("block-size", "4096"), "--block-size"),
    requests: parseCount(text("max-requests", "32"), "--max-requests"),
    runtimeMs: parseNumber(text("runtime", "10"), "--runtime") * 1000,
  };
}

/** Runs the load and keeps the counts. */
class Measurement {
  readonly latency = createHistogram();
  done = 0;
  elapsedMs = 0;
  readonly #session: IscsiSession;
  readonly #load: Load;
  readonly #blockSize: number;
  /** Commands that fit the disk side by side. */
  readonly #places: number;
  #next = 0;

  constructor(session: IscsiSession, load: Load, unit: { blockSize: number; sizeBytes: number }) {
    if (load.bytes === 0 || load.bytes % unit.blockSize !== 0)
      throw new UsageError(`--block-size ${load.bytes} is not a multiple of the disk's ${unit.blockSize}`);
    this.#session = session;
    this.#load = load;
    this.#blockSize = unit.blockSize;
    this.#places = Math.floor(unit.sizeBytes / load.bytes);
    if (this.#places === 0)
      throw new UsageError(`--block-size ${load.bytes} is more than the disk's ${unit.sizeBytes}`);
  }

  async run(signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const until = startedAt + this.#load.runtimeMs;
    let hasFailed = false;
    const worker = async () => {
      const data = Buffer.allocUnsafe(this.#load.bytes);
      // Not zeros: some targets store those for nothing.
      if (this.#load.isWrite) randomFillSync(data);
      try {
        while (!hasFailed && !signal.aborted && performance.now() < until) await this.#one(data);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    };
    const results = await Promise.allSettled(Array.from({ length: this.#load.requests }, worker));
    this.elapsedMs = performance.now() - startedAt;
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #one(data: Buffer): Promise<void> {
    const { isRandom, isWrite } = this.#load;
    const place = isRandom ? Math.floor(Math.random() * this.#places) : this.#next++ % this.#places;
    const blocks = data.length / this.#blockSize;
    const startedAt = performance.now();
    await this.#session.executeWithRetry((isWrite ? write16 : read16)(place * blocks, blocks, data));
    // The histogram takes whole numbers above 0.
    this.latency.record(Math.max(1, Math.round((performance.now() - startedAt) * 1e6)));
    this.done += 1;
  }
}

interface Second {
  readonly iops: number;
  readonly bytesPerSecond: number;
}

/** A line each second; returns the function that ends it. */
function watch(measurement: Measurement, bytes: number, isJson: boolean): { seconds: Second[]; stop(): void } {
  const seconds: Second[] = [];
  let before = 0;
  let lastAt = performance.now();
  const tick = () => {
    const now = performance.now();
    const count = measurement.done - before;
    const elapsedMs = now - lastAt;
    before = measurement.done;
    lastAt = now;
    const second = { iops: (count * 1000) / elapsedMs, bytesPerSecond: (count * bytes * 1000) / elapsedMs };
    seconds.push(second);
    const rate = formatRate(count * bytes, elapsedMs);
    if (!isJson)
      print(
        `${String(seconds.length).padStart(4)} s  ${second.iops.toFixed(0).padStart(8)} IOPS  ${rate.padStart(12)}`,
      );
  };
  const timer = setInterval(tick, 1000);
  const stop = () => {
    clearInterval(timer);
    // The last second ends with the run and a little before the timer.
    if (performance.now() - lastAt > 500) tick();
  };
  return { seconds, stop };
}

function summaryOf(measurement: Measurement, load: Load) {
  const { latency, done, elapsedMs } = measurement;
  const ms = (nanoseconds: number) => (done === 0 ? 0 : nanoseconds / 1e6);
  return {
    operation: `${load.isRandom ? "random" : "sequential"} ${load.isWrite ? "write" : "read"}`,
    blockSize: load.bytes,
    maxRequests: load.requests,
    seconds: elapsedMs / 1000,
    commands: done,
    iops: (done * 1000) / elapsedMs,
    bytesPerSecond: (done * load.bytes * 1000) / elapsedMs,
    latencyMs: {
      mean: ms(latency.mean),
      p50: ms(latency.percentile(50)),
      p99: ms(latency.percentile(99)),
      max: ms(latency.max),
    },
  };
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseCommand(args, OPTIONS, ["iscsi://host[:port]/target-name/lun"]);
  const load = parseLoad(values);
  const unit = unitArguments(positionals[0] ?? "", values);
  const { session, device } = await openDisk(unit, load.requests, signal);
  try {
    const measurement = new Measurement(session, load, device);
    const isJson = values.json === true;
    const { operation } = summaryOf(measurement, load);
    if (!isJson)
      note(
        `${operation} of ${load.bytes} bytes, ${load.requests} at a time, on a disk of ${formatBytes(device.sizeBytes)}`,
      );
    const { seconds, stop } = watch(measurement, load.bytes, isJson);
    try {
      await measurement.run(signal);
    } finally {
      stop();
    }
    const summary = summaryOf(measurement, load);
    if (isJson) printJson({ ...summary, perSecond: seconds });
    else {
      const { mean, p50, p99, max } = summary.latencyMs;
      const total = measurement.done * load.bytes;
      print(
        `mean ${summary.iops.toFixed(0)} IOPS, ${formatRate(total, measurement.elapsedMs)}; latency mean ${mean.toFixed(3)} ms, ` +
          `p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms, max ${max.toFixed(3)} ms`,
      );
    }
    return 0;
  } finally {
    await session.logout();
  }
}

export const perf: CliCommand = { name: "perf", summary: "measure a disk", help: HELP, run };
