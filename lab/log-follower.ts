// Follows a growing text file: complete lines, from where the last look ended.
import { open } from "node:fs/promises";
import { ifMissing } from "../lib/errors.ts";

const READ_BYTES = 64 * 1024;

/** One reader of one file. The file may not exist yet. */
export class LogFollower {
  readonly #path: string;
  #offset = 0;
  #rest = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Lines that have been completed since the last call, without line ends. */
  async newLines(): Promise<string[]> {
    const file = await open(this.#path, "r").catch(ifMissing);
    if (file === undefined) return [];
    try {
      const buffer = Buffer.alloc(READ_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        this.#rest += buffer.toString("latin1", 0, bytesRead);
      }
    } finally {
      await file.close();
    }
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => line.replace(/\r$/, ""));
  }
}
