// The lab's words to the person at the terminal: lines on standard error with the seconds since the start.

/** Writes for people. Standard output is kept for the one JSON line of `--once`. */
export class Say {
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly isVerbose: boolean;

  constructor(options: { write: (text: string) => void; now?: () => number; startedAt?: number; verbose: boolean }) {
    this.#write = options.write;
    this.#now = options.now ?? Date.now;
    this.#startedAt = options.startedAt ?? this.#now();
    this.isVerbose = options.verbose;
  }

  /** One line; `  12.3 s  text`. */
  line(text: string): void {
    const seconds = ((this.#now() - this.#startedAt) / 1000).toFixed(1).padStart(6);
    this.#write(`${seconds} s  ${text}\n`);
  }

  /** Only with --verbose. */
  detail(text: string): void {
    if (this.isVerbose) this.line(text);
  }

  /** A block without times: evidence, commands to try. */
  block(text: string): void {
    this.#write(`${text.replace(/\n?$/, "\n")}`);
  }
}

/** `1.5 MB`, `830 kB`, in powers of ten. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  if (bytes >= 1e3) return `${(bytes / 1e3).toFixed(0)} kB`;
  return `${bytes} B`;
}
