// Brings both schemas to a version, up or down; many processes may try at once. Keeps sqlalchemy-migrate's table.
import { setTimeout as delay } from "node:timers/promises";
import type { Knex } from "knex";
import { BaremetalError } from "../lib/errors.ts";
import type { Databases } from "./database.ts";
import { baremetalMigrations, type MigrationSource, novaMigrations } from "./migration-source.ts";
import { dialectOf } from "./table-map.ts";
import { engineMessage, reading, transact } from "./transaction.ts";

const CONTROL_TABLE = "migrate_version";
const LOCK_SECONDS = 60;

/**
 * Brings the bare-metal schema to `version` (default: the newest), up or down, and the compute side's to its newest; version 0
 * empties both. Safe to call from many processes at once: one works, the others wait.
 * @throws BaremetalError `BadInput` for a version that is none, or a database that is not ours; `PeerUnreachable`.
 */
export async function sync(databases: Databases, options: { version?: number } = {}): Promise<void> {
  const target = options.version ?? baremetalMigrations.latest;
  await syncSchema(databases.baremetal, baremetalMigrations, target);
  await syncSchema(databases.nova, novaMigrations, target === 0 ? 0 : novaMigrations.latest);
}

/** The bare-metal schema's version; 0 for an empty database. */
export async function version(databases: Databases): Promise<number> {
  return versionOf(databases.baremetal, baremetalMigrations);
}

/**
 * For a service's start: an embedded SQLite database is brought to the newest version by itself; any other must be there
 * already, for its services are upgraded at different times. @throws BaremetalError `BadInput` for a schema of another version
 */
export async function assertCurrent(databases: Databases): Promise<void> {
  for (const [name, db, source] of [
    ["bare-metal", databases.baremetal, baremetalMigrations],
    ["compute", databases.nova, novaMigrations],
  ] as const) {
    if (dialectOf(db) === "sqlite") await syncSchema(db, source);
    const found = await versionOf(db, source);
    if (found === source.latest) continue;
    throw new BaremetalError(
      "BadInput",
      `the ${name} schema has version ${found}, this program needs ${source.latest}; run: baremetal-manage db sync`,
      { data: { found, needed: source.latest } },
    );
  }
}

/** Brings one schema to `target`. */
export async function syncSchema(db: Knex, source: MigrationSource, target: number = source.latest): Promise<void> {
  if (!source.has(target)) {
    throw new BaremetalError(
      "BadInput",
      `there is no version ${target} of this schema; the newest is ${source.latest}`,
      {
        data: { field: "version" },
      },
    );
  }
  // Looked at first without the lock: a service that starts on a current schema must not wait for anybody.
  if ((await versionOf(db, source)) === target && target !== 0) return;
  await explained(db, () =>
    dialectOf(db) === "sqlite"
      ? transact(db, "migrating the schema", (trx) => migrate(trx, source, target))
      : transact(db, "migrating the schema", (trx) => withMysqlLock(trx, () => migrate(trx, source, target)), {
          isLong: true,
        }),
  );
}

/**
 * Trap: MySQL commits each DDL statement, so the transaction protects nothing there; it pins the connection that holds the lock.
 */
async function withMysqlLock(trx: Knex.Transaction, work: () => Promise<void>): Promise<void> {
  const name = "nova_baremetal_migrate";
  const end = Date.now() + LOCK_SECONDS * 1000;
  const ask = async () => (await trx.raw("SELECT GET_LOCK(CONCAT(?, DATABASE()), 1) AS held", [name]))[0][0].held === 1;
  while (!(await ask())) {
    if (Date.now() > end) {
      throw new BaremetalError(
        "DeadlineExceeded",
        `another process has been migrating for ${LOCK_SECONDS} s; look at it first`,
        {
          data: { step: "migration lock", deadlineMs: LOCK_SECONDS * 1000 },
        },
      );
    }
    await delay(50);
  }
  try {
    await work();
  } finally {
    await trx.raw("SELECT RELEASE_LOCK(CONCAT(?, DATABASE()))", [name]);
  }
}

async function migrate(trx: Knex.Transaction, source: MigrationSource, target: number): Promise<void> {
  const key = await takeControl(trx, source);
  const from = await readVersion(trx, key);
  if (!source.has(from)) throw unknownVersion(from, source);
  for (const step of source.path(from, target)) {
    await step.run(trx);
    await trx(CONTROL_TABLE).where({ repository_id: key }).update({ version: step.reaches });
  }
}

