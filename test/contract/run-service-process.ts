// A service for run-service.test.ts; SERVICE_MODE says where it is slow or goes wrong. Says what it does on its IPC channel.
import { runService } from "../../bin/run-service.ts";

const mode = process.env.SERVICE_MODE;
const message = (): Promise<unknown> => new Promise((resolve) => process.once("message", resolve));

// What a daemon's socket does: it keeps the process alive.
process.on("message", () => undefined);

await runService(async () => {
  process.send?.("starting");
  if (mode === "slow start") await message();
  if (mode === "rejection") void message().then(() => Promise.reject(new Error("nobody caught this")));
  if (mode === "exception") void message().then(() => setImmediate(() => JSON.parse("no json")));
  return {
    address: "nowhere",
    close: async () => {
      process.send?.("closing");
      if (mode === "slow close") await message();
    },
  };
});
