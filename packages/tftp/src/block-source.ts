// Where the blocks of a transfer come from: an open file read in large pieces, or a text already in memory.
import type { promises as fs } from "node:fs";
import { asTftpError, TftpError } from "./errors.ts";

/** A file of fixed size, cut into blocks counted from 1. */
export interface BlockSource {
  readonly sizeBytes: number;
  /** Payload of block `block`; not a promise when it is already in memory. Must not be changed by the caller. */
  read(block: number, blockSize: number): Buffer | Promise<Buffer>;
  close(): Promise<void>;
}

/** Number of the block that ends a transfer: it is shorter than `blockSize`, empty for an exact multiple (RFC 1350 2). */
export function lastBlockOf(sizeBytes: number, blockSize: number): number {
  return Math.floor(sizeBytes / blockSize) + 1;
}

const PIECE_BYTES = 128 * 1024;

/**
 * Reads an open file by position, one piece ahead of the sender. The size is that of the moment it was opened; a file
 * replaced by rename goes on being the old one, a file cut short fails with `FileChanged`.
 */
export class FileSource implements BlockSource {
  readonly sizeBytes: number;
  readonly #handle: fs.FileHandle;
  /** At most the piece in use and the one after it. */
  readonly #pieces = new Map<number, Buffer | Promise<Buffer>>();

  constructor(handle: fs.FileHandle, sizeBytes: number) {
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
  }

  read(block: number, blockSize: number): Buffer | Promise<Buffer> {
    const blocksInPiece = Math.max(1, Math.floor(PIECE_BYTES / blockSize));
    const pieceBytes = blocksInPiece * blockSize;
    const index = Math.floor((block - 1) / blocksInPiece);
    const start = ((block - 1) % blocksInPiece) * blockSize;
    for (const kept of this.#pieces.keys()) {
      if (kept !== index && kept !== index + 1) this.#pieces.delete(kept);
    }
    const piece = this.#piece(index, pieceBytes);
    if ((index + 1) * pieceBytes < this.sizeBytes) this.#piece(index + 1, pieceBytes);
    if (Buffer.isBuffer(piece)) return piece.subarray(start, start + blockSize);
    return piece.then((bytes) => bytes.subarray(start, start + blockSize));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #piece(index: number, pieceBytes: number): Buffer | Promise<Buffer> {
    const known = this.#pieces.get(index);
    if (known !== undefined) return known;
    const loading = this.#load(index * pieceBytes, pieceBytes);
    this.#pieces.set(index, loading);
    loading.then(
      (bytes) => {
        if (this.#pieces.get(index) === loading) this.#pieces.set(index, bytes);
      },
      // Whoever reads this piece awaits the same promise and gets the error.
      () => {},
    );
    return loading;
  }

  async #load(offset: number, pieceBytes: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(pieceBytes, this.sizeBytes - offset));
    // Trap: a new buffer each time. Datagrams that the kernel has not taken yet point into the old one.
    const bytes = Buffer.allocUnsafeSlow(wanted);
    for (let filled = 0; filled < wanted; ) {
      let count: number;
      try {
        count = (await this.#handle.read(bytes, filled, wanted - filled, offset + filled)).bytesRead;
      } catch (error) {
        throw asTftpError(error, "FileFailed", `reading at byte ${offset + filled}`);
      }
      if (count === 0) {
        const now = offset + filled;
        throw new TftpError("FileChanged", `the file had ${this.sizeBytes} bytes and ends now at ${now}`);
      }
      filled += count;
    }
    return bytes;
  }
}

/** Serves bytes that are in memory. */
export class MemorySource implements BlockSource {
  readonly sizeBytes: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  read(block: number, blockSize: number): Buffer {
    return this.#bytes.subarray((block - 1) * blockSize, block * blockSize);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Netascii is for texts; a larger file is refused, because its block boundaries can't be known without reading it all. */
export const MAX_NETASCII_BYTES = 1024 * 1024;

/** The whole file as netascii: LF is sent as CR LF, CR as CR NUL (RFC 1350 section 1, RFC 764). Closes the handle. */
export async function netasciiSource(handle: fs.FileHandle, sizeBytes: number): Promise<BlockSource> {
  const file = new FileSource(handle, sizeBytes);
  try {
    if (sizeBytes > MAX_NETASCII_BYTES) {
      throw new TftpError(
        "TooLarge",
        `netascii is served up to ${MAX_NETASCII_BYTES} bytes, the file has ${sizeBytes}; use mode octet`,
        { tftpCode: 0 },
      );
    }
    return new MemorySource(sizeBytes === 0 ? Buffer.alloc(0) : toNetascii(await file.read(1, sizeBytes)));
  } finally {
    await file.close();
  }
}

/** Translates a Unix text. */
export function toNetascii(text: Buffer): Buffer {
  const out = Buffer.allocUnsafe(text.length * 2);
  let at = 0;
  for (const byte of text) {
    if (byte === 0x0a) out[at++] = 0x0d;
    out[at++] = byte;
    if (byte === 0x0d) out[at++] = 0;
  }
  return out.subarray(0, at);
}
