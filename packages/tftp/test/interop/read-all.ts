// Run by dnsmasq.test.ts inside a network namespace, where port 69 is free: reads files and prints their sha256 as JSON.
import { get, TftpError } from "../../src/index.ts";
import { sha256 } from "../served-folder.ts";

const OPTIONS = [{ requestSize: false }, {}, { blockSize: 1468 }, { blockSize: 512, windowSize: 8, timeoutSeconds: 2 }];

async function outcome(file: string, options: object): Promise<string> {
  try {
    return sha256(
      await get({ address: "127.0.0.1", file, timeoutMs: 200, deadlineMs: 10_000, dallyMs: 0, ...options }),
    );
  } catch (error) {
    return error instanceof TftpError ? `${error.code} ${error.tftpCode}` : String(error);
  }
}

async function readAll(files: readonly string[]): Promise<void> {
  const results: Record<string, string[]> = {};
  for (const file of files) {
    results[file] = [];
    for (const options of OPTIONS) results[file].push(await outcome(file, options));
  }
  process.stdout.write(JSON.stringify(results));
}

await readAll(process.argv.slice(2));
