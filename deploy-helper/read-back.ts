// Reads what was written back from the node's disk and hashes it: the proof that the tenant gets the image's bytes.
import { createHash } from "node:crypto";
import { type BlockDevice, MIB } from "./disk/index.ts";

const CHUNK_BYTES = MIB;
const READS_IN_FLIGHT = 6;

/** SHA-256, lower-case hex, of the first `lengthBytes` of `device`. */
export async function readBackSha256(
  device: BlockDevice,
  lengthBytes: number,
  options: { readonly signal: AbortSignal; readonly onProgress?: (bytesDone: number) => void },
): Promise<string> {
  const hash = createHash("sha256");
  const { blockSize } = device;
  const ahead: { length: number; data: Promise<Buffer> }[] = [];
  let next = 0;
  let done = 0;
  try {
    while (done < lengthBytes) {
      while (ahead.length < READS_IN_FLIGHT && next < lengthBytes) {
        const length = Math.min(CHUNK_BYTES, lengthBytes - next);
        const data = device.read(next, Math.ceil(length / blockSize) * blockSize, { signal: options.signal });
        data.catch(() => {});
        ahead.push({ length, data });
        next += length;
      }
      const first = ahead.shift();
      if (first === undefined) break;
      hash.update((await first.data).subarray(0, first.length));
      done += first.length;
      options.onProgress?.(done);
    }
  } finally {
    await Promise.allSettled(ahead.map((read) => read.data));
  }
  return hash.digest("hex");
}
