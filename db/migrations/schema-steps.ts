// The small steps migrations are made of. Each looks first: MySQL commits every DDL statement by itself, so a migration that
// was killed half-way is simply run again.
import type { Knex } from "knex";
import { dialectOf } from "../table-map.ts";

/** One version of a schema. `up` leads to it from the version before, `down` back. */
export interface Migration {
  readonly version: number;
  readonly up: (trx: Knex.Transaction) => Promise<void>;
  readonly down: (trx: Knex.Transaction) => Promise<void>;
}

/** A time to the millisecond: DATETIME(3), or text in SQLite. */
export function time(table: Knex.TableBuilder, name: string): Knex.ColumnBuilder {
  return table.datetime(name, { precision: 3 });
}

/** Text that may be long: up to 16 MiB in MySQL. */
export function longText(table: Knex.TableBuilder, name: string): Knex.ColumnBuilder {
  return table.text(name, "mediumtext");
}

/** Makes a table, unless it is there. Bytewise comparison in MySQL too, so that both engines find the same rows. */
export async function ensureTable(
  trx: Knex.Transaction,
  name: string,
  build: (table: Knex.CreateTableBuilder) => void,
): Promise<void> {
  if (await trx.schema.hasTable(name)) return;
  await trx.schema.createTable(name, (table) => {
    build(table);
    if (dialectOf(trx) === "mysql") {
      table.engine("InnoDB");
      table.charset("utf8mb4");
      table.collate("utf8mb4_bin");
    }
  });
}

/** Adds a column, unless it is there. */
export async function ensureColumn(
  trx: Knex.Transaction,
  table: string,
  column: string,
  build: (table: Knex.AlterTableBuilder) => void,
): Promise<void> {
  if (!(await trx.schema.hasColumn(table, column))) await trx.schema.alterTable(table, build);
}

/** Takes a column away, if it is there. Trap: knex would copy the whole SQLite table for this. */
export async function dropColumn(trx: Knex.Transaction, table: string, column: string): Promise<void> {
  if (await trx.schema.hasColumn(table, column)) await trx.raw("ALTER TABLE ?? DROP COLUMN ??", [table, column]);
}

/** True if the table has an index of this name. */
export async function hasIndex(trx: Knex.Transaction, table: string, index: string): Promise<boolean> {
  if (dialectOf(trx) === "sqlite") {
    const found = await trx("sqlite_master").where({ type: "index", tbl_name: table, name: index }).first();
    return found !== undefined;
  }
  const [rows] = await trx.raw("SHOW INDEX FROM ?? WHERE Key_name = ?", [table, index]);
  return (rows as unknown[]).length > 0;
}

/** Makes an index, unless it is there. */
export async function ensureIndex(
  trx: Knex.Transaction,
  table: string,
  index: string,
  columns: readonly string[],
  kind: "unique" | "plain" = "plain",
): Promise<void> {
  if (await hasIndex(trx, table, index)) return;
  const unique = kind === "unique" ? "UNIQUE " : "";
  const list = columns.map(() => "??").join(", ");
  await trx.raw(`CREATE ${unique}INDEX ?? ON ?? (${list})`, [index, table, ...columns]);
}

/** Takes an index away, if it is there. */
export async function dropIndex(trx: Knex.Transaction, table: string, index: string): Promise<void> {
  if (!(await hasIndex(trx, table, index))) return;
  if (dialectOf(trx) === "sqlite") await trx.raw("DROP INDEX ??", [index]);
  else await trx.raw("DROP INDEX ?? ON ??", [index, table]);
}

/** Changes a column's type in MySQL; SQLite's columns hold anything. */
export async function modifyColumn(
  trx: Knex.Transaction,
  table: string,
  column: string,
  type: "DATETIME(3)" | "DATETIME" | "TEXT" | "VARCHAR(255)",
): Promise<void> {
  if (dialectOf(trx) === "mysql") await trx.raw(`ALTER TABLE ?? MODIFY ?? ${type} NULL`, [table, column]);
}
