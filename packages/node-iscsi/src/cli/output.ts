// What the command prints: results on stdout, everything else on stderr, sizes and rates as people read them.

let lastPrint = Promise.resolve();

/** A line for whoever asked; on stdout. What a target says may hold terminal commands: control characters become question marks. */
export function print(text: string): void {
  lastPrint = new Promise((resolve) => {
    process.stdout.write(`${text.replace(/[^\P{Cc}\n]/gu, "?")}\n`, () => resolve());
  });
}

/** Resolves when all that was printed is written, or cannot be. */
export function printed(): Promise<void> {
  return lastPrint;
}

/** Progress, summaries and errors; on stderr, so that they do not mix with data. */
export function note(line: string): void {
  process.stderr.write(`${line.replace(/\p{Cc}/gu, "?")}\n`);
}

/** One JSON value on stdout; buffers as hexadecimal. */
export function printJson(value: unknown): void {
  // Buffer has a toJSON of its own, which would come first: hence the look at the holder instead of the value.
  print(
    JSON.stringify(
      value,
      function (this: Record<string, unknown>, key, converted) {
        const original = this[key];
        if (Buffer.isBuffer(original)) return original.toString("hex");
        return original instanceof Set ? [...original] : converted;
      },
      2,
    ),
  );
}

/** `name   value` lines with the values below each other. */
export function printFields(fields: readonly (readonly [name: string, value: string])[], indent = ""): void {
  const width = Math.max(...fields.map(([name]) => name.length));
  for (const [name, value] of fields) print(`${indent}${name.padEnd(width)}  ${value}`);
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `32 MiB`, `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[power]}`;
}

/** Decimal megabytes a second, as disks are sold. */
export function formatRate(bytes: number, elapsedMs: number): string {
  return `${(bytes / 1000 / Math.max(1, elapsedMs)).toFixed(1)} MB/s`;
}
