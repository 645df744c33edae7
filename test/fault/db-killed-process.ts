// A process that is killed, or hangs, inside a transaction; argv: URL, `kill` or `hold`. Says `inside` when it is there.
import { openDatabase } from "../../db/database.ts";
import { transact } from "../../db/transaction.ts";
import { silentLogger } from "../../lib/log.ts";

const [url = "", way = ""] = process.argv.slice(2);
const db = openDatabase(url, { logger: silentLogger });
await transact(db, "being killed", async (trx) => {
  await trx("bm_nodes").update({ last_error: "half-done" });
  process.send?.("inside");
  if (way === "kill") process.kill(process.pid, "SIGKILL");
  await new Promise((resolve) => process.once("message", resolve));
});
await db.destroy();
process.disconnect?.();
