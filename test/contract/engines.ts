// The two engines that each contract suite runs on, and a clock that the tests move.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Knex } from "knex";
import { type Databases, openDatabases } from "../../db/database.ts";
import { sync } from "../../db/migrate.ts";
import type { Clock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { type MariaDbServer, startMariaDb } from "../mariadb/server.ts";

/** Time that stands still until it is moved. */
export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms);
  }
}

/** One engine: gives addresses of fresh, empty databases. */
export interface Engine {
  readonly name: "SQLite" | "MariaDB";
  freshUrls(): Promise<{ baremetalUrl: string; novaUrl: string }>;
}

let server: Promise<MariaDbServer> | undefined;
let serial = 0;
const folders: string[] = [];

/** The one server of this test run. */
export function mariaDb(): Promise<MariaDbServer> {
  server ??= startMariaDb();
  return server;
}

const sqlite: Engine = {
  name: "SQLite",
  freshUrls: async () => {
    const folder = mkdtempSync(join(tmpdir(), "nova-bm-contract-"));
    folders.push(folder);
    return { baremetalUrl: `sqlite:///${folder}/baremetal.sqlite`, novaUrl: `sqlite:///${folder}/nova.sqlite` };
  },
};

const mariadb: Engine = {
  name: "MariaDB",
  freshUrls: async () => {
    const running = await mariaDb();
    serial += 1;
    return {
      baremetalUrl: await running.createDatabase(`nova_bm_${serial}`),
      novaUrl: await running.createDatabase(`nova_${serial}`),
    };
  },
};

export const engines: readonly Engine[] = [sqlite, mariadb];

/** Opens what is at the addresses of an engine. */
export function open(urls: { baremetalUrl: string; novaUrl: string }): Promise<Databases> {
  return openDatabases({ ...urls, logger: silentLogger });
}

/** A suite on each engine, on databases at the newest version that are emptied before each test. */
export function onEachEngine(
  title: string,
  define: (context: () => { databases: Databases; urls: Urls }) => void,
): void {
  for (const engine of engines) {
    describe(`${title} on ${engine.name}`, () => {
      let databases: Databases;
      let urls: Urls;
      before(async () => {
        urls = await engine.freshUrls();
        databases = await open(urls);
        await sync(databases);
      });
      beforeEach(async () => {
        await empty(databases.baremetal, ["bm_events", "bm_deployments", "bm_interfaces", "bm_nodes"]);
        await empty(databases.nova, ["instances", "compute_nodes", "services", "flavors", "key_pairs", "images"]);
      });
      after(() => databases?.close());
      define(() => ({ databases, urls }));
    });
  }
}

export type Urls = Awaited<ReturnType<Engine["freshUrls"]>>;

async function empty(db: Knex, tables: readonly string[]): Promise<void> {
  for (const table of tables) await db(table).delete();
}

after(async () => {
  await (await server)?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
