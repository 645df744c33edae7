// Our own target in a process of its own. One argument, JSON: { sizeBytes, path? }; without `path` its disk keeps nothing.
// Prints {"port": N} and runs until standard input ends.
import { IscsiTarget } from "node-iscsi/target";

const { sizeBytes, path } = JSON.parse(process.argv[2] ?? "{}");
const nothing = {
  sizeBytes,
  async read() {},
  async write() {},
  async zero() {},
  async flush() {},
  async close() {},
};
const target = await IscsiTarget.listen({
  address: "127.0.0.1",
  targetName: "iqn.2026-11.test:own",
  backing: path === undefined ? nothing : { path, sizeBytes },
});
process.stdout.write(`${JSON.stringify({ port: target.port })}\n`);
process.stdin.resume();
process.stdin.once("end", () => target.close());
