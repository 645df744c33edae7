// Cuts an image into aligned chunks for the writer: zeros stay zeros however long, data is gathered from its extents.
import type { ImageExtent, ImageSource } from "./image-source.ts";

type DataExtent = ImageExtent & { kind: "data" };

/** A part of the image; without `parts` it is zeros, of any number of chunks. Its offset is a multiple of the chunk size. */
export interface Chunk {
  readonly offset: number;
  readonly length: number;
  readonly parts: readonly DataExtent[];
}

/**
 * All chunks, in order, without gaps. Clusters smaller than a chunk, or than the disk's blocks, come together in one.
 */
export async function* chunksOf(source: ImageSource, chunkBytes: number, signal?: AbortSignal): AsyncGenerator<Chunk> {
  const end = source.virtualSizeBytes;
  let parts: DataExtent[] = [];
  let offset = 0;
  const close = function* (upTo: number): Generator<Chunk> {
    if (upTo > offset) yield { offset, length: upTo - offset, parts };
    parts = [];
    offset = Math.max(offset, upTo);
  };
  for await (const extent of source.extents(chunkBytes, signal)) {
    const chunkStart = extent.offset - (extent.offset % chunkBytes);
    const extentEnd = extent.offset + extent.length;
    if (extent.kind === "data") {
      if (parts.length === 0) yield* close(chunkStart);
      parts.push(extent);
      if (extentEnd % chunkBytes === 0) yield* close(extentEnd);
    } else if (parts.length > 0) {
      // Zeros that finish a chunk with data in it belong to that chunk; what follows is a run of its own.
      const chunkEnd = Math.min(end, chunkStart + chunkBytes);
      if (extentEnd >= chunkEnd) yield* close(chunkEnd);
    }
  }
  yield* close(end);
}

/** Gathers a chunk's bytes into `buffer` (at least `length` bytes); what no extent covers becomes zeros. */
export async function readChunk(chunk: Chunk, buffer: Buffer): Promise<void> {
  let filled = 0;
  const reads: Promise<void>[] = [];
  for (const part of chunk.parts) {
    const at = part.offset - chunk.offset;
    if (at > filled) buffer.fill(0, filled, at);
    reads.push(part.read(buffer.subarray(at, at + part.length)));
    filled = at + part.length;
  }
  buffer.fill(0, filled);
  const results = await Promise.allSettled(reads);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
