// What the lab builds once and keeps: <repository>/.lab/cache/<name>-<hash of its inputs>, complete or not there at all.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";

/** A folder of finished artifacts. Two labs that build the same thing at once both succeed; the first rename wins. */
export class ArtifactCache {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * The folder that `build` filled, now or in an earlier run with the same `inputs`.
   * @param inputs everything the result depends on: texts, versions, contents of files
   */
  async folder(
    name: string,
    inputs: readonly (string | Buffer)[],
    build: (folder: string) => Promise<void>,
  ): Promise<string> {
    const finished = join(this.#root, `${name}-${hashOf(inputs)}`);
    if (await exists(finished)) {
      await utimes(finished, new Date(), new Date());
      return finished;
    }
    await mkdir(this.#root, { recursive: true });
    const temporary = await mkdtemp(join(this.#root, `.building-${name}-`));
    try {
      await build(temporary);
      await rename(temporary, finished).catch(async (error: NodeJS.ErrnoException) => {
        if (!(await exists(finished))) throw error;
      });
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
    return finished;
  }
}

/** Hashes each input with its length, so that no two lists run together. */
function hashOf(inputs: readonly (string | Buffer)[]): string {
  const hash = createHash("sha256");
  for (const input of inputs) {
    const bytes = Buffer.from(input);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest("hex").slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
