// Opens both schemas, `baremetal` and `nova`, on SQLite or MySQL/MariaDB, with the settings that the repositories count on.
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Database as SqliteConnection } from "better-sqlite3";
import knexFactory, { type Knex } from "knex";
import { BaremetalError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type DatabaseAddress, parseDatabaseUrl } from "./connection-url.ts";
import { BUSY_DEADLINE_MS, LOCK_WAIT_SECONDS, statementTimeLeft } from "./transaction.ts";

/** Both schemas. They may be one database. */
export interface Databases {
  readonly baremetal: Knex;
  readonly nova: Knex;
  /** Waits for running statements, then closes all connections. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** `[baremetal] sql_connection`. */
  readonly baremetalUrl: string;
  /** `[database] connection`. */
  readonly novaUrl: string;
  readonly logger: Logger;
  /** Most connections to one MySQL database; default 10. */
  readonly poolSize?: number;
  /** How long a statement is tried while the database is busy or away; default {@link BUSY_DEADLINE_MS}. */
  readonly busyDeadlineMs?: number;
}

/**
 * How long SQLite may block the process for another writer, in milliseconds.
 * Trap: better-sqlite3 waits synchronously, so a long time stops the event loop, and with it the very transaction of this
 * process that is waited for. The rest of the ten seconds is waited for in `transact`, without blocking.
 */
const SQLITE_BLOCK_MS = 20;

/** How long a MySQL server may take to let us in, in milliseconds. */
const CONNECT_MS = 10_000;

/**
 * Opens both schemas. No statement runs yet on MySQL: see `assertCurrent` in migrate.ts for the first.
 * @throws BaremetalError `BadInput` for a wrong URL or a SQLite folder that cannot be made.
 */
export async function openDatabases(options: OpenOptions): Promise<Databases> {
  const isShared = options.baremetalUrl === options.novaUrl;
  const baremetal = openDatabase(options.baremetalUrl, options);
  const nova = isShared ? baremetal : openDatabase(options.novaUrl, options);
  return {
    baremetal,
    nova,
    close: async () => {
      await Promise.all([baremetal.destroy(), isShared ? undefined : nova.destroy()]);
    },
  };
}

/** Opens one database. @throws BaremetalError `BadInput` */
export function openDatabase(url: string, options: Omit<OpenOptions, "baremetalUrl" | "novaUrl">): Knex {
  const address = parseDatabaseUrl(url);
  const common = {
    compileSqlOnError: false,
    log: quietLog(options.logger),
    userParams: { busyDeadlineMs: options.busyDeadlineMs ?? BUSY_DEADLINE_MS },
  };
  return address.dialect === "sqlite"
    ? openSqlite(address, common)
    : openMysql(address, common, options.poolSize ?? 10);
}

function openSqlite(address: DatabaseAddress & { dialect: "sqlite" }, common: Knex.Config): Knex {
  prepareFile(address.filename);
  return knexFactory({
    client: "better-sqlite3",
    connection: { filename: address.filename },
    useNullAsDefault: true,
    ...common,
    pool: {
      min: 1,
      max: 1,
      idleTimeoutMillis: 2 ** 31 - 1,
      afterCreate: (connection: SqliteConnection, done: (error: Error | null, connection: unknown) => void) => {
        try {
          connection.pragma(`busy_timeout = 10000`);
          connection.pragma("journal_mode = WAL");
          connection.pragma(`busy_timeout = ${SQLITE_BLOCK_MS}`);
          connection.pragma("synchronous = FULL");
          connection.pragma("foreign_keys = ON");
          beginImmediate(connection);
          done(null, connection);
        } catch (error) {
          done(error as Error, connection);
        }
      },
    },
  });
}

/**
 * Makes transactions take the write lock at their start. Trap: a deferred one that reads first and writes later gets
 * SQLITE_BUSY at the write, at once and for good, when another process wrote in between.
 */
function beginImmediate(connection: SqliteConnection): void {
  const prepare = connection.prepare.bind(connection);
  const patched = (sql: string) => prepare(sql === "BEGIN;" ? "BEGIN IMMEDIATE;" : sql);
  Object.defineProperty(connection, "prepare", { value: patched });
}

/** The file holds sealed passwords and keys: its folder is made, and it is kept from other users. */
function prepareFile(filename: string): void {
  if (filename === ":memory:") return;
  try {
    mkdirSync(dirname(filename), { recursive: true });
    closeSync(openSync(filename, "a", 0o600));
  } catch (cause) {
    throw new BaremetalError(
      "BadInput",
      `the database file ${filename} cannot be opened: ${(cause as Error).message}`,
      {
        data: { file: filename },
      },
    );
  }
}

function openMysql(address: DatabaseAddress & { dialect: "mysql" }, common: Knex.Config, poolSize: number): Knex {
  const { host, port, user, password, database, socketPath } = address;
  return knexFactory({
    client: "mysql2",
    connection: {
      ...(socketPath === null ? { host, port } : { socketPath }),
      user,
      password,
      database,
      charset: "utf8mb4",
      timezone: "Z",
      connectTimeout: CONNECT_MS,
    },
    ...common,
    acquireConnectionTimeout: 15_000,
    pool: { min: 0, max: poolSize, afterCreate: prepareSession },
  });
}

interface MysqlQuery {
  readonly sql: string;
  readonly timeout?: number | undefined;
}
type MysqlDone = (error: (Error & { code?: string }) | null, ...results: unknown[]) => void;

/** The part of mysql2's connection that is used here. */
interface MysqlConnection {
  query(query: MysqlQuery, values: unknown, done: MysqlDone): unknown;
  destroy(): void;
}

/**
 * READ COMMITTED: our writes are conditional updates, and gap locks would only make deadlocks. The lock wait is short, for
 * `transact` tries again. FOUND_ROWS is on by default in mysql2: an update that changes nothing still counts its row.
 */
function prepareSession(
  connection: MysqlConnection,
  done: (error: Error | null, connection: MysqlConnection) => void,
): void {
  const settings = `SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION time_zone = '+00:00'; SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'; SET SESSION innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}`;
  const statements = settings.split("; ");
  boundStatements(connection);
  const next = (error: Error | null): void => {
    const sql = statements.shift();
    if (error !== null || sql === undefined) done(error, connection);
    else connection.query({ sql, timeout: CONNECT_MS }, undefined, next);
  };
  next(null);
}

/**
 * Gives each statement the time that is left of its deadline. A stopped server, or one behind a dead link, never answers:
 * its connection is destroyed, for the answer could still come and be taken for the next statement's.
 */
function boundStatements(connection: MysqlConnection): void {
  const query = connection.query.bind(connection);
  connection.query = (options, values, done) =>
    query({ timeout: statementTimeLeft(), ...options }, values, (error, ...results) => {
      if (error?.code === "PROTOCOL_SEQUENCE_TIMEOUT") connection.destroy();
      done(error, ...results);
    });
}

/** knex's own words, at the level they deserve. */
function quietLog(logger: Logger): Knex.Logger {
  const write = (level: "warn" | "error" | "debug") => (message: unknown) =>
    logger[level](`knex: ${typeof message === "string" ? message : JSON.stringify(message)}`);
  return { warn: write("warn"), error: write("error"), deprecate: write("debug"), debug: write("debug") };
}
