// A deploy helper in a process of its own, to be killed: argv[2] is `{ databaseUrl, config, diesBeforeComplete }`; its
// port goes to stdout.

import { openDatabases } from "../../db/database.ts";
import { DeploymentRepository } from "../../db/deployments.ts";
import { EventRepository } from "../../db/events.ts";
import { DeployHelper } from "../../deploy-helper/deploy-helper.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";

const { databaseUrl, config, diesBeforeComplete } = JSON.parse(process.argv[2] ?? "{}");
const databases = await openDatabases({ baremetalUrl: databaseUrl, novaUrl: databaseUrl, logger: silentLogger });
const deployments = new DeploymentRepository(databases.baremetal, systemClock);
if (diesBeforeComplete) {
  deployments.complete = () => {
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => {});
  };
}
const helper = await DeployHelper.start({
  config,
  repositories: {
    deployments,
    events: new EventRepository(databases.baremetal, systemClock),
  },
  logger: silentLogger,
  clock: systemClock,
  pollMs: 50,
});
process.stdout.write(`${helper.address.port}\n`);
