// Buffers that the kernel copies into and out of at full speed: they begin at a page.

const PAGE_BYTES = 4096;
/** What glibc's malloc puts before a block that it maps on its own. */
const MALLOC_HEADER_BYTES = 16;

/**
 * A buffer of `bytes` with arbitrary content that, where the C library is glibc, begins at a page border. Trap: a large buffer of
 * `Buffer.allocUnsafeSlow` begins 16 bytes into a page, and some processors (AMD Zen 3) read a file from the page cache to there at a
 * quarter of their speed. Elsewhere it is a buffer like any other. It takes a page more than asked for.
 */
export function allocateTransferBuffer(bytes: number): Buffer {
  const at = PAGE_BYTES - MALLOC_HEADER_BYTES;
  return Buffer.allocUnsafeSlow(bytes + PAGE_BYTES).subarray(at, at + bytes);
}
