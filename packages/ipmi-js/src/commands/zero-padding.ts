// Fields of a fixed length whose end is filled with zeroes: names, passwords, texts.

/** The bytes before the first zero. */
export function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}
