// Byte strings for decoders: random ones, and valid ones spoiled in the ways that find mistakes in length arithmetic.
import fc from "fast-check";

type Edit = (bytes: Buffer) => Buffer;

const BORDER_VALUES = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xfe, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

function withField(bytes: Buffer, at: number, width: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length < width) return copy;
  const offset = at % (copy.length - width + 1);
  copy.writeUIntBE(value % 2 ** (8 * width), offset, width);
  return copy;
}

const anywhere = fc.nat(4095);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(anywhere, fc.nat(255)).map(
    ([at, value]): Edit =>
      (bytes) =>
        withField(bytes, at, 1, value),
  ),
  fc.tuple(anywhere, fc.constantFrom(1, 2, 3, 4), fc.constantFrom(...BORDER_VALUES)).map(
    ([at, width, value]): Edit =>
      (bytes) =>
        withField(bytes, at, width, value),
  ),
  // A length field that is off by a little.
  fc.tuple(anywhere, fc.integer({ min: -4, max: 4 })).map(
    ([at, by]): Edit =>
      (bytes) => {
        const value = bytes.length === 0 ? 0 : (bytes[at % bytes.length] ?? 0);
        return withField(bytes, at, 1, (value + by) & 0xff);
      },
  ),
  anywhere.map(
    (at): Edit =>
      (bytes) =>
        bytes.subarray(0, at % (bytes.length + 1)),
  ),
  fc.uint8Array({ maxLength: 64 }).map(
    (more): Edit =>
      (bytes) =>
        Buffer.concat([bytes, more]),
  ),
  // A part that comes twice.
  fc.tuple(anywhere, fc.nat(64)).map(
    ([at, length]): Edit =>
      (bytes) => {
        const from = at % (bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, from + length), bytes.subarray(from)]);
      },
  ),
);

/** One of `valid` with up to four edits. */
function spoiled(valid: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...valid), fc.array(edit, { maxLength: 4 }))
    .map(([bytes, edits]) => edits.reduce<Buffer>((spoilt, apply) => apply(spoilt), Buffer.from(bytes)));
}

/** Random bytes, or spoiled valid ones. */
export function hostile(valid: readonly Buffer[], maxLength = 300): fc.Arbitrary<Buffer> {
  const random = fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
  return valid.length === 0 ? random : fc.oneof(random, { arbitrary: spoiled(valid), weight: 3 });
}
