// The key that seals the BMC passwords: 32 random bytes in a file of the service's user, made once.
import { randomBytes } from "node:crypto";
import { chmod, link, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { BaremetalError, ifMissing } from "../errors.ts";

const KEY_BYTES = 32;

/**
 * The key in `file`; it is made, with mode 0600, if there is none. Any number of processes may call at once: all get the same.
 * @throws BaremetalError `BadInput` if the file has another length, is open to other users, or cannot be read or made.
 */
export async function loadOrCreateSecretKey(file: string): Promise<Buffer> {
  try {
    return (await readKey(file)) ?? (await createKey(file));
  } catch (error) {
    if (error instanceof BaremetalError) throw error;
    throw bad(file, `cannot be read or made: ${(error as Error).message}`, error);
  }
}

async function readKey(file: string): Promise<Buffer | undefined> {
  const key = await readFile(file).catch(ifMissing);
  if (key === undefined) return undefined;
  if (key.length !== KEY_BYTES)
    throw bad(file, `holds ${key.length} bytes, not ${KEY_BYTES}; restore it from your copy`);
  if (((await stat(file)).mode & 0o077) !== 0) throw bad(file, "can be read by other users; run chmod 600 on it");
  return key;
}

/** Trap: written under another name and linked, so that nobody ever reads half a key; link() fails if another was first. */
async function createKey(file: string): Promise<Buffer> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.${randomBytes(6).toString("hex")}`;
  const key = randomBytes(KEY_BYTES);
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(key);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await chmod(draft, 0o600);
    await link(draft, file);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const winner = await readKey(file);
    if (winner === undefined) throw error;
    return winner;
  } finally {
    await unlink(draft);
  }
}

function bad(file: string, what: string, cause?: unknown): BaremetalError {
  return new BaremetalError("BadInput", `the secret key file ${file} ${what}`, { data: { file }, cause });
}
