// What a disk image is to the writer: a size and its extents in order, read straight into the writer's buffers.
import { basename } from "node:path";
import { BaremetalError } from "../../lib/errors.ts";

/** A piece of the image, in order, without gaps. */
export type ImageExtent =
  | { readonly kind: "zero"; readonly offset: number; readonly length: number }
  | {
      readonly kind: "data";
      readonly offset: number;
      readonly length: number;
      /** Fills `buffer`, which has `length` bytes. */
      read(buffer: Buffer): Promise<void>;
    };

/** An open image. */
export interface ImageSource {
  readonly format: "raw" | "qcow2";
  /** What the node's disk will hold; need not be a multiple of anything. */
  readonly virtualSizeBytes: number;
  /**
   * Looks at every table of the image: what is wrong with it is found before a byte is written.
   * Resolves with the bytes that are not known to be zero.
   * @throws BaremetalError `ImageUnacceptable`
   */
  measure(signal?: AbortSignal): Promise<number>;
  /** All extents from 0 to `virtualSizeBytes`; a data extent never crosses a multiple of `maxDataBytes`. */
  extents(maxDataBytes: number, signal?: AbortSignal): AsyncIterable<ImageExtent>;
  close(): Promise<void>;
}

/** The refusal of an image. `reason` completes "the image ... cannot be deployed:". */
export function unacceptable(path: string, reason: string, cause?: unknown): BaremetalError {
  // The user reads this: in the cache an image's name is its SHA-256, and where our cache lies is none of his business.
  const name = basename(path).slice(0, 16);
  return new BaremetalError("ImageUnacceptable", `the image ${name} cannot be deployed: ${reason}`, {
    data: { image: path, reason },
    cause,
  });
}

/** Reads the first `length` bytes (fewer, if the image ends before) of what the node's disk will hold. */
export async function readHead(source: ImageSource, length: number): Promise<Buffer> {
  const wanted = Math.min(length, source.virtualSizeBytes);
  const head = Buffer.alloc(wanted);
  for await (const extent of source.extents(wanted)) {
    if (extent.offset >= wanted) break;
    if (extent.kind === "zero") continue;
    const piece = Buffer.alloc(extent.length);
    await extent.read(piece);
    piece.copy(head, extent.offset);
  }
  return head;
}
