// The console log of one instance: a file that grows to a limit, one older file beside it, and its last lines as text.
import { appendFile, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ifMissing } from "../../lib/errors.ts";

/** What a reader is given at most: as much as Nova's libvirt driver. */
const MAX_READ_BYTES = 100 * 1024;
/** Nova has always left these out of the answer; line feeds and tabs stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b-\u001f]/g;
/** A kernel prints its command line; while the deployment runs, the key in it is good for an answer in the node's name. */
const DEPLOYMENT_KEY = /(deployment_key=)[^\s"']+/gi;
/** Read before what is told, so that a key is known by its name wherever the cut is. */
const MARGIN_BYTES = 256;

/** One writer; readers come at any time. */
export class ConsoleLog {
  readonly #path: string;
  readonly #maxBytes: number;
  #size: number | undefined;

  /** Up to `maxBytes` are in `path`, as many older ones in `path`.1. */
  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Appends what the machine wrote, as it is. @throws the file system's error */
  async append(data: Buffer): Promise<void> {
    this.#size ??= await sizeOf(this.#path);
    if (this.#size > 0 && this.#size + data.length > this.#maxBytes) {
      this.#size = undefined;
      // Somebody may have removed it: then there is nothing to keep.
      await rename(this.#path, older(this.#path)).catch(ifMissing);
      this.#size = 0;
    }
    if (this.#size === 0) await makeFolder(dirname(this.#path));
    // Unknown until it is written whole: a disk that filled up on the way may have taken a part.
    const size = this.#size + data.length;
    this.#size = undefined;
    await appendFile(this.#path, data, { mode: 0o600 });
    this.#size = size;
  }
}

/** Removes the log with its older file; one that is not there is no error. */
export async function removeConsoleLog(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(older(path), { force: true });
}

/**
 * The last `lines` of the log, or all that a reader is given; text whatever bytes came, without deployment keys. Empty if there
 * is no log.
 */
export async function readConsoleLog(path: string, lines: number | undefined): Promise<string> {
  const newer = await readEnd(path, MAX_READ_BYTES + MARGIN_BYTES);
  const before = await readEnd(older(path), MAX_READ_BYTES + MARGIN_BYTES - newer.length);
  const text = masked(Buffer.concat([before, newer]))
    .toString("utf8")
    .replace(CONTROL_CHARACTERS, "");
  if (lines === undefined) return text;
  if (lines === 0) return "";
  const end = text.endsWith("\n") ? "\n" : "";
  return (
    text
      .slice(0, text.length - end.length)
      .split("\n")
      .slice(-lines)
      .join("\n") + end
  );
}

/** As many bytes as a reader is given, keys struck out. As latin1 each byte is one character, and a key keeps its length. */
function masked(bytes: Buffer): Buffer {
  const text = bytes
    .toString("latin1")
    .replace(DEPLOYMENT_KEY, (found, name: string) => name + "*".repeat(found.length - name.length));
  return Buffer.from(text.slice(-MAX_READ_BYTES), "latin1");
}

async function readEnd(path: string, maxBytes: number): Promise<Buffer> {
  if (maxBytes <= 0) return Buffer.alloc(0);
  const file = await open(path, "r").catch(ifMissing);
  if (file === undefined) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, maxBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** For us alone; the folders above it may be others' too. */
async function makeFolder(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await mkdir(path, { recursive: true, mode: 0o700 });
}

async function sizeOf(path: string): Promise<number> {
  const stats = await stat(path).catch(ifMissing);
  return stats?.size ?? 0;
}

function older(path: string): string {
  return `${path}.1`;
}