function unknownVersion(found: number, source: MigrationSource): BaremetalError {
  const fix =
    found > source.latest
      ? "it was made by a newer release of this program: use that"
      : "bring it to version 10 with the last release of nova-baremetal-manage first";
  return new BaremetalError(
    "BadInput",
    `the database has schema version ${found}, which this program does not know; ${fix}`,
    {
      data: { found, newest: source.latest },
    },
  );
}

/** The key of our row in the control table, which is made if the database is empty. @throws BaremetalError `BadInput` */
async function takeControl(trx: Knex.Transaction, source: MigrationSource): Promise<string> {
  const key = await controlKey(trx, source);
  if (key !== undefined) return key;
  const others = (await tableNames(trx)).filter((name) => !name.startsWith("migrate_"));
  if (others.length > 0 && !(await isOursOnly(trx))) {
    throw new BaremetalError(
      "BadInput",
      `the database is not empty (${others.slice(0, 5).join(", ")}) and is not under our version control; name an empty one in nova.conf`,
      { data: { tables: others.slice(0, 20) } },
    );
  }
  if (!(await trx.schema.hasTable(CONTROL_TABLE))) {
    await trx.schema.createTable(CONTROL_TABLE, (table) => {
      table.string("repository_id", 250).primary();
      table.text("repository_path");
      table.integer("version");
    });
  }
  await trx(CONTROL_TABLE).insert({ repository_id: source.repository, repository_path: "", version: 0 });
  return source.repository;
}

/** Ours by name, or the one row of the original's, in a database that has its nodes. */
async function controlKey(db: Knex, source: MigrationSource): Promise<string | undefined> {
  if (!(await db.schema.hasTable(CONTROL_TABLE))) return undefined;
  const keys: string[] = await db(CONTROL_TABLE).pluck("repository_id");
  if (keys.includes(source.repository)) return source.repository;
  if (source !== baremetalMigrations || !(await db.schema.hasTable("bm_nodes"))) return undefined;
  const foreign = keys.filter((key) => key !== novaMigrations.repository);
  return foreign.length === 1 ? foreign[0] : undefined;
}

/** True if all rows of the control table are of our two schemas, which may share a database. */
async function isOursOnly(db: Knex): Promise<boolean> {
  if (!(await db.schema.hasTable(CONTROL_TABLE))) return false;
  const keys: string[] = await db(CONTROL_TABLE).pluck("repository_id");
  const ours = [baremetalMigrations.repository, novaMigrations.repository];
  return keys.length > 0 && keys.every((key) => ours.includes(key));
}

async function readVersion(db: Knex, key: string): Promise<number> {
  const row = await db(CONTROL_TABLE).where({ repository_id: key }).first("version");
  return Number(row?.version ?? 0);
}

async function versionOf(db: Knex, source: MigrationSource): Promise<number> {
  return explained(db, () =>
    reading(db, "reading the schema's version", async () => {
      const key = await controlKey(db, source);
      return key === undefined ? 0 : await readVersion(db, key);
    }),
  );
}

async function tableNames(trx: Knex.Transaction): Promise<string[]> {
  if (dialectOf(trx) === "sqlite") {
    return trx("sqlite_master").where({ type: "table" }).whereNot("name", "like", "sqlite_%").pluck("name");
  }
  const [rows] = await trx.raw(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()",
  );
  return (rows as { name: string }[]).map(({ name }) => name);
}

/** Says what to do when the MySQL database, or the right to it, is missing. */
async function explained<T>(db: Knex, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof BaremetalError ? error.data.engineCode : undefined;
    if (code !== "ER_BAD_DB_ERROR" && code !== "ER_DBACCESS_DENIED_ERROR" && code !== "ER_ACCESS_DENIED_ERROR")
      throw error;
    const { database = "nova_bm", user = "nova" } = db.client.config.connection as { database?: string; user?: string };
    throw new BaremetalError(
      "BadInput",
      [
        `the database ${database} cannot be used: ${engineMessage(error)}. As its administrator, run:`,
        `  CREATE DATABASE ${database} CHARACTER SET utf8mb4;`,
        `  CREATE USER '${user}'@'%' IDENTIFIED BY '...';`,
        `  GRANT ALL ON ${database}.* TO '${user}'@'%';`,
      ].join("\n"),
      { data: { database, engineCode: code } },
    );
  }
}
