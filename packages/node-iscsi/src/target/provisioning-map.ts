// Which parts of a logical unit were given up by UNMAP and have not been written since (SBC-4 4.7.4).

/** Blocks are counted by chunks of this many bytes: a part of a chunk that is given up stays mapped. */
const CHUNK_BYTES = 64 * 1024;

/** Offsets and lengths are bytes. All is mapped at first; memory is set aside by the first unmap (a byte for 64 KiB). */
export class ProvisioningMap {
  readonly #sizeBytes: number;
  #isDeallocated: Uint8Array | undefined;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  map(offset: number, length: number): void {
    if (length > 0)
      this.#isDeallocated?.fill(0, Math.floor(offset / CHUNK_BYTES), Math.ceil((offset + length) / CHUNK_BYTES));
  }

  /** Only chunks that lie in the range as a whole; the last chunk of the unit may be shorter. */
  deallocate(offset: number, length: number): void {
    this.#isDeallocated ??= new Uint8Array(Math.ceil(this.#sizeBytes / CHUNK_BYTES));
    const end = offset + length;
    const endChunk = end >= this.#sizeBytes ? this.#isDeallocated.length : Math.floor(end / CHUNK_BYTES);
    this.#isDeallocated.fill(1, Math.min(Math.ceil(offset / CHUNK_BYTES), endChunk), endChunk);
  }

  /** The longest run with one status from `offset` on. */
  runAt(offset: number): { readonly isMapped: boolean; readonly length: number } {
    const rest = this.#sizeBytes - offset;
    if (this.#isDeallocated === undefined) return { isMapped: true, length: rest };
    const chunk = Math.floor(offset / CHUNK_BYTES);
    const status = this.#isDeallocated[chunk] ?? 0;
    const next = this.#isDeallocated.indexOf(status === 0 ? 1 : 0, chunk);
    return { isMapped: status === 0, length: next === -1 ? rest : next * CHUNK_BYTES - offset };
  }
}
