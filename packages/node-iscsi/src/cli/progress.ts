// How far a copy is: one line on stderr, rewritten in place on a terminal and repeated every few seconds in a log.
import { formatBytes, formatRate } from "./output.ts";

const TERMINAL_INTERVAL_MS = 500;
const LOG_INTERVAL_MS = 5000;

/** Shows `counter.bytes` of `total` (infinite when unknown) until `end()`. */
export class Progress {
  readonly #counter: { readonly bytes: number };
  readonly #total: number;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor(counter: { readonly bytes: number }, total: number) {
    this.#counter = counter;
    this.#total = total;
    const { isTTY } = process.stderr;
    this.#timer = setInterval(() => this.#show(), isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#show();
    if (process.stderr.isTTY) process.stderr.write("\n");
  }

  #show(): void {
    const { bytes } = this.#counter;
    const elapsedMs = performance.now() - this.#startedAt;
    const isKnown = Number.isFinite(this.#total) && this.#total > 0;
    const share = isKnown ? ` of ${formatBytes(this.#total)}, ${Math.floor((100 * bytes) / this.#total)} %` : "";
    const leftMs = isKnown && bytes > 0 ? (elapsedMs / bytes) * (this.#total - bytes) : 0;
    const left = leftMs > 0 ? `, ${Math.ceil(leftMs / 1000)} s left` : "";
    const line = `${formatBytes(bytes)}${share}, ${formatRate(bytes, elapsedMs)}${left}`;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }
}
