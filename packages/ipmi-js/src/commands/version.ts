// Versions in one byte, the digit before the point in its lower half: 51h is 1.5, 02h is 2.0.

export function encodeVersion(version: string): number {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return ((minor & 0x0f) << 4) | (major & 0x0f);
}

/** `1.5`, `2.0`. */
export function decodeVersion(byte: number): string {
  return `${byte & 0x0f}.${byte >> 4}`;
}
