// The one error of the codecs, and the bounds check they share.

/** Bytes that are not what the specification says. Sessions ignore such datagrams; commands report them as `Protocol`. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "WireError";
  }
}

/** Throws {@link WireError} unless `bytes` holds at least `length` bytes of `what`. */
export function requireLength(bytes: Buffer, length: number, what: string): void {
  if (bytes.length < length) throw new WireError(`${what} needs ${length} bytes, not ${bytes.length}`);
}
