// qcow2 images, streamed: one L2 table in memory at a time, clusters that follow each other read at once, holes kept as holes.
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { type ImageExtent, type ImageSource, unacceptable } from "./image-source.ts";
import {
  type Cluster,
  parseL1Entry,
  parseL2Entry,
  parseQcow2Header,
  QCOW2_HEADER_BYTES,
  type Qcow2Header,
} from "./qcow2-format.ts";
import { readExactly } from "./raw.ts";

const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

/** A run of guest clusters that is one piece in the file too. */
interface Run {
  readonly cluster: Cluster;
  readonly offset: number;
  length: number;
}

export class Qcow2Image implements ImageSource {
  readonly format = "qcow2";
  readonly virtualSizeBytes: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #fileSize: number;
  readonly #header: Qcow2Header;
  readonly #l1: Buffer;

  private constructor(path: string, file: FileHandle, fileSize: number, header: Qcow2Header, l1: Buffer) {
    this.#path = path;
    this.#file = file;
    this.#fileSize = fileSize;
    this.#header = header;
    this.#l1 = l1;
    this.virtualSizeBytes = header.virtualSizeBytes;
  }

  /** @throws BaremetalError `ImageUnacceptable` if the header says something that we do not read */
  static async open(path: string): Promise<Qcow2Image> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const head = Buffer.alloc(Math.min(QCOW2_HEADER_BYTES, size));
      await readExactly(file, head, 0, path);
      const header = parseQcow2Header(head, size, path);
      const l1 = Buffer.alloc(header.l1Entries * 8);
      await readExactly(file, l1, header.l1Offset, path);
      return new Qcow2Image(path, file, size, header, l1);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async measure(signal?: AbortSignal): Promise<number> {
    let dataBytes = 0;
    for await (const run of this.#runs(signal)) if (run.cluster.kind !== "zero") dataBytes += run.length;
    return dataBytes;
  }

  async *extents(maxDataBytes: number, signal?: AbortSignal): AsyncGenerator<ImageExtent> {
    for await (const { cluster, offset, length } of this.#runs(signal)) {
      if (cluster.kind === "zero") {
        yield { kind: "zero", offset, length };
      } else if (cluster.kind === "compressed") {
        yield* this.#compressed(cluster, offset, length, maxDataBytes);
      } else {
        for (const piece of pieces(offset, length, maxDataBytes)) {
          const from = cluster.fileOffset + piece.offset - offset;
          yield { kind: "data", ...piece, read: (buffer: Buffer) => this.#readData(buffer, from) };
        }
      }
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Walks all tables in order and joins neighbours of one kind. */
  async *#runs(signal?: AbortSignal): AsyncGenerator<Run> {
    const { clusterSize } = this.#header;
    const perTable = clusterSize / 8;
    const table = Buffer.alloc(clusterSize);
    let run: Run | undefined;
    for (let index = 0; index < this.#header.l1Entries; index++) {
      signal?.throwIfAborted();
      const l2Offset = parseL1Entry(this.#l1.readBigUInt64BE(index * 8), this.#header, this.#fileSize, this.#path);
      if (l2Offset !== undefined) await readExactly(this.#file, table, l2Offset, this.#path);
      const first = index * perTable;
      const count = Math.min(perTable, Math.ceil(this.virtualSizeBytes / clusterSize) - first);
      // A table that is absent is one run of zeros, not a loop over its clusters.
      const step = l2Offset === undefined ? count : 1;
      for (let at = 0; at < count; at += step) {
        const offset = (first + at) * clusterSize;
        const length = Math.min(step * clusterSize, this.virtualSizeBytes - offset);
        const cluster: Cluster =
          l2Offset === undefined
            ? { kind: "zero" }
            : parseL2Entry(table.readBigUInt64BE(at * 8), this.#header, this.#fileSize, this.#path);
        if (run !== undefined && continues(run, cluster)) {
          run.length += length;
          continue;
        }
        if (run !== undefined) yield run;
        run = { cluster, offset, length };
      }
    }
    if (run !== undefined) yield run;
  }

  async #readData(buffer: Buffer, fileOffset: number): Promise<void> {
    // QEMU may leave the file's last cluster short; the rest of it is zeros.
    const present = Math.min(buffer.length, Math.max(0, this.#fileSize - fileOffset));
    await readExactly(this.#file, buffer.subarray(0, present), fileOffset, this.#path);
    buffer.fill(0, present);
  }

  async *#compressed(
    cluster: Cluster & { kind: "compressed" },
    offset: number,
    length: number,
    maxDataBytes: number,
  ): AsyncGenerator<ImageExtent> {
    // Inflated once, however small the pieces that the reader asks for.
    let content: Promise<Buffer> | undefined;
    for (const piece of pieces(offset, length, maxDataBytes)) {
      const read = async (buffer: Buffer) => {
        content ??= this.#inflate(cluster);
        (await content).copy(buffer, 0, piece.offset - offset);
      };
      yield { kind: "data", ...piece, read };
    }
  }

  async #inflate(cluster: Cluster & { kind: "compressed" }): Promise<Buffer> {
    const packed = Buffer.alloc(cluster.fileBytes);
    await readExactly(this.#file, packed, cluster.fileOffset, this.#path);
    const { clusterSize } = this.#header;
    const plain = await inflate(packed, { maxOutputLength: clusterSize }).catch((cause: unknown) => {
      throw unacceptable(this.#path, `the compressed cluster at ${cluster.fileOffset} is corrupt`, cause);
    });
    if (plain.length !== clusterSize)
      throw unacceptable(this.#path, `the compressed cluster at ${cluster.fileOffset} is short`);
    return plain;
  }
}

/** Cuts a range at the multiples of `step`. */
function* pieces(offset: number, length: number, step: number): Generator<{ offset: number; length: number }> {
  for (let at = offset; at < offset + length; ) {
    const end = Math.min(offset + length, (Math.floor(at / step) + 1) * step);
    yield { offset: at, length: end - at };
    at = end;
  }
}

function continues(run: Run, cluster: Cluster): boolean {
  if (run.cluster.kind === "zero") return cluster.kind === "zero";
  if (run.cluster.kind === "data")
    return cluster.kind === "data" && cluster.fileOffset === run.cluster.fileOffset + run.length;
  return false;
}
