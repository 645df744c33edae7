// One of several processes that migrate the same databases at once; argv: the two URLs.

import { openDatabases } from "../../db/database.ts";
import { assertCurrent, sync } from "../../db/migrate.ts";
import { silentLogger } from "../../lib/log.ts";

const [baremetalUrl = "", novaUrl = ""] = process.argv.slice(2);
const databases = await openDatabases({ baremetalUrl, novaUrl, logger: silentLogger });
await sync(databases);
await assertCurrent(databases);
await databases.close();
