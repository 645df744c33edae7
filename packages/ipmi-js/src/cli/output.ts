// What the command prints: results on stdout, everything else on stderr, columns that line up.

/** Why a run ends whose output nobody reads any more: `ipmi-js ... | head -1`. */
export const READER_GONE = new Error("nobody reads the output any more");

/**
 * What a BMC says may hold what is no part of a line: terminal commands, ends of lines, which would begin a line in the name of
 * another BMC, and marks that turn the direction of writing around.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

let lastPrint = Promise.resolve();

/** The text with question marks for what may not stand in a line. */
export function safeLine(text: string): string {
  return text.replace(UNSAFE, "?");
}

/** A line for whoever asked; on stdout. */
export function print(line: string): void {
  printText(safeLine(line));
}

/** A text of our own, with ends of lines. */
export function printText(text: string): void {
  lastPrint = new Promise((resolve) => {
    process.stdout.write(`${text}\n`, () => resolve());
  });
}

/** Resolves when all that was printed is written, or cannot be. */
export function printed(): Promise<void> {
  return lastPrint;
}

/** Errors, summaries and questions; on stderr, so that they do not mix with results. */
export function note(line: string): void {
  process.stderr.write(`${safeLine(line)}\n`);
}

/** One JSON value in one line on stdout; buffers as hexadecimal. */
export function printJsonLine(value: unknown): void {
  print(formatJson(value));
}

/** {@link printJsonLine} without the printing. */
export function formatJson(value: unknown): string {
  // Buffer has a toJSON of its own, which would come first: hence the look at the holder instead of the value.
  const json = JSON.stringify(value, function (this: Record<string, unknown>, key, converted) {
    const original = this[key];
    return Buffer.isBuffer(original) ? original.toString("hex") : converted;
  });
  // JSON leaves most of them as they are. They can only be in strings, where the escape means the same.
  return json.replace(UNSAFE, (character) => character.split("").map(unicodeEscape).join(""));
}

const unicodeEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** `name  value` lines with the values below each other; those without a value are left out. */
export function formatFields(fields: readonly (readonly [name: string, value: string | undefined])[]): string[] {
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  return fields
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/** Rows with their columns below each other. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) => formatRow(row, widths));
}

/** One row with columns of these widths; the last may be as wide as it likes. */
export function formatRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join("  ")
    .trimEnd();
}

/** `0x0c`. */
export function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

/** `2026-11-21 16:40:05Z`. */
export function formatTime(time: Date): string {
  return time.toISOString().replace("T", " ").replace(/\.\d+/, "");
}

/** `1 BMC`, `40 BMCs`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
