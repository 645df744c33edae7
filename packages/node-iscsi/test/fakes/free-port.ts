// A TCP port for a program that cannot choose one itself, or does not say which one it chose.
import { createServer } from "node:net";

/** A port of `address` that was free a moment ago. */
export async function freePort(address = "127.0.0.1"): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
