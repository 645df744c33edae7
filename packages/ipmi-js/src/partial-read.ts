// Reading in pieces from BMCs that will not say how much they can send at once.

import { isRefusal } from "./walk.ts";
import { WireError } from "./wire/wire-error.ts";

/** "Cannot return that many bytes", and what some BMCs say instead: wrong length, limit exceeded. */
const TOO_MANY_BYTES = [0xca, 0xc7, 0xc8];
const SMALLEST_PIECE = 4;

/** The piece to ask for, remembered from read to read. */
export class PieceSize {
  #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /**
   * Reads `length` bytes from `offset` on: `readPiece` is asked again with half as many where the BMC could not send
   * so many. It must throw for an answer without data; an answer that is shorter than asked for is taken as it is.
   */
  async read(
    offset: number,
    length: number,
    readPiece: (offset: number, count: number) => Promise<Buffer>,
  ): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let got = 0;
    while (got < length) {
      const count = Math.min(this.#bytes, length - got);
      try {
        const piece = (await readPiece(offset + got, count)).subarray(0, count);
        if (piece.length === 0) break;
        pieces.push(piece);
        got += piece.length;
      } catch (error) {
        if (count <= SMALLEST_PIECE || !isRefusal(error, ...TOO_MANY_BYTES)) throw error;
        this.#bytes = Math.max(SMALLEST_PIECE, count >> 1);
      }
    }
    return Buffer.concat(pieces);
  }
}

/** For the check of an answer: one without data would be asked for again for ever. */
export function requireData({ data }: { readonly data: Buffer }): void {
  if (data.length === 0) throw new WireError("it holds no data");
}
