// Part of a file: what really is on the disk behind a target.
import { open } from "node:fs/promises";

export async function readFileRange(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    return (await file.read(Buffer.alloc(length), 0, length, offset)).buffer;
  } finally {
    await file.close();
  }
}
