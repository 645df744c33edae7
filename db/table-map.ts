// The one place where rows become records: snake_case to camelCase, UTC times, JSON text, 0/1 to booleans.
import type { Knex } from "knex";
import { BaremetalError } from "../lib/errors.ts";

/** The engines we speak: SQLite embedded, MySQL or MariaDB for real. */
export type Dialect = "sqlite" | "mysql";

/** Which engine is behind `db`. */
export function dialectOf(db: Knex): Dialect {
  return (db.client as { dialect?: string }).dialect === "mysql" ? "mysql" : "sqlite";
}

/** How a column's value is kept. `flag` is 0/1, `date` UTC to the millisecond, `json` text. */
export type ColumnKind = "plain" | "flag" | "date" | "json";

/** One field: its kind, its column (default: the field's name in snake_case) and what a NULL reads as. */
export interface ColumnSpec {
  readonly kind: ColumnKind;
  readonly column?: string;
  /** What NULL becomes; default null. */
  readonly whenNull?: unknown;
}

/** A row as the engine gives it. */
export type Row = Record<string, unknown>;

/** A column of kind `plain`, `flag`, `date` or `json` by name. */
export const plain: ColumnSpec = { kind: "plain" };
export const flag: ColumnSpec = { kind: "flag", whenNull: false };
export const date: ColumnSpec = { kind: "date" };
export const json = (whenNull: unknown = null, column?: string): ColumnSpec =>
  column === undefined ? { kind: "json", whenNull } : { kind: "json", whenNull, column };
export const named = (column: string, whenNull: unknown = null): ColumnSpec => ({ kind: "plain", column, whenNull });
export const numberOr = (whenNull: number, column?: string): ColumnSpec =>
  column === undefined ? { kind: "plain", whenNull } : { kind: "plain", whenNull, column };

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A time of ours as the engine keeps it: ISO text in SQLite (sorts as time), a UTC DATETIME(3) in MySQL. */
export function timeToDb(dialect: Dialect, value: Date): Date | string {
  return dialect === "mysql" ? value : value.toISOString();
}

/** A kept time as a Date. Trap: the original wrote `2013-10-18 18:17:09.225000`, UTC without saying so. */
export function timeFromDb(value: unknown): Date | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value;
  if (typeof value === "number") return new Date(value);
  const text = String(value);
  const parsed = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
  if (Number.isNaN(parsed.getTime())) {
    throw new BaremetalError("Internal", `the database holds ${JSON.stringify(text)} where a time should be`);
  }
  return parsed;
}

/** Translates between the rows of one table and the records of one type. */
export class TableMap<R extends object> {
  readonly table: string;
  readonly #fields: ReadonlyMap<string, Required<ColumnSpec>>;

  constructor(table: string, fields: { readonly [K in keyof R]-?: ColumnSpec }) {
    this.table = table;
    const entries = Object.entries(fields as Record<string, ColumnSpec>);
    this.#fields = new Map(
      entries.map(([name, spec]) => [
        name,
        { kind: spec.kind, column: spec.column ?? snake(name), whenNull: spec.whenNull ?? null },
      ]),
    );
  }

  /** The column behind a field. */
  column(field: keyof R & string): string {
    return this.#spec(field).column;
  }

  /** The columns of all fields. */
  get columns(): string[] {
    return [...this.#fields.values()].map(({ column }) => column);
  }

  /** The record behind a row. */
  fromRow(row: Row): R {
    const record: Record<string, unknown> = {};
    for (const [field, spec] of this.#fields) record[field] = this.#read(field, spec, row[spec.column]);
    return record as R;
  }

  /** The columns behind the given fields; `undefined` fields are left out. An unknown field is our bug. */
  toRow(dialect: Dialect, values: { readonly [K in keyof R]?: R[K] | undefined }): Row {
    const row: Row = {};
    for (const [field, value] of Object.entries(values)) {
      if (value === undefined) continue;
      const spec = this.#spec(field);
      row[spec.column] = write(dialect, spec.kind, value);
    }
    return row;
  }

  #spec(field: string): Required<ColumnSpec> {
    const spec = this.#fields.get(field);
    if (spec === undefined) throw new BaremetalError("Internal", `${this.table} has no field ${JSON.stringify(field)}`);
    return spec;
  }

  #read(field: string, spec: Required<ColumnSpec>, value: unknown): unknown {
    if (value === null || value === undefined) {
      // An empty object or list is the record's own; a clone of anything else is only slow.
      return typeof spec.whenNull === "object" && spec.whenNull !== null
        ? structuredClone(spec.whenNull)
        : spec.whenNull;
    }
    switch (spec.kind) {
      case "plain":
        return value;
      case "flag":
        return Boolean(Number(value));
      case "date":
        return timeFromDb(value);
      case "json":
        return this.#parse(field, String(value));
    }
  }

  #parse(field: string, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new BaremetalError("Internal", `${this.table}.${field} holds text that is not JSON`, { cause });
    }
  }
}

function write(dialect: Dialect, kind: ColumnKind, value: unknown): unknown {
  if (value === null) return null;
  switch (kind) {
    case "plain":
      return value;
    case "flag":
      return value ? 1 : 0;
    case "date":
      return timeToDb(dialect, value as Date);
    case "json":
      return JSON.stringify(value);
  }
}
