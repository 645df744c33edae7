// The embedded image store: one file for each image under a root, its record in nova's images table.
import { createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ImageRepository } from "../db/images.ts";
import type { ImageRecord } from "../db/records.ts";
import { BaremetalError, describeError } from "../lib/errors.ts";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PART = ".part";

export interface UploadOptions {
  readonly signal?: AbortSignal;
  /** What the client says it will send; checked before the first byte is taken. */
  readonly expectedBytes?: number | undefined;
}

/** Keeps images. A file is there whole or not at all, and is never changed in place. */
export class ImageStore {
  readonly #root: string;
  readonly #images: ImageRepository;
  readonly #maxBytes: number;

  /** `root` is made when it is needed; `maxBytes` is the largest image that is taken, default 64 GiB. */
  constructor(root: string, images: ImageRepository, options: { maxBytes?: number } = {}) {
    this.#root = root;
    this.#images = images;
    this.#maxBytes = options.maxBytes ?? 64 * 1024 ** 3;
  }

  get(id: string): Promise<ImageRecord | undefined> {
    return this.#images.get(id);
  }

  /** Where the bytes of an image are, if it has any; undefined for what cannot be an id (so no path ever leaves the root). */
  path(id: string): string | undefined {
    return ID.test(id) ? join(this.#root, id) : undefined;
  }

  /** A stream of the image's bytes. @throws BaremetalError `NotFound` if it has none */
  async open(id: string): Promise<{ stream: Readable; sizeBytes: number }> {
    const path = this.path(id);
    const handle = path === undefined ? undefined : await open(path, "r").catch(() => undefined);
    if (handle === undefined)
      throw new BaremetalError("NotFound", `image ${id} has no data`, { data: { kind: "image", id } });
    const { size } = await handle.stat();
    return { stream: handle.createReadStream(), sizeBytes: size };
  }

  /**
   * Takes the data of a queued image: hashed and written in one pass with back-pressure, put in place by rename, then
   * `active`. A failure puts the image back to `queued` and leaves no file.
   * @throws BaremetalError `Conflict` if it is not queued, `BadInput` (`data.isTooLarge`) beyond the limit, `Cancelled`
   */
  async upload(id: string, source: Readable, options: UploadOptions = {}): Promise<void> {
    const path = this.path(id);
    if (path === undefined) throw new BaremetalError("NotFound", `No image found with ID ${id}`);
    if (options.expectedBytes !== undefined && options.expectedBytes > this.#maxBytes) throw this.#tooLarge(id);
    if (!(await this.#images.update(id, { status: "saving" }, { expectedStatus: "queued" }))) {
      throw new BaremetalError("Conflict", `image ${id} is not queued: its data cannot be changed`, { data: { id } });
    }
    const part = join(this.#root, `${id}.${randomBytes(6).toString("hex")}${PART}`);
    try {
      await mkdir(this.#root, { recursive: true, mode: 0o700 });
      const sums = await this.#receive(id, source, part, options.signal);
      await rename(part, path);
      const isKept = await this.#images.update(id, { ...sums, status: "active" }, { expectedStatus: "saving" });
      if (!isKept)
        throw new BaremetalError("Conflict", `image ${id} was deleted while its data came in`, { data: { id } });
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      const why = uploadError(id, error);
      // Trap: what fails here must not hide why the upload failed. An image left `saving` is queued by `recover`.
      await this.#takeBack(id, path).catch((failure: unknown) => {
        const left = `the image stays "saving" until the service's next start: ${describeError(failure)}`;
        throw new BaremetalError(why.code, `${why.message}; ${left}`, { data: why.data, cause: error });
      });
      throw why;
    }
  }

  /** Puts an image that was `saving` back to `queued`; its file goes with that, or when the image was deleted meanwhile. */
  async #takeBack(id: string, path: string): Promise<void> {
    const isQueued = await this.#images.update(id, { status: "queued" }, { expectedStatus: "saving" });
    if (isQueued || (await this.#images.get(id)) === undefined) await rm(path, { force: true });
  }

  /** Removes the record, then the bytes. False if there is no such image. */
  async delete(id: string): Promise<boolean> {
    const isGone = await this.#images.destroy(id);
    const path = this.path(id);
    if (path !== undefined) await rm(path, { force: true });
    return isGone;
  }

  /** After a restart: uploads that were cut off are queued again, and their half files go. */
  async recover(): Promise<void> {
    for (const image of await this.#images.list({ status: "saving" })) {
      await this.#images.update(image.id, { status: "queued" }, { expectedStatus: "saving" });
    }
    const names = await readdir(this.#root).catch(() => []);
    for (const name of names) if (name.endsWith(PART)) await rm(join(this.#root, name), { force: true });
  }

  async #receive(id: string, source: Readable, part: string, signal?: AbortSignal) {
    const hashes = { md5: createHash("md5"), sha256: createHash("sha256"), sha512: createHash("sha512") };
    let sizeBytes = 0;
    const meter = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        sizeBytes += chunk.length;
        if (sizeBytes > this.#maxBytes) return done(this.#tooLarge(id));
        for (const hash of Object.values(hashes)) hash.update(chunk);
        done(null, chunk);
      },
    });
    const file = createWriteStream(part, { flags: "wx", mode: 0o600, flush: true });
    await pipeline(source, meter, file, signal === undefined ? {} : { signal });
    return {
      sizeBytes,
      checksum: hashes.md5.digest("hex"),
      sha256: hashes.sha256.digest("hex"),
      osHashAlgo: "sha512",
      osHashValue: hashes.sha512.digest("hex"),
    };
  }

  #tooLarge(id: string): BaremetalError {
    return new BaremetalError("BadInput", `image ${id} is larger than the limit of ${this.#maxBytes} bytes`, {
      data: { isTooLarge: true },
    });
  }
}

function uploadError(id: string, error: unknown): BaremetalError {
  if (error instanceof BaremetalError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new BaremetalError("Internal", `no space is left for image ${id}`, {
      data: { isDiskFull: true },
      cause: error,
    });
  }
  if (code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ABORT_ERR" || code === "ECONNRESET") {
    return new BaremetalError("Cancelled", `the upload of image ${id} was cut off`, {
      data: { step: "upload" },
      cause: error,
    });
  }
  return new BaremetalError("Internal", `image ${id} could not be stored: ${describeError(error)}`, { cause: error });
}
