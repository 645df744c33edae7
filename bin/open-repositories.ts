// Opens both databases and their repositories: the part that compute and the deploy helper share.
import { ComputeNodeRepository } from "../db/compute-nodes.ts";
import { type Databases, openDatabases } from "../db/database.ts";
import { DeploymentRepository } from "../db/deployments.ts";
import { EventRepository } from "../db/events.ts";
import { FlavorRepository } from "../db/flavors.ts";
import { ImageRepository } from "../db/images.ts";
import { InstanceRepository } from "../db/instances.ts";
import { InterfaceRepository } from "../db/interfaces.ts";
import { KeyPairRepository } from "../db/key-pairs.ts";
import { assertCurrent } from "../db/migrate.ts";
import { NodeRepository } from "../db/nodes.ts";
import { SecretBox } from "../db/secret-box.ts";
import { ServiceRepository } from "../db/services.ts";
import { systemClock } from "../lib/clock.ts";
import { type Config, loadOrCreateSecretKey } from "../lib/config/index.ts";
import type { Logger } from "../lib/log.ts";

/** Refuses a schema that is not the program's; an embedded SQLite file is brought up to date by itself. */
export async function openRepositories(config: Config, logger: Logger) {
  const databases: Databases = await openDatabases({
    baremetalUrl: config.baremetal.sqlConnection,
    novaUrl: config.database.connection,
    poolSize: config.database.maxPoolSize,
    logger,
  });
  try {
    await assertCurrent(databases);
    const { baremetal, nova } = databases;
    const secretBox = new SecretBox(await loadOrCreateSecretKey(config.baremetal.secretKeyFile));
    return {
      nodes: new NodeRepository(baremetal, secretBox, systemClock),
      interfaces: new InterfaceRepository(baremetal, systemClock),
      deployments: new DeploymentRepository(baremetal, systemClock),
      events: new EventRepository(baremetal, systemClock),
      instances: new InstanceRepository(nova, systemClock),
      flavors: new FlavorRepository(nova, systemClock),
      keyPairs: new KeyPairRepository(nova, systemClock),
      images: new ImageRepository(nova, systemClock),
      services: new ServiceRepository(nova, systemClock),
      computeNodes: new ComputeNodeRepository(nova, systemClock),
      close: () => databases.close(),
    };
  } catch (error) {
    await databases.close();
    throw error;
  }
}
