// For the tests: a folder of its own with a server on it, and a record of what the server reported.
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TftpError, TftpServer, type TftpServerOptions, type TransferEvent } from "../src/index.ts";

export interface ServedFolder {
  readonly root: string;
  readonly server: TftpServer;
  readonly port: number;
  readonly events: TransferEvent[];
  readonly errors: TftpError[];
  write(name: string, bytes: Buffer | string): Promise<void>;
  close(): Promise<void>;
}

export async function serveFolder(options: Partial<TftpServerOptions> = {}): Promise<ServedFolder> {
  const root = await mkdtemp(join(tmpdir(), "tftp-test-"));
  const events: TransferEvent[] = [];
  const errors: TftpError[] = [];
  const server = await TftpServer.listen({
    ...{ root, address: "127.0.0.1", port: 0, drainMs: 500 },
    onTransfer: (event) => events.push(event),
    onError: (error) => errors.push(error),
    ...options,
  });
  return {
    ...{ root, server, port: server.port, events, errors },
    write: (name, bytes) => writeFile(join(root, name), bytes),
    async close() {
      await server.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Bytes that differ in every block. */
export function noise(length: number): Buffer {
  return randomBytes(length);
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Polls until `probe` holds; throws with `what` at the deadline. */
export async function until(what: string, probe: () => boolean, deadlineMs = 5000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!probe()) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
