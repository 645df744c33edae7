// Zeroing of large ranges, in pieces, so that progress is seen and a cancelled job stops soon.
import type { AbortableOptions, BlockDevice } from "./block-device.ts";

const PIECE_BYTES = 256 * 1024 * 1024;

/** Afterwards the range reads as zeros. `onProgress` is called with the bytes of each piece that is done. */
export async function zeroRange(
  device: BlockDevice,
  offsetBytes: number,
  lengthBytes: number,
  options: AbortableOptions & { readonly onProgress?: (bytes: number) => void } = {},
): Promise<void> {
  const pass = options.signal ? { signal: options.signal } : {};
  for (let done = 0; done < lengthBytes; ) {
    options.signal?.throwIfAborted();
    const piece = Math.min(PIECE_BYTES, lengthBytes - done);
    await device.writeZeroes(offsetBytes + done, piece, pass);
    done += piece;
    options.onProgress?.(piece);
  }
}
