// What the command prints: results on stdout, everything else on stderr, columns that line up.

/** Why a run ends whose output nobody reads any more: `ipmi-js ... | head -1`. */
export const READER_GONE = new Error("nobody reads the output any more");

let lastPrint = Promise.resolve();

/** A line for whoever asked; on stdout. What a BMC says may hold terminal commands: control characters become question marks. */
export function print(text: string): void {
  lastPrint = new Promise((resolve) => {
    process.stdout.write(`${text.replace(/[^\P{Cc}\n]/gu, "?")}\n`, () => resolve());
  });
}

/** Resolves when all that was printed is written, or cannot be. */
export function printed(): Promise<void> {
  return lastPrint;
}

/** Errors, summaries and questions; on stderr, so that they do not mix with results. */
export function note(line: string): void {
  process.stderr.write(`${line.replace(/\p{Cc}/gu, "?")}\n`);
}

/** One JSON value in one line on stdout; buffers as hexadecimal. */
export function printJsonLine(value: unknown): void {
  print(formatJson(value));
}

/** {@link printJsonLine} without the printing. */
export function formatJson(value: unknown): string {
  // Buffer has a toJSON of its own, which would come first: hence the look at the holder instead of the value.
  return JSON.stringify(value, function (this: Record<string, unknown>, key, converted) {
    const original = this[key];
    return Buffer.isBuffer(original) ? original.toString("hex") : converted;
  });
}

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
